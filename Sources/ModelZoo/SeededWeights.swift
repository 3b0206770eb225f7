import GraphCore
import TensorCore

/// Weights and inputs that any language can make bit for bit: value `i` of the entry `key` is drawn from splitmix64
/// started at FNV-1a(key), and scaled by what kind of entry it is. They give logits of a trained network's size.
public enum SeededWeights {
  /// Fills the weight map of `graph` with every entry the model declares.
  public static func fill(_ graph: inout Graph) throws {
    for (name, type) in graph.parameters { graph.weights[name] = try tensor(name, type) }
  }

  /// Values in −2…2 for an input of any shape.
  public static func input(_ shape: Shape) throws -> Tensor {
    let tensor = try Tensor(uninitialized: TensorType(shape))
    fill(tensor, key: "input", scale: 4, shift: -2)
    return tensor
  }

  static func tensor(_ key: String, _ type: TensorType) throws -> Tensor {
    if type.dtype == .int64 { return try Tensor(zeros: type) }
    let tensor = try Tensor(uninitialized: type)
    let fanIn = Float(type.shape.count / max(type.shape.extents.first ?? 1, 1))
    switch (type.shape.rank, key.split(separator: ".").last) {
    case (4, _): fillSymmetric(tensor, key: key, bound: Float((6.0 / Double(fanIn)).squareRoot()))
    case (2, _): fillSymmetric(tensor, key: key, bound: Float(1.0 / Double(fanIn).squareRoot()))
    case (_, "running_var"), (_, "weight"): fill(tensor, key: key, scale: 1, shift: 0.5)
    default: fillCentred(tensor, key: key)
    }
    return tensor
  }

  /// `(unit·2 − 1) · bound`
  private static func fillSymmetric(_ tensor: Tensor, key: String, bound: Float) {
    generate(tensor, key: key) { ($0 * 2 - 1) * bound }
  }
  /// `(unit − 0.5) · 0.2`
  private static func fillCentred(_ tensor: Tensor, key: String) { generate(tensor, key: key) { ($0 - 0.5) * 0.2 } }
  /// `unit · scale + shift`
  private static func fill(_ tensor: Tensor, key: String, scale: Float, shift: Float) {
    generate(tensor, key: key) { $0 * scale + shift }
  }

  @inline(__always)
  private static func generate(_ tensor: Tensor, key: String, _ value: (Float) -> Float) {
    var state: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let out = tensor.floats.baseAddress!
    for i in 0..<tensor.shape.count {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      out[i] = value(Float(z >> 40) * 0x1p-24)
    }
  }
}
