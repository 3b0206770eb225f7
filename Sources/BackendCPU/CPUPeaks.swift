import CIntrinsics
import RuntimeCore

extension CPUBackend {
  public func peakWork(_ options: PrepareOptions) throws -> [PeakWork] {
    let table = instructionSet.table
    func work(_ name: String, _ kernel: PacerKernel?, _ multiplyAdds: Int) -> PeakWork {
      guard let kernel else { return PeakWork(name: name, operations: 0, run: nil) }
      return PeakWork(name: name, operations: 2 * multiplyAdds) { rounds in
        // The kernels leave four bytes behind that depend on all they did.
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 1) { place in
          place.initialize(repeating: 0)
          kernel(place.baseAddress!, 0, rounds, 0)
        }
      }
    }
    return [
      work("fp32", table.peakMultiplyAdd, table.peakMultiplyAdds), work("int8", table.peakDot, table.peakDots),
    ]
  }
}
