import Foundation
import GraphCore
@testable import ModelFiles
import RuntimeCore
import TensorCore
import Testing

/// Every op is in the list that files are read by, and comes out of them as it went in.
@Suite struct OpCodingTests {
  private func again(_ op: any Op) throws -> any Op {
    let node = StoredNode(name: "n", op: op, inputs: [0], outputs: [1], stored: .float16)
    let decoder = PacerLayout.decoder()
    decoder.userInfo = [OpKinds.key: OpKinds(adding: [])]
    return try decoder.decode(StoredNode.self, from: PacerLayout.encoder().encode(node)).op
  }

  private func isSame<Kind: Op>(_ op: Kind, _ other: any Op) -> Bool { other as? Kind == op }

  @Test func `names are those of one op each`() {
    #expect(Set(allOps.map { $0.name }).count == allOps.count)
  }

  @Test func `ops of the op cases`() throws {
    for opCase in opCases { #expect(isSame(opCase.op, try again(opCase.op)), "\(opCase.name)") }
  }

  /// Those that hold graphs of their own are coded with files: see PacerFileTests.
  @Test(arguments: ONNXCase.all.filter { !$0.isUnsupported }) func `ops of the ONNX cases`(_ given: ONNXCase) throws {
    for node in try given.graph().nodes where !(node.op is any ControlOp) {
      #expect(isSame(node.op, try again(node.op)), "\(node.op)")
    }
  }

  @Test func `every file of ops is in the list`() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/GraphCore/Ops")
    let known = Set(allOps.map { "\($0)" })
    for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
      for match in try String(contentsOf: file, encoding: .utf8).matches(
        of: #/struct (\w+): (?:Op|FusingOp|ControlOp)\b/#)
      {
        #expect(known.contains(String(match.1)), "\(match.1) is not in allOps")
      }
    }
  }

