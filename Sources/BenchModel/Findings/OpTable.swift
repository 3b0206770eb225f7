/// Which op runs where: every op case on every backend, in every memory format and precision.
public struct OpTable: Codable, Sendable {
  /// All cases of one op in one column.
  public struct Entry: Codable, Sendable {
    public var op: String
    /// Backend, kernels, memory format and precision.
    public var column: String
    public var cases = 0
    public var correct = 0
    /// Cases with a wrong output, and those without a kernel, by name.
    public var wrong: [String] = []
    public var unsupported: [String] = []
    /// Why the first of those has no kernel.
    public var reason: String?
    public var kernels: [String] = []
    /// Whether the kernels are the scalar oracle.
    public var isReference = false

    package init(
      op: String, column: String, cases: Int = 0, correct: Int = 0, wrong: [String] = [], unsupported: [String] = [],
      reason: String? = nil, kernels: [String] = [], isReference: Bool = false
    ) {
      (self.op, self.column, self.cases, self.correct) = (op, column, cases, correct)
      (self.wrong, self.unsupported, self.reason, self.kernels) = (wrong, unsupported, reason, kernels)
      self.isReference = isReference
    }

    /// Correct, and on kernels made for speed; correct; wrong; or why not at all.
    public var words: String {
      if !wrong.isEmpty { return "WRONG in \(wrong.count) of \(cases)" }
      if correct == 0 { return "unsupported: \(reason ?? "")" }
      let kind = isReference ? "correct" : "fast"
      return unsupported.isEmpty ? "\(kind) (\(cases))" : "\(kind) in \(correct) of \(cases): \(reason ?? "")"
    }
  }

  public var entries: [Entry] = []

  package init(entries: [Entry] = []) {
    self.entries = entries
  }

  public var hasWrong: Bool { entries.contains { !$0.wrong.isEmpty } }
}
