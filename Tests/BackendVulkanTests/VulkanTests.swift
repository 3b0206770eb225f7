import BackendCPU
@testable import BackendVulkan
import CVulkan
import Foundation
import GraphCore
import GraphPasses
import ModelZoo
import RuntimeCore
import TensorCore
import TestSupport
import Testing

/// Whether this machine has a Vulkan device.
let hasVulkan: Bool = {
  guard case .unavailable = VulkanBackend().availability() else { return true }
  return false
}()

/// Whether it multiplies in 16 bits.
let hasHalfArithmetic = (try? VulkanInstance.shared.get().device(named: nil))?.hasHalfArithmetic == true

enum Precision: String, CaseIterable {
  case fp32, fp16, fp16Arithmetic

  var passes: [any Pass] {
    switch self {
    case .fp32: []
    case .fp16: [ToFloat16()]
    case .fp16Arithmetic: [ToFloat16(), Float16Arithmetic()]
    }
  }
}

struct VulkanVariant: Sendable, CustomStringConvertible {
  var storage: TensorStorage
  var precision: Precision
  var passes: [any Pass]
  var allocator = AllocatorKind.system

  var description: String {
    "\(storage) \(precision) \(passes.map(\.name).joined(separator: "+")) \(allocator)"
      + (wantedSubgroups.map { " \($0) subgroups wanted" } ?? "")
  }
  var options: PrepareOptions { PrepareOptions(allocator: allocator) }
  /// Nil for what suits the device.
  var wantedSubgroups: Int? = nil
  var backend: VulkanBackend {
    var backend = VulkanBackend(storage: storage)
    backend.wantedSubgroups = wantedSubgroups
    return backend
  }

  static let precisions: [Precision] = hasHalfArithmetic ? Precision.allCases : [.fp32, .fp16]

  /// Every storage and precision of the device, both orders of texels, weights packed ahead and at each run, planned memory
  /// and not.
  static let all: [VulkanVariant] = TensorStorage.allCases.flatMap { storage in
    precisions.flatMap { precision in
      [
        VulkanVariant(storage: storage, precision: precision, passes: []),
        VulkanVariant(
          storage: storage, precision: precision, passes: [ChannelsLast(), Winograd(), PrepackWeights()],
          allocator: .arena),
      ]
    }
  }

  /// With sums divided among as many invocations as they can be, which a processor that plays a GPU never does: of texels in float32 both
  /// orders, of buffers the other precisions. Such shaders take a processor long to compile.
  static let divided: [VulkanVariant] = all.filter {
    $0.storage == .texels ? $0.precision == .fp32 : $0.precision != .fp32 && $0.allocator == .arena
  }.map {
    var variant = $0
    variant.wantedSubgroups = .max
    return variant
  }
}

