/// Finds the commit that made something worse, between one that is good and one that is bad. What cannot be judged is
/// skipped, and its neighbours are tried instead.
public struct Bisection: Sendable {
  public enum Judgement: String, Codable, Sendable { case good, bad, skip }

  /// Commits after the good one up to the bad one, oldest first.
  public let commits: [String]
  public private(set) var judgements: [String: Judgement] = [:]

  /// - Parameter commits: not empty; the last one is known to be bad.
  public init(_ commits: [String]) {
    self.commits = commits
    if let last = commits.last { judgements[last] = .bad }
  }

  /// Positions of the last commit known good (−1: the one before the first) and of the first known bad one after it.
  private var bounds: (good: Int, bad: Int) {
    let good = commits.lastIndex { judgements[$0] == .good } ?? -1
    let bad = commits.indices.first { $0 > good && judgements[commits[$0]] == .bad } ?? commits.count - 1
    return (good, bad)
  }

  /// Those that may have done it: one once it is found, more where the rest could not be judged.
  public var suspects: [String] {
    let (good, bad) = bounds
    return good + 1 <= bad ? Array(commits[(good + 1)...bad]) : []
  }

  /// The commit to judge next: the one nearest to the middle that is not judged; nil at the end.
  public var next: String? {
    let (good, bad) = bounds
    let middle = Double(good + bad) / 2
    return (good + 1..<max(good + 1, bad)).filter { judgements[commits[$0]] == nil }
      .min { abs(Double($0) - middle) < abs(Double($1) - middle) }.map { commits[$0] }
  }

  public mutating func judge(_ commit: String, _ judgement: Judgement) { judgements[commit] = judgement }

  /// How many more are to be judged, at most about.
  public var stepsLeft: Int {
    let (good, bad) = bounds
    var (count, steps) = (max(bad - good, 1), 0)
    while count > 1 { (count, steps) = ((count + 1) / 2, steps + 1) }
    return steps
  }
}
