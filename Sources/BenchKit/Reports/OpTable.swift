import GraphCore
import RuntimeCore

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

    /// Correct, and on kernels made for speed; correct; wrong; or why not at all.
    public var words: String {
      if !wrong.isEmpty { return "WRONG in \(wrong.count) of \(cases)" }
      if correct == 0 { return "unsupported: \(reason ?? "")" }
      let kind = isReference ? "correct" : "fast"
      return unsupported.isEmpty ? "\(kind) (\(cases))" : "\(kind) in \(correct) of \(cases): \(reason ?? "")"
    }
  }

  public var entries: [Entry] = []

  public init(_ catalog: Catalog, isa: String?) throws {
    let toNHWC = catalog.passes.filter { ["channels-last", "prepack-weights"].contains($0.name) }
    let formats: [(name: String, passes: [any Pass])] = [
      ("nchw", toNHWC.filter { $0.name != "channels-last" }), ("nhwc", toNHWC),
    ]
    for backend in catalog.backends where backend.computesOutputs {
      let families = backend.name == "cpu" ? KernelFamily.allCases.reversed() : [.fast]
      for kernels in families {
        for format in formats where kernels == .fast || format.name == "nchw" {
          let family = kernels == .fast ? "" : " \(kernels.rawValue)"
          for precision in Precision.allCases {
            let options = PrepareOptions(
              kernels: kernels, instructionSet: backend.name == "cpu" ? isa : nil, precision: precision)
            // What no device has is one column without a kernel, not one for each precision.
            if precision != .fp32, case .unavailable = backend.availability(options) { continue }
            let column = "\(backend.name)\(family), \(format.name), \(precision)"
            try add(column, backend, kernels == .fast ? format.passes : [], options)
          }
        }
      }
    }
  }

  private mutating func add(
    _ column: String, _ backend: any Backend, _ passes: [any Pass], _ options: PrepareOptions
  ) throws {
    for opCase in opCases {
      let op = type(of: opCase.op).name
      let place =
        entries.firstIndex { $0.op == op && $0.column == column }
        ?? {
          entries.append(Entry(op: op, column: column, isReference: options.kernels == .reference))
          return entries.count - 1
        }()
      entries[place].cases += 1
      switch try Conformance.run(opCase, on: backend, passes: passes, options) {
      case .correct(let kernels):
        entries[place].correct += 1
        entries[place].kernels = Set(entries[place].kernels + kernels).sorted()
      case .wrong: entries[place].wrong.append(opCase.name)
      case .unsupported(let reason):
        entries[place].unsupported.append(opCase.name)
        entries[place].reason = entries[place].reason ?? reason
      }
    }
  }

  public var hasWrong: Bool { entries.contains { !$0.wrong.isEmpty } }

  public var report: Document {
    var document = Document("Which op runs where")
    let ops = entries.map(\.op).uniqued()
    // A backend that is not there at all is one sentence, not a column.
    let columns = entries.map(\.column).uniqued()
    let absent = columns.filter { column in
      entries.allSatisfy { $0.column != column || $0.correct + $0.wrong.count == 0 }
    }
    let present = columns.filter { !absent.contains($0) }
    document.table(
      Table(
        ["op"] + present, left: 1 + present.count,
        ops.map { op in
          [op] + present.map { column in entries.first { $0.op == op && $0.column == column }?.words ?? "–" }
        }))
    for column in absent {
      document.text("\(column): unsupported, \(entries.first { $0.column == column }?.reason ?? "").")
    }
    document.text(
      "In brackets: the cases, each held against the op's own scalar loop. `fast` kernels are made for speed.")
    let wrong = entries.flatMap { entry in entry.wrong.map { "\(entry.column): \($0)" } }
    if !wrong.isEmpty {
      document.heading("Wrong")
      for line in wrong { document.text(line) }
    }
    return document
  }
}
