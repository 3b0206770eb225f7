/// What is wrong with a file of weights, while its name is not at hand: whoever knows it makes a `BadFile` of it.
struct Flaw: Error {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}

/// Words for what a file holds, which may be anything.
enum FileText {
  /// A name out of a file for a message: on one line, without what a terminal would obey, and not endless.
  static func name(_ text: some StringProtocol) -> String {
    let shown = text.unicodeScalars.prefix(120).map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }
    return String(String.UnicodeScalarView(shown)) + (shown.count < text.unicodeScalars.count ? "…" : "")
  }

  /// The first few of many names.
  static func list(_ names: [String], atMost limit: Int = 6) -> String {
    let shown = names.prefix(limit).map(name).joined(separator: ", ")
    return names.count > limit ? "\(shown) and \(names.count - limit) more" : shown
  }

  static func shape(_ extents: [Int]) -> String {
    "[\(extents.prefix(12).map(String.init).joined(separator: ", "))\(extents.count > 12 ? ", …" : "")]"
  }
}
