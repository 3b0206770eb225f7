/// Element type of a tensor.
public enum DType: String, Hashable, Sendable, Codable {
  case float32 = "f32"
  /// Only PyTorch's `num_batches_tracked` counters use it; no kernel computes in it.
  case int64 = "i64"

  public var byteCount: Int {
    switch self {
    case .float32: 4
    case .int64: 8
    }
  }
}
