import BenchProtocol
import Foundation

/// Command lines as a POSIX shell reads and writes them, without expansions.
public enum ShellWords {
  /// The words of a command: blanks divide, quotes and backslashes keep together.
  /// - Throws: ``UserError`` for a quote that is not closed.
  public static func split(_ text: String) throws -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var isEscaped = false
    for character in text {
      if isEscaped {
        // Between double quotes a backslash stands for itself before most characters.
        if quote == "\"" && !"\"\\$`".contains(character) { word?.append("\\") }
        word = (word ?? "") + String(character)
        isEscaped = false
      } else if character == "\\" && quote != "'" {
        isEscaped = true
        word = word ?? ""
      } else if let open = quote {
        if character == open { quote = nil } else { word?.append(character) }
      } else if character == "'" || character == "\"" {
        quote = character
        word = word ?? ""
      } else if character.isWhitespace {
        if let done = word { words.append(done) }
        word = nil
      } else {
        word = (word ?? "") + String(character)
      }
    }
    guard quote == nil, !isEscaped else {
      throw UserError(
        "\(text): \(quote.map { "the quote \($0) is not closed" } ?? "nothing follows the last backslash")")
    }
    if let word { words.append(word) }
    return words
  }

  /// The words as one line that a shell reads back as they are.
  public static func join(_ words: [String]) -> String {
    words.map { word in
      let isPlain =
        !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./,:=+@%".contains($0)) }
      return isPlain ? word : "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }.joined(separator: " ")
  }
}
