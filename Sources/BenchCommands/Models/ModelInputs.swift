import BenchModel
import BenchProtocol
import Foundation
import ModelFiles
import Pacer

/// The elements of a model's inputs: read from a file, or one file for each in a folder, or seeded.
struct ModelInputs {
  /// Of a photo, a `.npy`, `.pb` or `.bin` file, or a folder; nil for seeded elements.
  var path: String?
  /// As asked for.
  var shape: InputShapes?
  /// What names the path, for messages.
  var option = "--input"

  /// Each input's elements: read from what `--input` names, or seeded, in the shape that the file, `--shape` or the elements
  /// themselves say.
  func inputs(of file: ModelPorts) throws -> [TensorFile] {
    guard !file.inputs.isEmpty else { throw BadFile(file.path, "it has no inputs") }
    let asked = try file.asked(shape)
    return try file.inputs.enumerated().map { index, port in
      guard let kind = port.kind else {
        throw UserError("\(file.path): input \(port.name) is of a type that is not supported")
      }
      let shape = asked[port.name]
      if let path = try source(of: port, at: index, in: file) {
        return try read(path, port, kind, shape, file)
      }
      return try seeded(port, kind, shape ?? file.fixed(port))
    }
  }

  /// The file that holds an input's elements; nil where they are seeded.
  private func source(of port: ONNXFile.Port, at index: Int, in file: ModelPorts) throws -> String? {
    guard let path else { return nil }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      guard file.inputs.count == 1 else {
        throw UserError(
          "\(file.path) has several inputs (\(file.inputList)): \(option) is a folder with one file each")
      }
      return path
    }
    // A name with a slash is none of a file in this folder.
    let stems = (port.name.contains("/") ? [] : [port.name]) + ["input_\(index)"]
    let names = ["npy", "pb", "bin"].flatMap { ending in stems.map { "\($0).\(ending)" } }
    let found = names.map { "\(path)/\($0)" }.first { FileManager.default.fileExists(atPath: $0) }
    guard let found else {
      throw UserError("\(path) has no file for input \(port.name): one of \(names.joined(separator: ", "))")
    }
    return found
  }

  private func read(
    _ path: String, _ port: ONNXFile.Port, _ kind: DType, _ shape: [Int]?, _ file: ModelPorts
  ) throws -> TensorFile {
    var tensor: TensorFile
    switch (path as NSString).pathExtension.lowercased() {
    case "npy", "pb": tensor = try TensorFile(path)
    case "png", "jpg", "jpeg":
      let shape = try shape ?? file.fixed(port)
      guard kind == .float32, shape.count == 4, shape[0] == 1, shape[1] == 3, shape[2] == shape[3] else {
        throw UserError("a picture needs an input of float32 1x3xNxN, not \(port.words)")
      }
      let picture = try ImageInput.load(path, side: shape[2])
      tensor = TensorFile(kind: .float32, shape: shape, data: picture.values.withUnsafeBytes { Data($0) })
    default:
      let shape = try shape ?? file.fixed(port)
      let data = try readFile(URL(fileURLWithPath: path))
      let needed = TensorFile.byteCount(kind, shape)
      guard data.count == needed else {
        throw BadFile(
          path,
          "it has \(data.count) bytes; input \(port.words) needs \(needed.map { "\($0)" } ?? "more than there are")")
      }
      tensor = TensorFile(kind: kind, shape: shape, data: data)
    }
    guard tensor.kind == kind else {
      throw BadFile(path, "its elements are \(tensor.kind.longName); input \(port.words) needs \(kind.longName)")
    }
    guard port.accepts(tensor.shape), shape == nil || shape == tensor.shape else {
      throw BadFile(
        path,
        "its shape is \(tensor.shape.map(String.init).joined(separator: "x")), which is not that of \(port.words)"
          + (shape.map { " as \($0.map(String.init).joined(separator: "x"))" } ?? ""))
    }
    tensor.name = port.name
    return tensor
  }

  /// Numbers that are the same everywhere: reals in −2…2, unsigned bytes in 0…255, other integers and flags 0 or 1, which
  /// are indices and masks whatever they index.
  private func seeded(_ port: ONNXFile.Port, _ kind: DType, _ shape: [Int]) throws -> TensorFile {
    guard let bytes = TensorFile.byteCount(kind, shape), bytes <= 1 << 32 else {
      throw UserError("input \(port.words) is larger than 4 GiB")
    }
    guard port.accepts(shape) else { throw UserError("shape \(Shape(shape)) is not that of input \(port.words)") }
    let values = try SeededWeights.input(Shape(shape)).values
    func elements<Value>(_ convert: (Float) -> Value) -> Data { values.map(convert).withUnsafeBytes { Data($0) } }
    func flags<Value: FixedWidthInteger>(_: Value.Type) -> Data { elements { $0 > 0 ? 1 as Value : 0 } }
    let data =
      switch kind {
      case .float32: elements { $0 }
      case .float64: elements { Double($0) }
      case .float16: elements { Float16($0) }
      case .bfloat16: elements { BFloat16($0).bitPattern }
      case .uint8: elements { UInt8(min(max(($0 + 2) / 4 * 255, 0), 255)) }
      case .int8: elements { Int8(min(max($0 / 2 * 127, -127), 127)) }
      case .bool: flags(UInt8.self)
      case .int64: flags(Int64.self)
      case .int32: flags(Int32.self)
      case .int16: flags(Int16.self)
      case .uint16: flags(UInt16.self)
      case .uint32: flags(UInt32.self)
      case .uint64: flags(UInt64.self)
      }
    return TensorFile(name: port.name, kind: kind, shape: shape, data: data)
  }
}
