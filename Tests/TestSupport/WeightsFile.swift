import Foundation
import GraphCore
import ModelZoo
import TensorCore

/// Writes a model's seeded weights in the safetensors format.
/// - Parameters:
///   - prefix: before every name.
///   - change: what is to be different about an entry: its type's name and its bytes; nil leaves it out.
public func writeWeights(
  of model: ModelDescription, to url: URL, prefix: String = "",
  change: (_ name: String, _ tensor: Tensor) -> (dtype: String, bytes: Data)? = { plainWeights($1) }
) throws {
  var graph = try model.build(model.inputShape)
  try SeededWeights.fill(&graph)
  var (header, body) = ([String: Any](), Data())
  for (name, tensor) in graph.weights.sorted(by: { $0.key < $1.key }) {
    guard let entry = change(name, tensor) else { continue }
    header[prefix + name] = [
      "dtype": entry.dtype, "shape": tensor.shape.extents,
      "data_offsets": [body.count, body.count + entry.bytes.count],
    ]
    body += entry.bytes
  }
  let text = try JSONSerialization.data(withJSONObject: header)
  try (withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + body).write(to: url)
}

/// An entry as it is.
public func plainWeights(_ tensor: Tensor) -> (dtype: String, bytes: Data) {
  if tensor.type.dtype == .int64 { return ("I64", Data(count: 8 * tensor.shape.count)) }
  return ("F32", tensor.values.withUnsafeBytes { Data($0) })
}

/// Writes a model's seeded weights as `torch.save` does, in a checkpoint of a parallel training.
public func writeTorchWeights(of model: ModelDescription, to url: URL) throws {
  var graph = try model.build(model.inputShape)
  try SeededWeights.fill(&graph)
  var (items, storages) = ([(String, Pickled)](), [String: [UInt8]]())
  for (key, (name, tensor)) in graph.weights.sorted(by: { $0.key < $1.key }).enumerated() {
    let storage = tensor.type.dtype == .int64 ? "LongStorage" : "FloatStorage"
    items.append(("module." + name, .tensor(storage, key: "\(key)", count: tensor.shape.count, tensor.shape.extents)))
    storages["\(key)"] = [UInt8](plainWeights(tensor).bytes)
  }
  try torchFile(.dictionary([("epoch", .int(90)), ("state_dict", .ordered(items))]), storages).write(to: url)
}
