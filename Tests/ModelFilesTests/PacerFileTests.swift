import Foundation
import GraphCore
@testable import ModelFiles
import Pacer
import TensorCore
import TestSupport
import Testing

/// A place for a file that goes with it.
final class TemporaryFile {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).pacer").path
  deinit { unlink(path) }
}

/// Optimised models that are written, mapped and run.
@Suite struct PacerFileTests {
  private func outputs(_ executable: Executable, _ inputs: [Tensor]) throws -> [Tensor] {
    let session = try executable.makeSession()
    for (input, tensor) in zip(session.inputs, inputs) { input.write(tensor) }
    try session.run()
    return session.outputs.map(\.actual)
  }

  /// What the pipeline makes of a graph in memory.
  private func optimised(_ graph: Graph, for set: InstructionSet, disabling: Set<String> = []) throws -> Graph {
    let placer = try Placer(CPUBackend(instructionSet: set), PrepareOptions())
    let passes = standardPasses.filter { !disabling.contains($0.name) }
    return try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer).graph
  }

  private func isSame(_ a: [Tensor], _ b: [Tensor]) -> Bool {
    a.map(\.type) == b.map(\.type) && zip(a, b).allSatisfy { $0.digest == $1.digest }
  }

  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18, .mobileNetV3Small])
  func `built-in models compute the same bits as the pipeline in memory`(_ model: ModelDescription) throws {
    let (graph, input) = try seeded(model, [1, 3, 64, 64])
    let place = TemporaryFile()
    let contents = try PacerContents(optimising: graph, checksNumbers: false, inputs: [input])
    let byteCount = try contents.write(to: place.path)
    let file = try PacerFile(place.path)
    #expect(file.byteCount == byteCount && file.name == model.name && file.release == pacerRelease)
    #expect(file.variants.map(\.instructionSet) == [nil] + InstructionSet.allCases.map(\.rawValue))
    // What is the same in several is there once.
    #expect(byteCount < file.variants.reduce(0) { $0 + $1.weightBytes })
    try file.verifyContents()
    #expect(isSame(file.bundledInputs.map(\.tensor), [input]))
    for set in InstructionSet.allCases {
      let expected = try optimised(graph, for: set)
      let found = try file.graph(for: set.rawValue)
      #expect(found.description == expected.description && found.weightDigest == expected.weightDigest)
      let backend = CPUBackend(instructionSet: set)
      let planned = try Placer(backend, PrepareOptions()).plan(found)
      #expect(planned.placement.map(\.kernel).contains { $0.hasSuffix("-\(set.rawValue)") })
      guard InstructionSet.available.contains(set) else { continue }
      #expect(isSame(try outputs(backend.prepare(file), [input]), try outputs(backend.prepare(expected), [input])))
    }
    let portable = try file.graph()
    #expect(portable.values.allSatisfy { $0.type.format == .nchw })
    #expect(file.variants[0].passes.count + file.targetPasses.count == standardPasses.count)
  }

  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func `models of one operator`(_ given: ONNXCase) throws {
    let (graph, inputs) = (try given.graph(), try given.tensors(given.inputs))
    let place = TemporaryFile()
    try PacerContents(optimising: graph, for: [.best], checksNumbers: false).write(to: place.path)
    let file = try PacerFile(place.path)
    try file.verifyContents()
    let expected = try optimised(graph, for: .best)
    #expect(try file.graph(for: InstructionSet.best.rawValue).description == expected.description)
    #expect(
      isSame(try outputs(CPUBackend().prepare(file), inputs), try outputs(CPUBackend().prepare(expected), inputs)))
    // The portable one computes what the graph did.
    let oracle = try graph.evaluate(inputs).map { try $0.actual.converted(to: .nchw) }
    guard try given.fault(oracle) == nil else { return }
    let fault = try given.fault(file.graph().evaluate(inputs).map { try $0.actual.converted(to: .nchw) })
    #expect(fault == nil)
  }

  @Test func `weights lie in the file, and outlive what opened it`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 32, 32])
    let place = TemporaryFile()
    try PacerContents(optimising: graph, for: [.best], checksNumbers: false).write(to: place.path)
    let session: Session
    do {
      let file = try PacerFile(place.path)
      let executable = try CPUBackend().prepare(file)
      let constants = executable.plan.graph.values.compactMap { executable.plan.graph.data(of: $0.id) }
      #expect(constants.count > 50 && constants.allSatisfy { $0.storage.isMapped })
      #expect(constants.allSatisfy { UInt(bitPattern: $0.storage.pointer) % 64 == 0 })
      // In one mapping, of which the kernel tells where it lies. (Foundation's short forms read its first page.)
      let kernel = try #require(try FileHandle(forReadingAtPath: "/proc/self/maps")?.readToEnd())
      let maps = String(decoding: kernel, as: UTF8.self).split(separator: "\n").filter { $0.hasSuffix(place.path) }
      try #require(maps.count == 1 && maps[0].contains(" r--p "), "\(maps)")
      let ends = maps[0].split(separator: " ")[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      for constant in constants {
        let start = UInt(bitPattern: constant.storage.pointer)
        #expect(ends[0] <= start && start + UInt(constant.type.byteCount) <= ends[1])
      }
      session = try executable.makeSession()
    }
    session.inputs[0].write(input)
    try session.run()
    #expect(session.outputs[0].values.contains { $0 != 0 })
    #expect(
      try session.executable.plan.graph.values.compactMap { session.executable.plan.graph.data(of: $0.id) }[0]
        .copiedFromFile().storage.isMapped == false)
  }

  @Test func `a backend without a variant runs the passes for a target when it loads`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let place = TemporaryFile()
    let others = InstructionSet.allCases.filter { $0 != .best }
    try PacerContents(optimising: graph, for: others, checksNumbers: false).write(to: place.path)
    let file = try PacerFile(place.path)
    let placer = try Placer(CPUBackend(), PrepareOptions())
    let (found, packing) = try file.graph(for: placer)
    let expected = try optimised(graph, for: .best)
    #expect(packing.map(\.name) == file.targetPasses && packing.contains { $0.rewrites > 0 })
    #expect(found.description == expected.description && found.weightDigest == expected.weightDigest)
    let oracle = try CPUBackend(kernels: .reference).prepare(file)
    #expect(oracle.placement.allSatisfy { $0.kernel == Support.reference })
    #expect(try outputs(oracle, [input])[0].relativeError(to: outputs(placer.prepare(found), [input])[0]) < 1e-4)
    #expect(throws: Unsupported.self) { try file.graph(for: InstructionSet.best.rawValue) }
  }

  @Test func `graphs that are not frozen keep their weight map`() throws {
    let (graph, input) = try seeded(.resNet18, [1, 3, 32, 32])
    let place = TemporaryFile()
    try PacerContents(optimising: graph, for: [.best], disabling: ["freeze"], checksNumbers: false).write(
      to: place.path)
    let found = try PacerFile(place.path).graph(for: InstructionSet.best.rawValue)
    let expected = try optimised(graph, for: .best, disabling: ["freeze"])
    #expect(found.parameters.map(\.name) == expected.parameters.map(\.name) && !found.parameters.isEmpty)
    #expect(found.weightDigest == expected.weightDigest)
    #expect(
      isSame(try outputs(CPUBackend().prepare(found), [input]), try outputs(CPUBackend().prepare(expected), [input])))
    #expect(throws: UnknownName.self) { try PacerContents(optimising: graph, disabling: ["freze"]) }
  }

  @Test func `the same content is the same bytes`() throws {
    let (graph, input) = try seeded(.mobileNetV2, [1, 3, 32, 32])
    let all = try (0..<2).map { _ in
      try PacerContents(optimising: graph, for: [.avx2, .neon], checksNumbers: false, inputs: [input]).data()
    }
    #expect(all[0] == all[1])
    let place = TemporaryFile()
    try PacerContents(optimising: graph, for: [.avx2, .neon], checksNumbers: false, inputs: [input]).write(
      to: place.path)
    #expect(FileManager.default.contents(atPath: place.path) == all[0])
  }

  /// Small, with a body, a constant and an input of its own.
  static let small: PacerContents = {
    do {
      let given = ONNXCase.all.first { $0.op == "If" } ?? ONNXCase.all[0]
      return try PacerContents(
        optimising: given.graph(), for: [.best], checksNumbers: false, inputs: given.tensors(given.inputs))
    } catch { fatalError("\(error)") }
  }()

  @Test func `files that are something else, newer, cut short or damaged`() throws {
    let place = TemporaryFile()
    let whole = try Self.small.data()
    func reason(_ data: Data) throws -> String {
      try data.write(to: URL(fileURLWithPath: place.path))
      do {
        let file = try PacerFile(place.path)
        for variant in file.variants { _ = try file.graph(for: variant.instructionSet) }
        try file.verifyContents()
        return "nothing is wrong"
      } catch let error as BadFile {
        #expect(error.path == place.path)
        return error.reason
      }
    }
    #expect(try reason(whole) == "nothing is wrong")
    for length in Set((0..<60).map { $0 * whole.count / 60 } + [7, 8, 47, 48, whole.count - 1]) {
      let words = try reason(whole.prefix(length))
      #expect(
        words.contains(length == 0 ? "empty" : length < 48 ? "no .pacer file" : "cut short"), "\(length): \(words)")
    }
    #expect(try reason(whole + Data([0])).contains("should end after"))
    #expect(
      try reason(Data("GGUF and nothing else, but quite long for a head that is read as one".utf8)).contains(
        "no .pacer file"))
    var newer = whole
    newer[8] = 9
    #expect(try reason(newer).contains("version 9; this Pacer reads version \(PacerFile.formatVersion)"))
    var older = whole
    older[8] = 2
    #expect(try reason(older).contains("version 2; this Pacer reads version \(PacerFile.formatVersion): make it anew"))
    var damaged = whole
    damaged[60] ^= 1
    #expect(try reason(damaged).contains("index is damaged"))
    damaged = whole
    damaged[whole.count - 1] ^= 1
    #expect(try reason(damaged).contains("is damaged"))
    #expect(throws: BadFile.self) { try PacerFile("/dev/null") }
    #expect(throws: BadFile.self) { try PacerFile("/nowhere/at.all") }
  }

  @Test func `nothing but a file of its kind is written over`() throws {
    let place = TemporaryFile()
    try Data("a letter".utf8).write(to: URL(fileURLWithPath: place.path))
    #expect(throws: BadFile.self) { try Self.small.write(to: place.path) }
    #expect(FileManager.default.contents(atPath: place.path) == Data("a letter".utf8))
    try Data().write(to: URL(fileURLWithPath: place.path))
    for _ in 0..<2 { try Self.small.write(to: place.path) }
    let folder = (place.path as NSString).deletingLastPathComponent
    let left = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
      $0.hasPrefix((place.path as NSString).lastPathComponent)
    }
    #expect(left.count == 1)
    #expect(throws: BadFile.self) { try Self.small.write(to: "/nowhere/at.pacer") }
  }

  @Test func `an op from outside is read by who knows it`() throws {
    struct Twice: Op {
      static let name = "twice"
      var offset: Float
      func outputTypes(for inputs: [TensorType]) throws -> [TensorType] { inputs }
      func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
        [try Tensor(inputs[0].shape, inputs[0].values.map { 2 * $0 + offset })]
      }
    }
    var graph = Graph(name: "doubling")
    let x = graph.addInput("x", TensorType([1, 4]))
    graph.setOutputs([try graph.addNode("once", Twice(offset: 0.1), [x])])
    let place = TemporaryFile()
    try PacerContents(optimising: graph, for: [.best]).write(to: place.path)
    #expect {
      try PacerFile(place.path).graph()
    } throws: {
      "\($0)".contains("has no op twice")
    }
    let session = try CPUBackend().prepare(PacerFile(place.path, ops: [Twice.self])).makeSession()
    session.inputs[0].write([1, 2, 3, 4])
    try session.run()
    #expect(session.outputs[0].values == [2.1, 4.1, 6.1, 8.1])
  }
}
