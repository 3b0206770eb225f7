import Foundation
import GraphCore
import TensorCore

/// A model with inputs and the outputs that are right for them, as the ONNX project and its model zoo keep them: beside the model
/// folders `test_data_set_0`, `test_data_set_1`, … of `input_0.pb`, … and `output_0.pb`, ….
public struct TestData: Sendable {
  public struct DataSet: Sendable {
    /// That of its folder.
    public var name: String
    /// Files by position among the model's inputs and outputs: what the tensors in them are called says nothing.
    public var inputs: [Int: String]
    public var outputs: [Int: String]
  }

  /// Path of the model.
  public let model: String
  /// In the order of their numbers; none where there are no such folders.
  public let dataSets: [DataSet]
  /// Of its outputs, where it brings tolerances of its own (`data.json`).
  public let rtol: Double?
  public let atol: Double?

  /// What is in `data.json`.
  private struct Tolerances: Decodable {
    var rtol: Double?
    var atol: Double?
  }

  /// - Parameter model: path of its file.
  /// - Throws: ``BadFile``.
  public init(beside model: String) throws {
    self.model = model
    let folder = (model as NSString).deletingLastPathComponent
    let place = folder.isEmpty ? "" : folder + "/"
    dataSets = try Self.names(in: folder.isEmpty ? "." : folder).compactMap { name in
      name.hasPrefix("test_data_set_") ? try Self.dataSet(name, at: place + name) : nil
    }
    let tolerances = FileManager.default.contents(atPath: place + "data.json").flatMap {
      try? JSONDecoder().decode(Tolerances.self, from: $0)
    }
    (rtol, atol) = (tolerances?.rtol, tolerances?.atol)
  }

  /// Models in a folder and in those below it, in the order of their paths. One folder holds one model.
  /// - Throws: ``BadFile`` where there is none, or a folder holds several.
  public static func models(in folder: String) throws -> [String] {
    let names = try names(in: folder)
    let models = names.filter { $0.hasSuffix(".onnx") }
    if let model = models.first(where: { $0 == "model.onnx" }) ?? (models.count == 1 ? models[0] : nil) {
      return ["\(folder)/\(model)"]
    }
    guard models.isEmpty else {
      throw BadFile(folder, "it has several models (\(models.joined(separator: ", "))): name one of them")
    }
    return try names.filter { !$0.hasPrefix(".") && isFolder("\(folder)/\($0)") }.flatMap {
      try Self.models(in: "\(folder)/\($0)")
    }
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// With numbers in their own order.
  private static func names(in folder: String) throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).sorted {
        $0.compare($1, options: .numeric) == .orderedAscending
      }
    } catch { throw BadFile(folder, "it cannot be read: no such folder, or no permission") }
  }

  private static func dataSet(_ name: String, at path: String) throws -> DataSet {
    var set = DataSet(name: name, inputs: [:], outputs: [:])
    for file in try names(in: path) {
      guard let match = file.wholeMatch(of: #/(input|output)_([0-9]{1,4})\.(pb|npy)/#), let place = Int(match.2) else {
        continue
      }
      if match.1 == "input" { set.inputs[place] = "\(path)/\(file)" } else { set.outputs[place] = "\(path)/\(file)" }
    }
    return set
  }
}

extension TestData.DataSet {
  /// The tensors of a model's inputs, in its order.
  /// - Parameters:
  ///   - ports: the model's inputs.
  ///   - path: of the model.
  /// - Throws: ``Unsupported`` where one is no tensor of numbers, ``BadFile`` where one is missing or is not what it should be.
  public func inputs(_ ports: [ONNXFile.Port], of path: String) throws -> [TensorFile] {
    if let place = inputs.keys.max(), place >= ports.count {
      throw BadFile(inputs[place]!, "the model has \(ports.count) inputs")
    }
    return try ports.enumerated().map { index, port in
      guard let kind = port.kind else { throw Unsupported("\(path): input \(port.name) is no tensor of numbers") }
      guard let input = inputs[index] else {
        throw BadFile(path, "\(name) has no input_\(index).pb, for input \(port.words)")
      }
      var tensor = try TensorFile(input)
      guard tensor.kind == kind, port.accepts(tensor.shape) else {
        throw BadFile(input, "\(tensor.kind.longName) \(Shape(tensor.shape)) does not fit input \(port.words)")
      }
      tensor.name = port.name
      return tensor
    }
  }
}