  @Test func `numbers that JSON lacks, and places beyond every tensor`() throws {
    let ops: [any Op] = [
      Activation(.clamp(Clamp(min: -.infinity, max: .infinity))), Activation(.clamp(Clamp(min: -0.0, max: 0.1))),
      Slice([.init(axis: 0, start: .min, end: .max, step: -1)]),
      Fail("no", types: [TensorType([2], .int8, quantization: Quantization(scales: [0.1, 1e-30], axis: 0))]),
      Pad(before: [1], after: [0]),
    ]
    for op in ops { #expect(isSame(op, try again(op)), "\(op)") }
    guard case .clamp(let clamp) = (try again(ops[1]) as? Activation)?.function else { return #expect(Bool(false)) }
    #expect(clamp.min.sign == .minus)
  }

  /// One after the other each integer that an op is coded with, at the ends of what it may be: whatever a file says, types are refused
  /// or made, without an overflow.
  @Test(
    arguments: Dictionary(grouping: ONNXCase.all.filter { !$0.isUnsupported }, by: \.op).sorted { $0.key < $1.key }.map(
      \.value))
  func `integers beyond every tensor are refused`(_ cases: [ONNXCase]) throws {
    let integer = #/[:,\[](-?\d+)(?=[,}\]])/#
    var known = Set<Data>()
    let nodes = try cases.map { try $0.graph() }.flatMap { graph in
      graph.nodes.map { (op: $0.op, inputs: $0.inputs.map { graph[$0].type }) }
    }
    for node in nodes {
      let (encoder, decoder, bodies) = (PacerLayout.encoder(), PacerLayout.decoder(), GraphBodies())
      for body in (node.op as? any ControlOp)?.bodies ?? [] where bodies.number(of: body) == nil { bodies.append(body) }
      encoder.userInfo = [GraphBodies.key: bodies]
      decoder.userInfo = [GraphBodies.key: bodies, OpKinds.key: OpKinds(adding: [])]
      let stored = StoredNode(name: "n", op: node.op, inputs: [], outputs: [], stored: nil)
      let data = try encoder.encode(stored)
      guard known.insert(data).inserted else { continue }
      let text = String(decoding: data, as: UTF8.self)
      for place in text.matches(of: integer).prefix(24).map({ $0.1.startIndex..<$0.1.endIndex }) {
        for extreme in [Int.min, .max, .max / 2 + 1, -1 << 31, 1 << 31, 1 << 40, -1, 0] {
          let changed = text.replacingCharacters(in: place, with: "\(extreme)")
          guard let op = (try? decoder.decode(StoredNode.self, from: Data(changed.utf8)))?.op,
            let types = try? op.checkedOutputTypes(for: node.inputs)
          else { continue }
          #expect(types.allSatisfy { $0.fault == nil } && op.cost(for: node.inputs).macs >= 0, "\(changed)")
        }
      }
    }
  }

  // MARK: The format

  /// Graphs that stand for those that ops run.
  private static let bodies: GraphBodies = {
    let bodies = GraphBodies()
    for number in 0..<4 {
      var graph = Graph(name: "body\(number)")
      graph.setOutputs([graph.addInput("x", TensorType([1]))])
      bodies.append(GraphBody(graph))
    }
    return bodies
  }()

  private func coders() -> (JSONEncoder, JSONDecoder) {
    let (encoder, decoder) = (PacerLayout.encoder(), PacerLayout.decoder())
    encoder.userInfo = [GraphBodies.key: Self.bodies]
    decoder.userInfo = [GraphBodies.key: Self.bodies, OpKinds.key: OpKinds(adding: [])]
    return (encoder, decoder)
  }

  /// One node of each kind, as files of this version have it. A new kind is added to the list (`PACER_CODED_OPS=1`): older programs name
  /// it and refuse the file. Whoever changes how one is coded raises the version of the format, and removes its line before.
  @Test func `ops are coded as they were when the version was chosen`() throws {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Cases/coded-ops.jsonl")
    let (encoder, decoder) = coders()
    if ProcessInfo.processInfo.environment["PACER_CODED_OPS"] != nil {
      var lines: [String: Data] = [:]
      let nodes = try ONNXCase.all.filter { !$0.isUnsupported }.flatMap { try $0.graph().nodes.map(\.op) }
      let others: [any Op] = [
        DynamicLinear(epilogue: .relu6), DynamicRecurrent(Recurrent(.lstm(couplesGates: false), given: .bias)), Det(),
        Requantize(), ShapeOf(), NumberRange(count: 3),
        RoiPool(Pair(2, 3), scale: 0.5),
      ]
      for op in opCases.map(\.op) + nodes + others {
        let encoder = PacerLayout.encoder()
        let bodies = GraphBodies()
        for body in (op as? any ControlOp)?.bodies ?? [] where bodies.number(of: body) == nil { bodies.append(body) }
        encoder.userInfo = [GraphBodies.key: bodies]
        let line = try encoder.encode(StoredNode(name: "n", op: op, inputs: [0], outputs: [1], stored: nil))
        // That with the most to say, within reason.
        if line.count < 700, line.count > lines[type(of: op).name]?.count ?? 0 { lines[type(of: op).name] = line }
      }
      let fail = Fail("no branch", types: [TensorType([1, 2], .int8, .nhwc, quantization: Quantization(scale: 0.5))])
      lines[Fail.name] = try encoder.encode(StoredNode(name: "n", op: fail, inputs: [], outputs: [0], stored: .float16))
      let format = ConvertFormat(to: .panels(PanelLayout(width: 16, lanes: 8, depth: .tapsThenChannels, groups: 2)))
      lines[ConvertFormat.name] = try encoder.encode(
        StoredNode(name: "n", op: format, inputs: [0], outputs: [1], stored: nil))
      for line in try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")) {
        lines[type(of: try decoder.decode(StoredNode.self, from: Data(line)).op).name] = Data(line)
      }
      try Data(lines.sorted { $0.key < $1.key }.map { $0.value + Data("\n".utf8) }.joined()).write(to: url)
    }
    var missing = Set(allOps.map { $0.name })
    for line in try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")) {
      let words = String(decoding: line, as: UTF8.self)
      let node = try decoder.decode(StoredNode.self, from: Data(line))
      #expect(try encoder.encode(node) == Data(line), "\(words)")
      missing.remove(type(of: node.op).name)
    }
    #expect(missing.isEmpty)
  }
}
