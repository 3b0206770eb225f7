import BenchStatistics
import Foundation
import GraphCore
@testable import ModelFiles
import Pacer
import TensorCore
import TestSupport
import Testing

/// Damaged `.pacer` files, those among them whose digests are right: an error that names the place, or a graph that can be planned
/// and run.
@Suite struct PacerMutationTests {
  /// A file in its parts, to be put together with digests that are right.
  private struct Parts {
    var index: PacerLayout.Index
    /// By variant.
    var graphs: [Data]
    var tensors: Data

    init(_ data: Data) throws {
      let head = try #require(data.withUnsafeBytes { PacerLayout.Head($0) })
      let end = PacerLayout.headLength + Int(head.indexLength)
      index = try PacerLayout.decoder().decode(
        PacerLayout.Index.self, from: data.subdata(in: PacerLayout.headLength..<end))
      graphs = index.variants.map {
        data.subdata(in: (end + $0.graph.offset)..<(end + $0.graph.offset + $0.graph.length))
      }
      tensors = data.subdata(in: Int(head.tensorOffset)..<data.count)
    }

    func sealed() throws -> Data {
      var index = index
      var offset = 0
      for (number, graph) in graphs.enumerated() {
        index.variants[number].graph = .init(
          offset: offset, length: graph.count, digest: graph.withUnsafeBytes(PacerLayout.digest).hex)
        offset += graph.count
      }
      return Self.sealed(try PacerLayout.encoder().encode(index), graphs, tensors)
    }

    static func sealed(_ index: Data, _ graphs: [Data], _ tensors: Data) -> Data {
      let texts = index + graphs.reduce(Data(), +)
      let start =
        (PacerLayout.headLength + texts.count + PacerLayout.pageSize - 1) / PacerLayout.pageSize * PacerLayout.pageSize
      let head = PacerLayout.Head(index: index, fileLength: start + tensors.count, tensorOffset: start)
      return head.data + texts + Data(count: start - PacerLayout.headLength - texts.count) + tensors
    }
  }

  /// Whether a graph takes no more time and memory than a test has: a sound one may be as large as it likes.
  private func isSmall(_ graph: Graph) -> Bool {
    let bodies = graph.nodes.flatMap { ($0.op as? any ControlOp)?.bodies ?? [] }
    return graph.values.reduce(0) { $0 + $1.type.shape.count } < 1 << 20 && graph.macs < 1 << 24
      && !graph.nodes.contains { $0.op is Loop } && bodies.allSatisfy { isSmall($0.graph) }
  }

  private func survive(_ data: Data, _ place: TemporaryFile, _ words: String) throws {
    try data.write(to: URL(fileURLWithPath: place.path))
    let allocator = SystemAllocator()
    do {
      let file = try PacerFile(place.path)
      try file.verifyContents()
    } catch let error as BadFile {
      #expect(error.path == place.path && !error.reason.isEmpty && error.reason.utf8.count < 4000, "\(words)")
    } catch { Issue.record("\(words): \(error)") }
    // Contents that are not what was written are found by who asks for it alone.
    guard let file = try? PacerFile(place.path) else { return }
    for variant in file.variants {
      guard let graph = try? allocator.withScope({ try file.graph(for: variant.instructionSet) }) else { continue }
      #expect(allocator.statistics.peakLiveBytes < 1 << 20, "\(words)")
      guard isSmall(graph), let planned = try? Placer(CPUBackend(), PrepareOptions()).plan(graph) else { continue }
      guard planned.plan.leastBytes < 1 << 26, let session = try? planned.compile().makeSession() else { continue }
      // Whatever it computes, or that it cannot.
      try? session.run()
    }
  }

  @Test func `damaged bytes, most of which a digest tells`() throws {
    let (data, place) = (try PacerFileTests.small.data(), TemporaryFile())
    let head = try #require(data.withUnsafeBytes { PacerLayout.Head($0) })
    let structure = [0..<PacerLayout.headLength, 0..<Int(head.tensorOffset)]
    for mutation in Mutations(of: data, structure: structure, seed: 5) {
      try survive(mutation.data, place, mutation.description)
    }
  }

  @Test func `damaged texts under digests that are right`() throws {
    let (parts, place) = (try Parts(PacerFileTests.small.data()), TemporaryFile())
    #expect(try parts.sealed() == PacerFileTests.small.data())
    let index = try PacerLayout.encoder().encode(parts.index)
    for mutation in Mutations(of: index, seed: 6) {
      try survive(Parts.sealed(mutation.data, parts.graphs, parts.tensors), place, "index, \(mutation.description)")
    }
    for number in parts.graphs.indices {
      for mutation in Mutations(of: parts.graphs[number], seed: 7) {
        var parts = parts
        parts.graphs[number] = mutation.data
        try survive(parts.sealed(), place, "graph \(number), \(mutation.description)")
      }
    }
  }

  // MARK: Numbers and names

  private static let numbers = [
    "0", "1", "-1", "2", "3", "4", "5", "7", "16", "100", "-100", "2147483648", "1099511627776", "9223372036854775807",
    "-9223372036854775808", "1e30", "0.5", "\"inf\"", "\"nan\"", "null", "true", "[]",
  ]

