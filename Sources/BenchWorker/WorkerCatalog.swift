import BenchProtocol
import Pacer

/// Everything that a worker can do, as a value: whoever builds one decides what is in it.
public struct WorkerCatalog: Sendable {
  public var version: String
  public var runtime: Runtime
  public var probes: [ProbeDeclaration]
  /// Counts calls of the C library's allocator; nil where the process has no such counter.
  public var heapCounter: HeapCounter?
  /// What choices on axes from outside do, by key; a key that is neither here nor Pacer's own is an error.
  public var axes: [String: @Sendable (AxisValue, inout PrepareOptions) throws -> Void]
  /// Instruction sets with kernels, those this machine can run, slowest first, and the processor's name.
  public var instructionSets: [String]
  public var availableInstructionSets: [String]
  public var processorName: String

  public init(
    version: String = pacerRelease, runtime: Runtime = .standard, heapCounter: HeapCounter? = nil,
    probes: [ProbeDeclaration]? = nil,
    axes: [String: @Sendable (AxisValue, inout PrepareOptions) throws -> Void] = [:],
    instructionSets: [String] = InstructionSet.allCases.map(\.rawValue),
    availableInstructionSets: [String] = InstructionSet.available.map(\.rawValue),
    processorName: String = InstructionSet.processorName
  ) {
    (self.version, self.runtime, self.heapCounter, self.axes) = (version, runtime, heapCounter, axes)
    (self.instructionSets, self.availableInstructionSets) = (instructionSets, availableInstructionSets)
    self.processorName = processorName
    self.probes = probes ?? ProbeDeclaration.standard(heapCounter)
  }
}
