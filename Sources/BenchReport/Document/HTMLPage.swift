import Foundation

/// What every page has: its colours, and what makes tables sort and rows come and go.
enum HTMLPage {
  static func text(title: String, body: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>\(escaped(title.replacingOccurrences(of: "`", with: "")))</title>
    <style>
    \(colours)\(style)\(chartStyle)</style>
    </head>
    <body>
    <main>
    \(body)</main>
    <script>
    \(script)</script>
    </body>
    </html>

    """
  }

  /// Tags as attributes that rows are chosen by.
  static func attributes(_ tags: [String: String]) -> String {
    tags.sorted { $0.key < $1.key }.map { " data-\($0.key)=\"\(escaped($0.value))\"" }.joined()
  }

  /// What lies beside this file under `Page`, as texts.
  private static func file(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
  static let colours = file(PackageResources.colours_css)
  static let chartStyle = file(PackageResources.chart_css)
  private static let style = file(PackageResources.page_css)
  private static let script = file(PackageResources.page_js)
}
