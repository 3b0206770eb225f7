import BenchModel
import Foundation

extension Baseline {
  /// The patch that turns the file at `url` into this baseline, as git applies it.
  public func patch(of url: URL, named path: String) async throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let (old, new) = (folder.appendingPathComponent("a/\(path)"), folder.appendingPathComponent("b/\(path)"))
    let before = try? Data(contentsOf: url)
    if let before { try writeFile(before, to: old) }
    try writeFile(data, to: new)
    // Status 1 says that there are differences.
    return try await Git.run(
      Git.diff + ["--no-index", "-U1", "--no-prefix", before == nil ? "/dev/null" : "a/\(path)", "b/\(path)"],
      in: folder,
      statuses: [0, 1])
  }
}
