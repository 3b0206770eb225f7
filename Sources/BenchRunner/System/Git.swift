import BenchModel
import BenchProtocol
import Foundation
import Subprocess

/// Runs git so that neither the caller's surroundings nor his settings change what it does: nothing of a hook's
/// repository is handed on, no hook runs, no index is touched to refresh it.
public enum Git {
  /// The caller's environment without what belongs to one repository: a hook's `GIT_DIR`, index and work tree, an external
  /// diff. Settings and ways to log in stay.
  public static var environment: Environment {
    let kept = ["GIT_CONFIG_", "GIT_SSH", "GIT_SSL", "GIT_ASKPASS", "GIT_EXEC_PATH", "GIT_CEILING_", "GIT_TRACE"]
    let names = ProcessInfo.processInfo.environment.keys.filter { name in
      name.hasPrefix("GIT_") && (!kept.contains(where: name.hasPrefix) || name == "GIT_CONFIG_PARAMETERS")
    }
    let unset = names.map { (Environment.Key(rawValue: $0)!, String?.none) }
    return .inherit.updating(Dictionary(uniqueKeysWithValues: unset))
  }

  private static let settings = [
    "--no-optional-locks", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
  ]

  /// A diff that is one: no other tool's output, no colours, the usual prefixes.
  static let diff = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"]

  /// What a command prints, as it is.
  /// - Parameters:
  ///   - environment: variables besides.
  ///   - statuses: exit statuses that are no failure.
  /// - Throws: ``UserError`` with git's own words.
  static func run(
    _ arguments: [String], in folder: URL, environment more: [String: String] = [:], statuses: Set<Int32> = [0]
  ) async throws -> String {
    var environment = environment
    for (name, value) in more { environment = environment.updating([Environment.Key(rawValue: name)!: value]) }
    do {
      let result = try await Subprocess.run(
        .name("git"), arguments: Arguments(["-C", folder.path] + settings + arguments), environment: environment,
        output: .string(limit: 16 << 20), error: .string(limit: 1 << 20))
      guard case .exited(let status) = result.terminationStatus, statuses.contains(status) else {
        throw UserError(
          "git \(arguments.first { !$0.hasPrefix("-") && !$0.contains("=") } ?? ""): \(words(result.standardError))")
      }
      return result.standardOutput
    } catch let error as SubprocessError where error.code == .executableNotFound {
      throw UserError("git is not installed, or not on PATH")
    }
  }

  /// From the fatal line on: what git advises comes after it.
  private static func words(_ text: String) -> String {
    let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    let first = lines.firstIndex { $0.hasPrefix("fatal:") || $0.hasPrefix("error:") } ?? max(lines.count - 1, 0)
    return lines.isEmpty ? "no reason given" : lines[first...].joined(separator: " ")
  }
}
