import Foundation
import GraphCore
import TensorCore
import Testing

@testable import ModelFiles

@Suite struct TensorFileTests {
  /// A file as NumPy writes it.
  private func numpy(_ head: String, _ data: Data, version: UInt8 = 1) -> Data {
    let length =
      version == 1 ? [UInt8(head.utf8.count & 255), UInt8(head.utf8.count >> 8)] : [UInt8(head.utf8.count), 0, 0, 0]
    return Data([0x93] + Array("NUMPY".utf8) + [version, 0] + length) + Data(head.utf8) + data
  }
  private func bytes<Value>(_ values: [Value]) -> Data { values.withUnsafeBytes { Data($0) } }

  @Test func `NumPy's files of every kind`() throws {
    let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
    for version: UInt8 in [1, 2] {
      let tensor = try TensorFile(numpy: numpy(head, bytes([1, 2, 3, 4, 5, 6] as [Float]), version: version))
      #expect(tensor.kind == .float32 && tensor.shape == [2, 3] && tensor.floats == [1, 2, 3, 4, 5, 6])
    }
    let scalar = try TensorFile(
      numpy: numpy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", bytes([-7] as [Int64])))
    #expect(scalar.shape.isEmpty && scalar.floats == [-7])
    let list = try TensorFile(
      numpy: numpy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", Data([1, 0, 1])))
    #expect(list.shape == [3] && list.floats == [1, 0, 1])
    let half = try TensorFile(
      numpy: numpy("{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", bytes([1.5, -0.25] as [Float16])))
    #expect(half.floats == [1.5, -0.25])
  }

  @Test(arguments: [
    ("", "does not begin"), ("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "Fortran"),
    ("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "big-endian"),
    ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "not supported"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "needs 8 bytes"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", "is none"),
    ("{'descr': '<f4', 'shape': (1,), }", "names no"),
  ])
  func `what is no such file says why`(head: String, reason: String) throws {
    let data = head.isEmpty ? Data("PK\u{3}\u{4} something else".utf8) : numpy(head, bytes([1] as [Float]))
    let error = #expect(throws: TensorFile.Flaw.self) { try TensorFile(numpy: data) }
    #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    // Cut off anywhere, it never traps.
    for count in 0..<data.count { _ = try? TensorFile(numpy: data.prefix(count)) }
  }

  @Test func `ONNX's tensors, raw and typed`() throws {
    var tensor = Pacer_Onnx_Tensor()
    (tensor.name, tensor.dims, tensor.dataType) = ("x", [2], DType.int64.onnx)
    tensor.int64Data = [3, -4]
    #expect(try TensorFile(onnx: tensor.serializedData()).floats == [3, -4])
    (tensor.dataType, tensor.int64Data, tensor.int32Data) = (DType.uint8.onnx, [], [255, 1])
    #expect(try TensorFile(onnx: tensor.serializedData()).floats == [255, 1])
    (tensor.dataType, tensor.int32Data, tensor.rawData) = (DType.float32.onnx, [], bytes([0.5, 2] as [Float]))
    let raw = try TensorFile(onnx: tensor.serializedData())
    #expect(raw.floats == [0.5, 2] && raw.name == "x")
    tensor.dims = [3]
    #expect(throws: TensorFile.Flaw.self) { try TensorFile(onnx: tensor.serializedData()) }
    (tensor.dims, tensor.dataType) = ([2], 8)
    #expect(throws: TensorFile.Flaw.self) { try TensorFile(onnx: tensor.serializedData()) }
  }
}

@Suite struct ONNXFileTests {
  private func inFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  private func port(_ name: String, _ extents: [ONNXFile.Extent], kind: DType = .float32) -> Pacer_Onnx_ValueInfo {
    var info = Pacer_Onnx_ValueInfo()
    info.name = name
    info.type.tensorType.elemType = kind.onnx
    info.type.tensorType.shape.dim = extents.map { extent in
      var dimension = Pacer_Onnx_TensorShape.Dimension()
      switch extent {
      case .fixed(let number): dimension.dimValue = Int64(number)
      case .named(let name): dimension.dimParam = name
      }
      return dimension
    }
    return info
  }

  private var model: Pacer_Onnx_Model {
    var (model, node, weight) = (Pacer_Onnx_Model(), Pacer_Onnx_Node(), Pacer_Onnx_Tensor())
    (node.opType, node.input, node.output) = ("Add", ["ids", "w"], ["sum"])
    (weight.name, weight.dataType, weight.dims, weight.dataLocation) = ("w", 1, [1], 1)
    var entry = Pacer_Onnx_Entry()
    (entry.key, entry.value) = ("location", "weights.bin")
    weight.externalData = [entry]
    model.graph.node = [node]
    model.graph.initializer = [weight]
    model.graph.input = [
      port("ids", [.named("batch"), .fixed(8)], kind: .int64), port("w", [.fixed(1)]),
    ]
    model.graph.output = [port("sum", [.named("batch"), .fixed(8)])]
    return model
  }

  @Test func `inputs are those that have no values, with their types and what is not fixed`() throws {
    try inFolder { folder in
      let url = folder.appendingPathComponent("m.onnx")
      try model.serializedData().write(to: url)
      let file = try ONNXFile(url.path)
      #expect(file.inputs.map(\.name) == ["ids"] && file.inputs[0].kind == .int64)
      #expect(file.inputs[0].words == "ids int64 batch×8" && !file.inputs[0].isFixed)
      #expect(file.outputs.map(\.name) == ["sum"] && file.externalFiles == ["weights.bin"])
      try file.fixing(["ids": [4, 8]]).write(to: url)
      let fixed = try ONNXFile(url.path)
      #expect(fixed.inputs[0].isFixed && fixed.inputs[0].extents == [.fixed(4), .fixed(8)])
      #expect(fixed.externalFiles == ["weights.bin"])
    }
  }

  @Test func `what a file holds beyond what is read is kept`() throws {
    try inFolder { folder in
      // Field 14 of a model, its metadata, is none that is read here.
      let metadata = Data([14 << 3 | 2, 6, 10, 1, 97, 18, 1, 98])
      let url = folder.appendingPathComponent("m.onnx")
      try (model.serializedData() + metadata).write(to: url)
      let fixed = try ONNXFile(url.path).fixing(["ids": [1, 8]])
      #expect(fixed.range(of: metadata) != nil)
    }
  }

  @Test(arguments: ["../w.bin", "/etc/passwd", "a/../../w.bin", ""])
  func `weights outside of the model's folder are not read`(place: String) throws {
    try inFolder { folder in
      var model = model
      model.graph.initializer[0].externalData[0].value = place
      let url = folder.appendingPathComponent("m.onnx")
      try model.serializedData().write(to: url)
      let error = #expect(throws: BadFile.self) { try ONNXFile(url.path) }
      #expect(error?.description.contains("outside of its folder") == true)
    }
  }

  @Test func `what is no model says so, cut off anywhere`() throws {
    try inFolder { folder in
      let url = folder.appendingPathComponent("m.onnx")
      let data = try model.serializedData()
      for count in stride(from: 0, to: data.count, by: 7) {
        try data.prefix(count).write(to: url)
        _ = try? ONNXFile(url.path)
      }
      try Data("no model".utf8).write(to: url)
      let error = #expect(throws: BadFile.self) { try ONNXFile(url.path) }
      #expect(error?.description.contains("m.onnx: it is no ONNX model") == true)
      #expect(throws: BadFile.self) { try ONNXFile(folder.path + "/none.onnx") }
    }
  }
}