  /// JSON that can be read again, with another number or another of its own words in some places.
  private func changed(_ data: Data, _ generator: inout SeededGenerator) -> Data {
    var text = String(decoding: data, as: UTF8.self)
    for _ in 0..<(Int.random(in: 0..<3, using: &generator) == 0 ? 2 : 1) {
      if Int.random(in: 0..<8, using: &generator) == 0 {
        guard let list = text.ranges(of: #/\[[^\[\]]+\]/#).randomElement(using: &generator) else { continue }
        text.replaceSubrange(list, with: "[]")
        continue
      }
      let matches = Bool.random(using: &generator) ? text.ranges(of: #/-?\b\d+\b/#) : text.ranges(of: #/"[^"]*"(?!:)/#)
      guard let place = matches.randomElement(using: &generator) else { continue }
      let isNumber = text[place].first != "\""
      let other =
        isNumber && Int.random(in: 0..<4, using: &generator) > 0
        ? Self.numbers.randomElement(using: &generator)! : String(text[matches.randomElement(using: &generator)!])
      text.replaceSubrange(place, with: other)
    }
    return Data(text.utf8)
  }

  /// Each op that there is a case for, with attributes, types, edges and names changed.
  @Test(
    arguments: Dictionary(grouping: ONNXCase.all.filter { !$0.isUnsupported }, by: \.op).sorted { $0.key < $1.key }.map(
      \.value))
  func `other numbers and names under digests that are right`(_ cases: [ONNXCase]) throws {
    var generator = SeededGenerator(seed: cases[0].op.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
    let place = TemporaryFile()
    let count = max(Mutations.count() / 20, 1)
    for given in cases.prefix(3) {
      let contents = try PacerContents(optimising: given.graph(), for: [.best], checksNumbers: false)
      let whole = try Parts(contents.data())
      for number in 0..<count {
        var parts = whole
        parts.graphs[1] = changed(parts.graphs[1], &generator)
        try survive(
          parts.sealed(), place,
          "\(given.testDescription), change \(number): \(String(decoding: parts.graphs[1], as: UTF8.self))")
      }
    }
  }

  /// What kernels of convolutions want most of: packed weights, fused blocks.
  @Test(arguments: [ModelDescription.mobileNetV2, .resNet18])
  func `other numbers in a network`(_ model: ModelDescription) throws {
    let (graph, _) = try seeded(model, [1, 3, 32, 32])
    let whole = try Parts(PacerContents(optimising: graph, for: [.best], checksNumbers: false).data())
    var generator = SeededGenerator(seed: 11)
    let place = TemporaryFile()
    for number in 0..<max(Mutations.count() / 10, 1) {
      var parts = whole
      parts.graphs[1] = changed(parts.graphs[1], &generator)
      try survive(parts.sealed(), place, "\(model.name), change \(number)")
    }
  }

  @Test func `a quantisation without scales, and tensors that begin elsewhere`() throws {
    let (data, place) = (try PacerFileTests.small.data(), TemporaryFile())
    var parts = try Parts(data)
    let text = String(decoding: parts.graphs[0], as: UTF8.self)
    let type = try #require(text.firstRange(of: #""dtype":"f32""#))
    for lists in [#""scales":[],"zeroPoints":[]"#, #""scales":[1],"zeroPoints":[]"#, #""scales":[],"zeroPoints":[1]"#] {
      parts.graphs[0] = Data(
        text.replacingCharacters(in: type, with: #""dtype":"i8","quantization":{\#(lists)}"#).utf8)
      try survive(parts.sealed(), place, lists)
      #expect(throws: BadFile.self) { try PacerFile(place.path).graph() }
    }
    // No digest is of where they begin: it follows from what is before.
    var moved = data
    let offset = data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 40, as: UInt64.self) }
    withUnsafeBytes(of: offset - UInt64(PacerLayout.pageSize)) { moved.replaceSubrange(40..<48, with: $0) }
    try moved.write(to: URL(fileURLWithPath: place.path))
    #expect { try PacerFile(place.path) } throws: { "\($0)".contains("do not begin behind its graphs") }
  }

  @Test func `graphs within graphs beyond any use`() throws {
    let parts = try Parts(PacerFileTests.small.data())
    // Each runs the one before it twice: gone through to the end, they are more than there are atoms.
    var nested = parts
    let plain =
      #"{"inputTypes":[{"dtype":"f32","shape":[1]}],"inputs":[0],"name":"b","names":["x"],"nodes":[],"outputs":[0],"tensors":[-1]}"#
    let branch = #"""
      {"inputTypes":[{"dtype":"bool","shape":[]},{"dtype":"f32","shape":[1]}],"inputs":[0,1],"name":"b","names":["c","x","y"],\#
      "nodes":[{"attributes":{"otherwise":N,"then":N},"inputs":[0,IN],"name":"i","op":"if","outputs":[2]}],\#
      "outputs":[2],"tensors":[-1,-1,-1]}
      """#
    let graphs =
      [plain]
      + (0..<200).map {
        branch.replacingOccurrences(of: "IN", with: $0 == 0 ? "1" : "0,1")
          .replacingOccurrences(of: "N", with: "\($0)")
      }
    nested.graphs[0] = Data(
      #"{"graphs":[\#(graphs.joined(separator: ","))],"tensors":{"types":[],"offsets":[],"digests":[]}}"#.utf8)
    let place = TemporaryFile()
    try survive(nested.sealed(), place, "nested")
    #expect {
      try PacerFile(place.path).graph()
    } throws: {
      "\($0)".contains("more graphs in graphs")
    }
  }
}
