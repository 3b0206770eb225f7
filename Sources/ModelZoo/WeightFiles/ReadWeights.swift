import GraphCore
import TensorCore

extension Graph {
  /// Fills the weight map from a safetensors file with torchvision's names.
  ///
  /// A name that all tensors have in front, such as `module.` of a model that was trained in parallel, is dropped. What no
  /// op reads, such as `num_batches_tracked`, may be missing, and may be of any type.
  /// - Throws: `SafeTensors.FormatError` for a file that is none, ``BadFile`` for a weight that is missing, of another
  ///   shape, or of another model.
  public mutating func readWeights(_ path: String) throws {
    let file = try SafeTensors.File(path)
    let names = file.names
    let prefix: String
    do { prefix = try self.prefix(of: names) } catch { throw BadFile(path, "\(error)") }
    weights = [:]
    for name in names {
      guard name.hasPrefix(prefix) else {
        // A counter of the training, such as that of averaged models.
        if let tensor = try? file.tensor(name), tensor.shape.count == 1 { continue }
        throw BadFile(path, "weight \(name) is not part of \(self.name), whose weights begin with \(prefix) here")
      }
      let own = String(name.dropFirst(prefix.count))
      guard let declared = parameters.first(where: { $0.name == own }), !readsParameter(own) else {
        weights[own] = try file.tensor(name)
        continue
      }
      // Nothing reads it: one of another type is as good as none.
      if let tensor = try? file.tensor(name), tensor.type == declared.type { weights[own] = tensor }
    }
    do { try verifyWeights() } catch { throw BadFile(path, "\(error)") }
  }

  /// What stands before every name that the model needs; empty where nothing does.
  /// - Throws: ``GraphError`` where there are several such sets.
  private func prefix(of names: [String]) throws -> String {
    guard let first = parameters.first(where: { readsParameter($0.name) })?.name, !names.contains(first) else {
      return ""
    }
    let all = Set(names)
    let prefixes = names.filter { $0.hasSuffix("." + first) }.map { String($0.dropLast(first.count)) }.filter {
      prefix in
      parameters.allSatisfy { !readsParameter($0.name) || all.contains(prefix + $0.name) }
    }
    guard prefixes.count < 2 else {
      throw GraphError(
        "it has \(prefixes.count) sets of weights for \(name), under \(prefixes.joined(separator: " and ")): keep one of them"
      )
    }
    return prefixes.first ?? ""
  }
}
