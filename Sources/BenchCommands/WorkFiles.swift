import BenchModel
import BenchProtocol
import BenchWorker
import Foundation
import ModelFiles
import Pacer

/// What another engine needs of a configuration, as files: the model as ONNX with its inputs' extents fixed, and the inputs
/// as raw little-endian elements. Written once for the same content, in a folder of their own beside the cached references.
///
/// A `.pacer` file is for Pacer alone, and stays where it is: a job names it as `pacer`, and `inputs` unless it brings its own.
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
    let isPacer = configuration.modelReference.isPacerFile
    if isPacer, let path = configuration.modelReference.path, try !needsInputs(PacerFile(path)) {
      return ["pacer": path]
    }
    let manager = FileManager.default
    let isThere = (isPacer ? [Self.list] : [Self.model, Self.list]).allSatisfy {
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
    if isPacer { return ["pacer": configuration.modelReference.path ?? "", "inputs": list.path] }
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
    if configuration.modelReference.isPacerFile, let path = configuration.modelReference.path {
      // It is mapped where it lies.
      inputs = try self.inputs(of: PacerFile(path).ports)
    } else if let path = configuration.modelReference.path {
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

  /// Whether a `.pacer` file is to be run on other inputs than it brings; those it brings are read where they lie.
  private func needsInputs(_ file: PacerFile) throws -> Bool {
    let ports = try file.ports
    for (name, extents) in try ports.asked(configuration[Axes.shape]) {
      guard let port = ports.inputs.first(where: { $0.name == name }), port.accepts(extents) else {
        let own = ports.inputList
        throw UserError(
          "shape: the extents of \(configuration.model) are fixed: it reads \(own); optimize the model at others")
      }
    }
    return configuration[Axes.input] != nil || file.bundledInputs.isEmpty
  }

  private func inputs(of ports: ModelPorts) throws -> [TensorFile] {
    try ModelInputs(path: configuration[Axes.input], shape: configuration[Axes.shape]).inputs(of: ports)
  }

  /// Puts the model where engines read it, and returns its inputs.
  private func place(_ file: ONNXFile, at model: URL) throws -> [TensorFile] {
    let inputs = try self.inputs(of: file.ports)
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
