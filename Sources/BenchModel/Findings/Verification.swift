import TensorCore

/// Models held against the outputs that came with them.
public struct Verification: Codable, Sendable {
  /// An output, of one data set in one configuration.
  public struct Output: Codable, Sendable {
    public var configuration: String
    public var dataSet: String
    public var name: String
    /// What it is: `f32[1x10]`.
    public var type: String
    /// The largest difference, and the largest one over the expected value; infinite where one of the two is no number.
    public var absolute: Double
    public var relative: Double
    public var holds: Bool
    /// Why it does not hold, where that is not its numbers.
    public var reason: String?

    package init(
      configuration: String, dataSet: String, name: String, type: String, difference: Difference, reason: String? = nil
    ) {
      (self.configuration, self.dataSet, self.name, self.type) = (configuration, dataSet, name, type)
      (absolute, relative) = (difference.absolute, difference.relative)
      (holds, self.reason) = (reason == nil && difference.holds, reason)
    }
  }

  public enum Status: String, Codable, Sendable, CaseIterable {
    case passed
    /// An output is not what it should be.
    case differs
    /// It cannot be read or run, and should be.
    case failed
    /// There is no op for a node, or it needs what Pacer does not have.
    case unsupported
    case noData = "no data set"
  }

  /// One model with its data sets.
  public struct Case: Codable, Sendable {
    /// Its folder's path below the one that was named, or the model's file.
    public var name: String
    /// The kind of its nodes, as ONNX names it; `several` where there is more than one.
    public var op: String
    public var status: Status
    /// Why it failed or is not supported; of a whole file, why the data beside it is not for it.
    public var reason: String?
    /// Operators that Pacer does not have.
    public var missing: [String] = []
    /// Inputs whose values had to be known before the run, and are part of the graph that ran.
    public var fixed: [String] = []
    public var outputs: [Output] = []
    /// Bytes of a file that brings digests of all that is in it, and holds what it should; nil of one that brings none.
    public var wholeBytes: Int?

    package init(name: String, op: String, status: Status, reason: String? = nil, missing: [String] = []) {
      (self.name, self.op, self.status, self.reason, self.missing) = (name, op, status, reason, missing)
    }

    /// The word for several kinds of nodes.
    package static let several = "several"
  }

  /// Cases of one kind of node.
  public struct Count: Codable, Sendable {
    public var op: String
    public var passed = 0
    public var failed = 0
    public var unsupported = 0
    package init(op: String) { self.op = op }

    package mutating func add(_ status: Status) {
      switch status {
      case .passed: passed += 1
      case .differs, .failed: failed += 1
      case .unsupported: unsupported += 1
      case .noData: break
      }
    }
  }

  public var cases: [Case]

  package init(cases: [Case]) { self.cases = cases }

  /// By kind of node, in alphabetical order.
  public var counts: [Count] {
    var counts: [String: Count] = [:]
    for item in cases { counts[item.op, default: Count(op: item.op)].add(item.status) }
    return counts.values.sorted { $0.op < $1.op }
  }

  public var total: Count {
    var total = Count(op: "all")
    for item in cases { total.add(item.status) }
    return total
  }
}

/// How far numbers are from those expected, as `numpy.testing.assert_allclose` tells it.
public struct Difference: Sendable, Equatable {
  public var absolute = 0.0
  public var relative = 0.0
  /// Whether each element is as near as is allowed.
  public var holds = true

  package init() {}

  /// An element holds where the difference is at most `atol + rtol · |expected|`; NaN is the same as NaN, and infinity as itself.
  package init(_ found: [Double], _ expected: [Double], rtol: Double, atol: Double) {
    for (a, e) in zip(found, expected) where a != e && !(a.isNaN && e.isNaN) {
      // Of one that is no number there is no difference that could be small.
      let difference = a.isFinite && e.isFinite ? (a - e).magnitude : .infinity
      absolute = max(absolute, difference)
      if e != 0 { relative = max(relative, difference.isFinite ? difference / e.magnitude : .infinity) }
      if !(difference <= atol + rtol * e.magnitude) || !difference.isFinite { holds = false }
    }
  }

  /// Two units in the last place, which no tolerance is below: bfloat16 has 8 bits.
  package static let rtolOfBFloat16 = 1.0 / 64
}
