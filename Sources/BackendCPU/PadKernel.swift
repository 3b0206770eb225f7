import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Elements added around a tensor of any type, or cut off. Each thread makes a part of the lines.
struct PadKernel: CPUKernel {
  let name = "pad"
  /// Along each axis but the last, in the order in which the elements lie: for each index where it is taken from, in elements; nil
  /// where it is added.
  private let outer: [[Int?]]
  /// Pieces of a line.
  private let runs: [Run]
  private let line: Int
  private let lines: Int
  private let size: Int

  /// Elements of a line that are taken one after the other, forwards (1), backwards (-1), or all from one place (0).
  private struct Run {
    /// Nil for elements that are added.
    var source: Int?
    var step: Int
    var count: Int
  }

  static func make(_ op: any Op, _ inputs: [TensorType], _ output: TensorType) -> Self? {
    guard let op = op as? Pad, inputs.allSatisfy({ !$0.isUpperBound && $0.format.isPlain }),
      output.dtype == inputs[0].dtype, output.shape.count > 0, output.shape.rank > 0
    else { return nil }
    let input = inputs[0]
    let order = output.format == .nhwc ? [0, 2, 3, 1] : Array(0..<output.shape.rank)
    let strides = input.logicalStrides
    let places = order.map { axis in
      op.sources(axis, input.shape[axis]).map { $0 < 0 ? nil : $0 * strides[axis] }
    }
    return PadKernel(
      outer: places.dropLast(), runs: Self.runs(places.last!), line: places.last!.count,
      lines: output.shape.count / places.last!.count, size: output.dtype.byteCount)
  }

  private static func runs(_ places: [Int?]) -> [Run] {
    var runs: [Run] = []
    for place in places {
      if let last = runs.last {
        let step: Int? =
          switch (last.source, place) {
          case (nil, nil): 0
          case (let source?, let place?):
            // The second element says which way it goes.
            last.count == 1
              ? (-1...1).contains(place - source) ? place - source : nil
              : place == source + last.step * last.count ? last.step : nil
          default: nil
          }
        if let step {
          runs[runs.count - 1] = Run(source: last.source, step: step, count: last.count + 1)
          continue
        }
      }
      runs.append(Run(source: place, step: 0, count: 1))
    }
    return runs
  }

  private struct Work {
    var source: UnsafeRawPointer
    /// Nil for zeros.
    var value: UnsafeRawPointer?
    var target: UnsafeMutableRawPointer
    var kernel: UnsafePointer<PadKernel>
  }

  func run(_ call: borrowing KernelCall) {
    withUnsafePointer(to: self) { kernel in
      let work = Work(
        source: call.inputs[0], value: call.inputs.count > 1 ? UnsafeRawPointer(call.inputs[1]) : nil,
        target: call.outputs[0], kernel: kernel)
      let make: PacerKernel = { raw, begin, end, _ in
        let work = raw!.assumingMemoryBound(to: Work.self).pointee
        switch work.kernel.pointee.size {
        case 1: PadKernel.lines(work, begin, end, UInt8.self)
        case 2: PadKernel.lines(work, begin, end, UInt16.self)
        case 4: PadKernel.lines(work, begin, end, UInt32.self)
        default: PadKernel.lines(work, begin, end, UInt64.self)
        }
      }
      call.runLines(make, work, count: lines, byteCount: line * size)
    }
  }

  private static func lines<Element: FixedWidthInteger>(_ work: Work, _ begin: Int, _ end: Int, _: Element.Type) {
    let kernel = work.kernel.pointee
    let source = work.source.assumingMemoryBound(to: Element.self)
    let value = work.value?.assumingMemoryBound(to: Element.self).pointee ?? 0
    var target = work.target.assumingMemoryBound(to: Element.self) + begin * kernel.line
    for index in begin..<end {
      var (place, rest) = (0 as Int?, index)
      for steps in kernel.outer.reversed() {
        place = steps[rest % steps.count].flatMap { step in place.map { $0 + step } }
        rest /= steps.count
      }
      for run in kernel.runs {
        if let place, let first = run.source {
          let from = source + place + first
          switch run.step {
          case 1: target.update(from: from, count: run.count)
          case 0: target.update(repeating: from.pointee, count: run.count)
          default: for i in 0..<run.count { target[i] = from[-i] }
          }
        } else {
          target.update(repeating: value, count: run.count)
        }
        target += run.count
      }
    }
  }
}
