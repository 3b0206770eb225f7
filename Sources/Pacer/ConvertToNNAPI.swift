import Delegation
import GraphCore
import GraphPasses
import RuntimeCore
import TensorCore

/// Prepares a graph to be delegated to accelerator drivers, as PyTorch's `convert_model_to_nnapi` does a traced model; sessions are made
/// and run as those of any other backend.
///
/// What NNAPI cannot express, which is an error there, stays with the processor here unless there is no fallback.
/// - Parameters:
///   - exampleInputs: One for each input of the graph, of the shape that it is to be converted for.
///   - layout: How images lie within the model; callers give and get NCHW either way.
///   - preference: What drivers are chosen by.
///   - relaxFloat32ToFloat16: Whether drivers may compute float32 in 16 bits.
///   - drivers: Those that are installed, in order; NNAPI's own processor code is always behind them.
///   - fallback: Takes the nodes that NNAPI cannot express, and reruns an inference in which all else fails; nil for none.
/// - Throws: ``GraphError`` where the graph or its inputs are wrong, ``Unsupported`` where nothing can run a node, or no driver can be
///   started.
public func convertToNNAPI(
  _ graph: Graph, exampleInputs: [Tensor], layout: DriverProfile.ImageLayout = .nhwc,
  preference: ExecutionPreference = .sustainedSpeed, relaxFloat32ToFloat16: Bool = false,
  drivers: [DriverProfile] = [.cpuFast], options: PrepareOptions = PrepareOptions(),
  fallback: (any Backend)? = CPUBackend()
) throws -> Executable {
  let backend = NNAPIBackend(
    drivers: drivers, preference: preference, relaxesFloat32: relaxFloat32ToFloat16, fallsBack: fallback != nil)
  let placer = try Placer(backend, fallback: fallback, options)
  let passes = standardPasses.filter { layout == .nhwc || !($0 is ChannelsLast) }
  let fitting = try graph.reshaped(inputs: exampleInputs.map(\.shape))
  return try placer.prepare(Pipeline(passes, checksNumbers: false).run(on: fitting, for: placer).graph)
}
