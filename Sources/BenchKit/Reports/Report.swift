/// A way to write down a result.
public protocol Report: Sendable {
  var name: String { get }
  func render(_ file: ResultFile, _ catalog: Catalog) -> String
}

public let standardReports: [any Report] = [MarkdownReport(), JSONReport(), CSVReport()]
