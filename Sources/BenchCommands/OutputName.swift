import ArgumentParser
import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Foundation
import Pacer

/// One rule for `--output` in all commands: the name is that of the first file a command writes, its extension says the
/// format, and what else is written goes beside it under the same name. An extension that is not what would be written is
/// refused before anything is done.
struct OutputName {
  /// Extensions of known formats, which cannot be meant as part of a name.
  private static let known: Set = [
    "json", "md", "html", "htm", "csv", "txt", "svg", "xml", "onnx", "yaml", "yml", "pdf", "png", "pacer",
  ]

  let path: String
  /// In lower case; nil where there is none.
  let format: String?

  /// - Parameter formats: extensions the command can write there.
  init(_ path: String, _ formats: [String]) throws {
    self.path = path
    let found = (path as NSString).pathExtension.lowercased()
    guard Self.known.contains(found) else {
      if path.isEmpty || path.hasSuffix("/") { throw ValidationError("--output \(path) is no name of a file") }
      format = nil
      return
    }
    guard formats.contains(found) else {
      let names = formats.map { "." + $0 }.joined(separator: " or ")
      throw ValidationError("--output \(path): this command writes \(names) there, not .\(found)")
    }
    format = found
  }

  var url: URL { URL(fileURLWithPath: path) }
  /// The name without its format.
  var stem: URL { format == nil ? url : url.deletingPathExtension() }
  func url(_ format: String) -> URL { stem.appendingPathExtension(format) }
}

extension Document {
  /// As a page, or as Markdown.
  func text(as format: String?) -> String { ["html", "htm"].contains(format) ? html : markdown }
}
