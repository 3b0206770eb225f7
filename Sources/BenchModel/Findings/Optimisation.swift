/// What passes made of a model, and what of it was saved.
public struct Optimisation: Codable, Sendable {
  public struct Variant: Codable, Sendable {
    /// Nil of the portable one.
    public var instructionSet: String?
    public var nodes: Int
    public var weightBytes: Int
    /// Rewrites of each pass that ran, by name.
    public var rewrites: [String: Int]

    public init(instructionSet: String?, nodes: Int, weightBytes: Int, rewrites: [String: Int]) {
      (self.instructionSet, self.nodes) = (instructionSet, nodes)
      (self.weightBytes, self.rewrites) = (weightBytes, rewrites)
    }
  }

  public var model: String
  /// Of the file.
  public var path: String
  public var byteCount: Int
  /// Before any pass.
  public var nodes: Int
  public var weightBytes: Int
  /// Names of those that ran, in order.
  public var passes: [String]
  public var variants: [Variant]
  /// Names of the inputs that come with it.
  public var inputs: [String]

  public init(
    model: String, path: String, byteCount: Int, nodes: Int, weightBytes: Int, passes: [String], variants: [Variant],
    inputs: [String]
  ) {
    (self.model, self.path, self.byteCount) = (model, path, byteCount)
    (self.nodes, self.weightBytes, self.passes) = (nodes, weightBytes, passes)
    (self.variants, self.inputs) = (variants, inputs)
  }
}
