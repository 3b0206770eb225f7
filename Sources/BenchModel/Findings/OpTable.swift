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
    /// How many of the correct ones ran on the op's own loops, for want of a kernel or because that was asked for.
    public var onReference = 0

    package init(
      op: String, column: String, cases: Int = 0, correct: Int = 0, wrong: [String] = [], unsupported: [String] = [],
      reason: String? = nil, kernels: [String] = [], onReference: Int = 0
    ) {
      (self.op, self.column, self.cases, self.correct) = (op, column, cases, correct)
      (self.wrong, self.unsupported, self.reason, self.kernels) = (wrong, unsupported, reason, kernels)
      self.onReference = onReference
    }

    /// Correct on kernels made for speed, or on the op's own loops; wrong; or why not at all.
    public var words: String {
      if !wrong.isEmpty { return "WRONG in \(wrong.count) of \(cases)" }
      if correct == 0 { return "unsupported: \(reason ?? "")" }
      let kind = onReference == correct ? "reference" : "fast"
      var words = kind
      if kind == "fast", onReference > 0 { words += ", reference in \(onReference)" }
      return unsupported.isEmpty ? "\(words) (\(cases))" : "\(words) in \(correct) of \(cases): \(reason ?? "")"
    }
  }

  public var entries: [Entry] = []

  package init(entries: [Entry] = []) {
    self.entries = entries
  }

  public var hasWrong: Bool { entries.contains { !$0.wrong.isEmpty } }
}