@Suite(.enabled(if: hasVulkan, "no Vulkan device")) struct VulkanTests {
  /// The cases above leave it out where there is none: this is the one that says so.
  @Test(.enabled(if: hasHalfArithmetic, "the device cannot compute in float16"))
  func `fp16-arithmetic is among the precisions that are tested`() {
    #expect(VulkanVariant.all.contains { $0.precision == .fp16Arithmetic })
  }

  /// A GPU runs no blocks: its pass leaves the convolutions as they are. What is broadcast otherwise than by channel is left to
  /// the processor.
  @Test(arguments: opCases.filter { !($0.op is DepthwiseBlock || $0.name.contains("broadcast")) }, VulkanVariant.all)
  func `a kernel computes what the op's own evaluate does`(opCase: OpCase, variant: VulkanVariant) throws {
    try hold(opCase, variant)
  }

  @Test(
    arguments: opCases.filter {
      (($0.op as? Conv2D)?.groups == 1 || $0.op is Linear) && $0.inputs[0].rank > 1 && $0.inputs[0][1] >= 16
    }, VulkanVariant.divided)
  func `a sum that many invocations share is right`(opCase: OpCase, variant: VulkanVariant) throws {
    try hold(opCase, variant)
  }

  private func hold(_ opCase: OpCase, _ variant: VulkanVariant) throws {
    let passes = variant.passes.adding(portable: variant.precision.passes)
    let outcome = try Conformance.run(opCase, on: variant.backend, passes: passes, variant.options)
    guard case .correct = outcome else {
      Issue.record("\(opCase.name) \(variant): \(outcome)")
      return
    }
  }

  @Test func `a sum is divided where a device wants more to do, and where there is enough to divide`() throws {
    let device = try VulkanInstance.shared.get().device(named: nil)
    func last(_ op: any Op, _ input: Shape, _ weight: Shape, wanted: Int) throws -> Dispatch {
      var graph = Graph(name: "product")
      let x = graph.addInput("x", TensorType(input))
      let weight = graph.addParameter("weight", TensorType(weight))!
      graph.setOutputs([try graph.addNode("product", op, [x, weight])])
      var backend = VulkanBackend(storage: .buffers)
      backend.wantedSubgroups = wanted
      return try #require(
        try vulkanKernel(backend.request(graph.nodes[0], in: graph, on: device)).get().dispatches.last)
    }
    /// Pixels of an invocation, and invocations of a sum.
    func conv(_ channels: Int, side: Int, wanted: Int) throws -> [Int32] {
      let dispatch = try last(Conv2D(), [1, channels, side, side], [8, channels, 1, 1], wanted: wanted)
      return [dispatch.constants[0], dispatch.constants[7]]
    }
    #expect(try conv(64, side: 100, wanted: 1) == [4, 1])
    #expect(try conv(64, side: 100, wanted: .max) == [1, 8])
    #expect(try conv(3, side: 100, wanted: .max) == [1, 1])
    #expect(try conv(64, side: 1, wanted: 1) == [1, 1])
    #expect(try last(Linear(), [1, 64], [8, 64], wanted: 1).constants[1] == 1)
    #expect(try last(Linear(), [1, 64], [8, 64], wanted: .max).constants[1] == Int32(min(8, device.subgroupSize)))
  }

  @Test(arguments: [
    (VK_ERROR_DEVICE_LOST, "the device was lost"), (VK_ERROR_OUT_OF_DEVICE_MEMORY, "a smaller input"),
    (VK_ERROR_FEATURE_NOT_PRESENT, "a feature is missing"),
  ])
  func `a call that fails is an error that says which and why`(result: VkResult, meaning: String) {
    let error = #expect(throws: (any Error).self) { try check(result, "vkWaitForFences") }
    #expect(error is DeviceLost == (result == VK_ERROR_DEVICE_LOST))
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("vkWaitForFences") && text.contains(meaning))
  }

  @Test func `a convolution that multiplies in 16 bits has a reason where the device does not`() throws {
    var device = try VulkanInstance.shared.get().device(named: nil)
    for (multiplies, has) in [(false, true), (false, false), (true, true), (true, false)] {
      device.hasHalfArithmetic = has
      var op = Conv2D()
      op.multipliesFloat16 = multiplies
      var graph = Graph(name: "conv")
      let x = graph.addInput("x", TensorType([1, 8, 4, 4], .float16))
      let weight = graph.addParameter("weight", TensorType([8, 8, 1, 1], .float16))!
      graph.setOutputs([try graph.addNode("conv", op, [x, weight], stored: .float16)])
      let node = graph.nodes[0]
      let result = vulkanKernel(VulkanBackend(storage: .buffers).request(node, in: graph, on: device))
      switch result {
      case .success: #expect(has || !multiplies)
      case .failure(let error): #expect(!has && multiplies && "\(error)".contains("cannot compute in float16"))
      }
    }
  }

  @Test(arguments: ["mobilenet_v2", "resnet18"], VulkanVariant.all)
  func `golden logits in every storage and precision`(key: String, variant: VulkanVariant) throws {
    let (graph, input) = try seeded(key == "resnet18" ? .resNet18 : .mobileNetV2)
    let passes =
      [
        FoldBatchNorm(), Freeze(), RemoveDropout(), FuseActivation(), FuseAddReLU(), FuseResidual(), Winograd(),
      ] as [any Pass]
    let all = (passes + variant.passes).adding(portable: variant.precision.passes)
    let session = try session(graph, all, variant.options, on: variant.backend)
    session.inputs[0].write(input.values)
    try session.run()
    let error = relativeError(session.outputs[0].values, try goldenLogits(key))
    switch (variant.precision, key) {
    case (.fp32, _): #expect(error < 1e-4)
    case (_, "resnet18"): #expect(error < 1e-2)
    // Random weights make MobileNetV2 magnify roundings twentyfold and more: with nothing but the clamped activations in
    // fp16 it is 1.0e-2 off, as stored here 1.4e-2. What fp16 is worth shows on trained weights, in the test below.
    case (.fp16, _): #expect(error < 2e-2)
    // Multiplied in 16 bits too, 2.3e-2.
    case (.fp16Arithmetic, _): #expect(error < 3e-2)
    }
  }

  @Test(
    .enabled(if: Shared.isPresent, Shared.isMissing), arguments: ["camera.png", "chelsea.png", "coffee.png"],
    TensorStorage.allCases)
  func `photographs give the CPU's logits in fp16, stored and multiplied`(photo: String, storage: TensorStorage) throws
  {
    var graph = try ModelDescription.mobileNetV2.build([1, 3, 224, 224])
    graph.weights = try WeightFile.read(Shared.path("models/mobilenet_v2.safetensors"))
    let input = try ImageInput.load(Shared.path("images/\(photo)"), side: 224)
    let optimised = try Pipeline(standardPasses, checksNumbers: false)
      .run(on: graph, for: CPUBackend().target(PrepareOptions())).graph
    let reference = try CPUBackend().prepare(optimised, PrepareOptions()).makeSession()
    reference.inputs[0].write(input.values)
    try reference.run()
    for precision in VulkanVariant.precisions where precision != .fp32 {
      let passes = standardPasses.adding(portable: precision.passes)
      let session = try session(graph, passes, PrepareOptions(), on: VulkanBackend(storage: storage))
      session.inputs[0].write(input.values)
      try session.run()
      #expect(session.outputs[0].relativeError(to: reference.outputs[0]) < 1e-2, "\(precision)")
    }
  }

  @Test func `tensors stay on the device between runs`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let session = try session(graph, standardPasses, PrepareOptions(allocator: .arena))
    let image = try input.vulkan()
    #expect(try image.cpu().values == input.values)
    for _ in 0..<2 {
      let logits = try session.run([image])[0].cpu()
      #expect(logits.relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
    }
    // Another tensor: the commands are recorded anew.
    let dark = try Tensor(input.shape, input.values.map { $0 / 4 })
    #expect(
      try session.run([dark.vulkan()])[0].cpu().relativeError(to: graph.evaluate([dark])[0]) < 1e-4)
    #expect(throws: GraphError.self) { try session.run([image, image]) }
    let same = try self.session(identity([1, 8, 4, 4]), [], PrepareOptions())
    let given = try same.run([Tensor(zeros: TensorType([1, 8, 4, 4])).vulkan()])
    #expect(throws: GraphError.self) { try same.run(given) }
    #expect(throws: GraphError.self) { try session.run([input.rounded(to: .float16).vulkan()]) }
    let half = try input.rounded(to: .float16)
    #expect(try half.vulkan().cpu().values == half.values)
  }

  @Test func `a graph that no pass has touched gives the same`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let session = try session(graph, [], PrepareOptions())
    session.inputs[0].write(input.values)
    try session.run()
    #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
  }

  @Test func `a graph packed for the processor runs here too`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let packed = try Pipeline(standardPasses, checksNumbers: false)
      .run(on: graph, for: CPUBackend().target(PrepareOptions())).graph
    let session = try VulkanBackend().prepare(packed, PrepareOptions()).makeSession()
    session.inputs[0].write(input.values)
    try session.run()
    #expect(session.outputs[0].relativeError(to: try graph.evaluate([input])[0]) < 1e-4)
  }

  @Test func `constants may be outputs, and padded channels are no trouble`() throws {
    var graph = Graph(name: "odd")
    let x = graph.addInput("x", TensorType([1, 5, 3, 3]))
    func constant(_ name: String, _ shape: Shape, _ value: Float) throws -> ValueID {
      graph.addConstant(name, try Tensor(shape, [Float](repeating: value, count: shape.count)))
    }
    let normal = try graph.addNode(
      "norm", BatchNorm(epsilon: 0),
      [x, constant("w", [5], 2), constant("b", [5], 1), constant("m", [5], 0.5), constant("v", [5], 4)])
    let sum = try graph.addNode("conv", Conv2D(), [normal, constant("k", [3, 5, 1, 1], 0.25)])
    let fixed = try constant("fixed", [1, 2, 2, 2], 7)
    graph.setOutputs([sum, fixed, x])
    let input = try Tensor([1, 5, 3, 3], (0..<45).map(Float.init))
    let session = try VulkanBackend().prepare(graph, PrepareOptions(allocator: .arena)).makeSession()
    session.inputs[0].write(input.values)
    try session.run()
    for (output, expected) in zip(session.outputs, try graph.evaluate([input])) {
      #expect(output.relativeError(to: expected) < 1e-6)
    }
  }

  @Test func `a session follows its input, and equal inputs give equal bits`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let session = try session(graph, standardPasses, PrepareOptions(allocator: .arena))
    for factor: Float in [1, -0.5, 0, 1] {
      let values = input.values.map { $0 * factor }
      session.inputs[0].write(values)
      try session.run()
      let first = session.outputs[0].values
      let expected = try graph.evaluate([Tensor(input.shape, values)])[0]
      #expect(session.outputs[0].relativeError(to: expected) < 1e-4)
      try session.run()
      #expect(session.outputs[0].values == first)
    }
  }

  @Test func `two sessions of one executable work on two threads`() async throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let options = PrepareOptions(allocator: .arena)
    let optimised = try Pipeline(standardPasses, checksNumbers: false)
      .run(on: graph, for: VulkanBackend().target(options)).graph
    let executable = try VulkanBackend().prepare(optimised, options)
    let expected = try graph.evaluate([input])[0]
    let errors = try await withThrowingTaskGroup(of: Double.self) { group in
      for _ in 0..<2 {
        group.addTask {
          let session = try executable.makeSession()
          session.inputs[0].write(input.values)
          for _ in 0..<5 { try session.run() }
          return session.outputs[0].relativeError(to: expected)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(errors.count == 2 && errors.allSatisfy { $0 < 1e-4 })
  }

  @Test func `every node but a view has a time of the device's own`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 64, 64])
    let optimised = try Pipeline(standardPasses, checksNumbers: false)
      .run(on: graph, for: VulkanBackend().target(PrepareOptions())).graph
    let executable = try VulkanBackend().prepare(optimised, PrepareOptions())
    let session = try executable.makeSession()
    session.inputs[0].write(input.values)
    var times = [Double](repeating: 0, count: executable.placement.count)
    try session.runTimed(into: &times)
    for (place, time) in zip(executable.placement, times) { #expect((time > 0) == (place.kernel != "view")) }
  }

  @Test(
    .enabled(
      if: ProcessInfo.processInfo.environment["VK_INSTANCE_LAYERS"] == nil, "validation layers keep memory of their own"
    ))
  func `a thousand inferences and a hundred sessions leave no memory behind`() async {
    // In a process of its own, where no other test takes memory.
    await #expect(processExitsWith: .success) {
      let opCase = try #require(opCases.first { $0.name == "conv2d 3x3" })
      let (graph, _) = try opCase.graph()
      let executable = try VulkanBackend().prepare(graph, PrepareOptions())
      func work() throws {
        for _ in 0..<100 {
          let session = try executable.makeSession()
          for _ in 0..<10 { try session.run() }
        }
      }
      try work()
      // A leaked session would be 100 blocks of at least a page for each of its tensors, in every round; a heap grows now
      // and then, in one round and not in the next.
      let growth = try (0..<4).map { _ in
        let before = residentBytes()
        try work()
        return residentBytes() - before
      }
      try #require(growth.min()! < 1 << 20, "\(growth)")
    }
  }

  @Test func `what cannot be prepared is an error that says why`() throws {
    let (graph, _) = try seeded(.resNet18, [1, 3, 32, 32])
    for options in [PrepareOptions(allocator: .caching), PrepareOptions(inPlace: false)] {
      #expect(throws: Unsupported.self) { try VulkanBackend().prepare(graph, options) }
    }
    #expect(throws: Unsupported.self) { try VulkanBackend(device: "no such device").prepare(graph) }
  }

  @Test func `more memory than the device has is an error that says so`() throws {
    let device = try VulkanDevice.named(nil)
    #expect {
      try VulkanBlock(device, byteCount: 1 << 50, .device)
    } throws: {
      "\($0)".contains("more than the")
    }
  }

  @Test func `half a pipeline cache is none`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(PipelineCacheFile(identity: "test", in: nil) == nil)
    let file = try #require(PipelineCacheFile(identity: "test", in: folder))
    #expect(file.read().isEmpty)
    let data = Data((0..<1000).map { UInt8(truncatingIfNeeded: $0) })
    file.write(data)
    #expect(file.read() == data)
    try Data(contentsOf: file.url).dropLast(10).write(to: file.url)
    #expect(file.read().isEmpty)
  }

  /// A graph that hands its input on.
  private func identity(_ shape: Shape) throws -> Graph {
    var graph = Graph(name: "identity")
    let x = graph.addInput("x", TensorType(shape))
    graph.setOutputs([try graph.addNode("clamp", Activation(.none), [x])])
    return graph
  }

  private func session(
    _ graph: Graph, _ passes: [any Pass], _ options: PrepareOptions, on backend: VulkanBackend = VulkanBackend()
  ) throws -> Session {
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: backend.target(options)).graph
    return try backend.prepare(optimised, options).makeSession()
  }
}

private func residentBytes() -> Int {
  let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
  return (pages.flatMap { Int($0[1]) } ?? 0) * 4096
}
