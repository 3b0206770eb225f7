import Foundation

/// Pacer's own worker, which lies beside the program that starts it.
package enum WorkerProgram {
  package static let name = "pacer-worker"

  /// This program's own file.
  package static let ownPath =
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]

  /// Nil where there is none.
  package static let path: String? = {
    // Tests run inside a bundle that lies beside it, and a package from outside has one of its own.
    let beside = URL(fileURLWithPath: ownPath).deletingLastPathComponent().appendingPathComponent(name).path
    return FileManager.default.isExecutableFile(atPath: beside) ? beside : nil
  }()
}
