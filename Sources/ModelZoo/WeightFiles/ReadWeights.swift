import GraphCore
import TensorCore

extension Graph {
  /// Fills the weight map from a safetensors file, or from a state dict that `torch.save` wrote, with torchvision's names.
  /// The content says which it is, not the name.
  ///
  /// Of a checkpoint with other things beside the state dict, the dictionary is taken that has the weights. A name that all
  /// tensors have in front, such as `module.` of a model that was trained in parallel, is dropped. Floats are converted to what
  /// the model needs, from float16, bfloat16, float64 and 8-bit ones too. What no op reads, such as `num_batches_tracked`, may
  /// be missing, and may be of any type.
  /// - Throws: `BadFile` for a file that is none of these, or is damaged, and for a weight that is missing, of another shape or
  ///   type, or of another model.
  public mutating func readWeights(_ path: String) throws {
    let file = try WeightFile(path)
    do { weights = try WeightSelection(self).read(file) } catch let flaw as Flaw { throw BadFile(path, flaw.reason) }
  }
}

/// Finds a model's weights in a file, whose names may have something in front of them.
private struct WeightSelection {
  private let model: String
  private let types: [String: TensorType]
  /// Names of the weights that ops read, in the model's order.
  private let needed: [String]
  private let neededNames: Set<String>

  init(_ graph: Graph) {
    let read = Set(graph.values.compactMap { if case .parameter = $0.source { $0.name } else { nil } })
    model = graph.name
    types = Dictionary(graph.parameters.map { ($0.name, $0.type) }) { first, _ in first }
    needed = graph.parameters.map(\.name).filter(read.contains)
    neededNames = Set(needed)
  }

  /// - Throws: ``Flaw``.
  func read(_ file: WeightFile) throws -> [String: Tensor] {
    let (set, prefix) = try choose(file)
    var weights: [String: Tensor] = [:]
    for (name, stored) in set.tensors.sorted(by: { $0.key < $1.key }) {
      guard name.hasPrefix(prefix) else {
        // A counter of the training, such as that of averaged models.
        if stored.shape.elementCount == 1 { continue }
        throw Flaw(
          "weight \(FileText.name(name)) is not part of \(model), whose weights begin with \(FileText.name(prefix)) here"
        )
      }
      let own = String(name.dropFirst(prefix.count))
      guard let type = types[own] else { throw Flaw("weight \(FileText.name(own)) is not part of \(model)") }
      if !neededNames.contains(own) {
        // Nothing reads it: one of another type is as good as none.
        if stored.shape == type.shape, stored.type == .plain(type.dtype) {
          weights[own] = try file.tensor(own, stored, as: type.dtype)
        }
        continue
      }
      // Before it is read: so no more is than the model has room for, whatever the file says.
      guard stored.shape == type.shape else {
        throw Flaw("weight \(own) has shape \(FileText.shape(stored.shape.extents)), the model needs \(type.shape)")
      }
      weights[own] = try file.tensor(own, stored, as: type.dtype)
    }
    return weights
  }

  /// The tensors that have all weights behind some prefix.
  private func choose(_ file: WeightFile) throws -> (set: WeightFile.Tensors, prefix: String) {
    let complete = file.sets.flatMap { set in prefixes(in: set.tensors).map { (set: set, prefix: $0) } }
    guard complete.count < 2 else {
      let places = complete.map { FileText.list([($0.set.keys + [$0.prefix]).joined(separator: ".")]) }
      throw Flaw(
        "it has \(complete.count) sets of weights for \(model), under \(FileText.list(places)): keep one of them")
    }
    if let found = complete.first { return found }
    // The fullest is the one that was meant, with something missing.
    let set = file.sets.max { $0.tensors.count < $1.tensors.count }!
    let prefix = likeliestPrefix(in: set.tensors)
    let missing = needed.first { set.tensors[prefix + $0] == nil } ?? ""
    throw Flaw(
      "weight \(FileText.name(prefix))\(missing)\(types[missing].map { " \($0)" } ?? "") is missing"
        + (set.keys.isEmpty ? "" : " under \(set.path)")
        + ": there are \(FileText.list(set.tensors.keys.sorted()))" + (file.contents.map { "; \($0)" } ?? ""))
  }

  /// Those behind which all weights are.
  private func prefixes(in tensors: [String: StoredTensor]) -> [String] {
    guard let first = needed.first else { return [""] }
    if tensors[first] != nil { return needed.allSatisfy { tensors[$0] != nil } ? [""] : [] }
    return prefixes(of: first, in: tensors).filter { prefix in needed.allSatisfy { tensors[prefix + $0] != nil } }
  }

  /// What stands before a name, in order.
  private func prefixes(of name: String, in tensors: [String: StoredTensor]) -> [String] {
    tensors.keys.filter { $0.hasSuffix("." + name) }.map { String($0.dropLast(name.count)) }.sorted()
  }

  /// The one that most weights are behind, where some are missing: the first or the last of them are rarely both.
  private func likeliestPrefix(in tensors: [String: StoredTensor]) -> String {
    let ends = [needed.first, needed.last].compactMap { $0 }
    // A file may have any number of them, and a few say enough.
    let some = [""] + ends.flatMap { prefixes(of: $0, in: tensors).prefix(8) }
    func count(_ prefix: String) -> Int { needed.count { tensors[prefix + $0] != nil } }
    return some.map { (prefix: $0, count: count($0)) }.reduce(("", 0)) { $1.count > $0.1 ? $1 : $0 }.0
  }
}
