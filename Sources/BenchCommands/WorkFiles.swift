import BenchModel
import BenchProtocol
import BenchWorker
import Foundation
import ModelFiles
import Pacer

/// What another engine needs of a configuration, as files: the model as ONNX with its inputs' extents fixed, and the inputs
/// as raw little-endian elements. Written once for the same content, in a folder of their own beside the cached references.
///
/// A job names them: `onnx`, `inputs` (a JSON list of each input's name, type, shape and file, in the model's order) and,
/// for a single one of float32, `input`, its file.
struct WorkFiles {
  private let folder: URL
  private let configuration: Configuration

  /// - Throws: ``UserError`` or ``BadFile``.
  static func write(_ configuration: Configuration, to folder: URL) throws -> [String: String] {
    try WorkFiles(configuration, folder).write()
  }

  private init(_ configuration: Configuration, _ folder: URL) {
    var work = catalog.axes.work(of: configuration)
    // Which output is right changes none of the files.
    work[Axes.expect] = nil
    var digest = Digest()
    digest.combine(pacerRelease + work.id)
    for path in catalog.axes.paths(of: work) { digest.combine(FileDigest.of(path)) }
    (self.configuration, self.folder) = (work, folder.appendingPathComponent("work-\(digest.hex)"))
  }

  private func write() throws -> [String: String] {
    if let reference = configuration.choices["model"].map({ ModelReference($0.text) }),
      case .file(let path, let digest) = reference, try ModelDigest.of(path) != digest
    {
      throw UserError("\(path) is another file than it was when this began; run it again")
    }
    let manager = FileManager.default
    let isThere = [Self.model, Self.list].allSatisfy {
      manager.fileExists(atPath: folder.appendingPathComponent($0).path)
    }
    if !isThere {
      // Of another layout, or with a part that somebody removed.
      try? manager.removeItem(at: folder)
      // Whole or not at all, whoever else is writing it.
      let made = folder.appendingPathExtension("\(UUID())")
      defer { try? manager.removeItem(at: made) }
      try write(to: made)
      do { try manager.moveItem(at: made, to: folder) } catch {
        guard manager.fileExists(atPath: folder.path) else { throw error }
      }
    }
    let list = folder.appendingPathComponent(Self.list)
    var files = ["onnx": folder.appendingPathComponent(Self.model).path, "inputs": list.path]
    let inputs = try InputFile.list(list.path)
    if inputs.count == 1, inputs[0].type == DType.float32.longName { files["input"] = inputs[0].file }
    return files
  }

  private static let list = "inputs.json"
  /// In a folder of its own, with the files that belong to it and what engines make of it.
  private static let model = "model/model.onnx"

  private func write(to made: URL) throws {
    let model = made.appendingPathComponent(Self.model)
    try FileManager.default.createDirectory(
      at: model.deletingLastPathComponent(), withIntermediateDirectories: true)
    let inputs: [TensorFile]
    if let path = configuration.modelReference.path {
      inputs = try place(ONNXFile(path), at: model)
    } else {
      let work = try ModelWork(configuration, files: [:], Harness.current.runtime)
      try writeFile(ONNXWriter.write(work.graph), to: model)
      inputs = [
        TensorFile(
          name: work.graph[work.graph.inputs[0]].name, kind: .float32, shape: Array(work.inputs[0].shape.extents),
          data: work.inputs[0].values.withUnsafeBytes { Data($0) })
      ]
    }
    let entries = try inputs.enumerated().map { index, input in
      let name = "input-\(index).bin"
      try writeFile(input.data, to: made.appendingPathComponent(name))
      return InputFile(
        name: input.name, type: input.kind, shape: input.shape, file: folder.appendingPathComponent(name).path)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try writeFile(encoder.encode(entries), to: made.appendingPathComponent(Self.list))
  }

  // MARK: Model files

  /// Puts the model where engines read it, and returns its inputs.
  private func place(_ file: ONNXFile, at model: URL) throws -> [TensorFile] {
    let inputs = try self.inputs(of: file)
    let (from, to) = (URL(fileURLWithPath: file.path).deletingLastPathComponent(), model.deletingLastPathComponent())
    // Weights outside of the file are found beside it.
    for name in file.externalFiles {
      guard name != model.lastPathComponent else {
        throw BadFile(file.path, "its weights lie in \(name), which is the name of the model itself here")
      }
      let target = to.appendingPathComponent(name)
      try FileManager.default.createDirectory(
        at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      try copy(from.appendingPathComponent(name), at: target)
    }
    if file.inputs.allSatisfy(\.isFixed) && file.externalFiles.isEmpty {
      try copy(URL(fileURLWithPath: file.path), at: model)
    } else {
      let shapes = Dictionary(zip(file.inputs, inputs).map { ($0.name, $1.shape) }) { first, _ in first }
      try writeFile(file.fixing(shapes), to: model)
    }
    return inputs
  }

  /// A copy: engines refuse weights that a link brings in from elsewhere.
  private func copy(_ source: URL, at target: URL) throws {
    let manager = FileManager.default
    guard manager.fileExists(atPath: source.path) else {
      throw UserError("\(source.path) cannot be read: no such file; the model keeps weights in it")
    }
    try manager.copyItem(at: source.resolvingSymlinksInPath(), to: target)
  }

  /// Each input's elements: read from what `--input` names, or seeded, in the shape that the file, `--shape` or the elements
  /// themselves say.
  private func inputs(of file: ONNXFile) throws -> [TensorFile] {
    guard !file.inputs.isEmpty else { throw BadFile(file.path, "it has no inputs") }
    let asked = try file.asked(configuration[Axes.shape])
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
  private func source(of port: ONNXFile.Port, at index: Int, in file: ONNXFile) throws -> String? {
    guard let path = configuration[Axes.input] else { return nil }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      guard file.inputs.count == 1 else {
        throw UserError(
          "\(file.path) has several inputs (\(file.inputList)): --input is a folder with one file each")
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
    _ path: String, _ port: ONNXFile.Port, _ kind: DType, _ shape: [Int]?, _ file: ONNXFile
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

  // MARK: Expected outputs

  /// The outputs that files say are right, in the model's order: one file, or a folder's `output_0.pb`, `output_1.npy`, ….
  /// - Throws: ``UserError`` or ``BadFile``.
  static func expected(_ path: String) throws -> [[Float]] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      return [try TensorFile(path).floats]
    }
    var outputs: [[Float]] = []
    while let found = ["pb", "npy"].map({ "\(path)/output_\(outputs.count).\($0)" })
      .first(where: { FileManager.default.fileExists(atPath: $0) })
    {
      outputs.append(try TensorFile(found).floats)
    }
    guard !outputs.isEmpty else { throw UserError("\(path) has no output_0.pb or output_0.npy") }
    return outputs
  }
}
