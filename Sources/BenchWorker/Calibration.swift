import BenchProtocol
import Foundation
import ModelFiles
import Pacer

/// Inputs that ranges of int8 tensors are learned from.
package enum Calibration {
  private static let pictures: Set<String> = ["png", "jpg", "jpeg"]
  private static let tensors: Set<String> = ["npy", "pb"]

  /// Files that can be samples, by name.
  /// - Throws: ``UserError`` where there are none.
  package static func files(_ path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError("--calibrate: there is no \(path)")
    }
    guard isFolder.boolValue else { return [path] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let files = names.sorted().map { path + "/" + $0 }.filter {
      pictures.union(tensors).contains(($0 as NSString).pathExtension.lowercased())
    }
    guard !files.isEmpty else {
      throw UserError("--calibrate: \(path) has no picture (.png, .jpg) and no tensor (.npy, .pb)")
    }
    return files
  }

  /// Samples in a file or folder, each the one input of a graph.
  /// - Throws: ``UserError`` where the graph has several inputs or a file is no such input, and what reading throws.
  package static func samples(_ path: String, of graph: Graph) throws -> [[Tensor]] {
    guard graph.inputs.count == 1 else {
      throw UserError("--calibrate: \(graph.name) has \(graph.inputs.count) inputs; only the run's own can be samples")
    }
    let type = graph[graph.inputs[0]].type
    return try files(path).map { file in
      let ending = (file as NSString).pathExtension.lowercased()
      let tensor: Tensor
      if ending == "npy" || ending == "pb" {
        tensor = try Tensor(TensorFile(file))
      } else {
        guard type.shape.rank == 4, type.shape[0] == 1, type.shape[1] == 3, type.shape[2] == type.shape[3] else {
          throw UserError("--calibrate: \(graph.name) reads \(type), which is no square picture of three channels")
        }
        tensor = try ImageInput.load(file, side: type.shape[2])
      }
      guard tensor.type == type else {
        throw UserError("--calibrate: \(file) is \(tensor.type), and \(graph.name) reads \(type)")
      }
      return [tensor]
    }
  }
}
