/// A name that is in no list.
public struct UnknownName: Error, CustomStringConvertible {
  public let description: String

  public init(kind: String, name: String, known: [String]) {
    let nearest = known.map { ($0, editDistance(name, $0)) }.min { $0.1 < $1.1 }
    let hint = nearest.flatMap { $0.1 <= max(2, name.count / 3) ? "; did you mean \($0.0)?" : nil } ?? ""
    description = "unknown \(kind) \"\(name)\"\(hint) Known: \(known.joined(separator: ", "))"
  }
}

/// Insertions, deletions and substitutions that turn one text into the other.
func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a), Array(b))
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
    }
  }
  return row[b.count]
}
