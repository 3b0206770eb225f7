import BenchModel
import BenchRunner
import Foundation
import Pacer

/// What this program offers.
var catalog: Catalog { Harness.current.catalog }

/// The folder with the sources of this program; nil where it is not in one.
let checkoutFolder: URL? = {
  var folder = URL(fileURLWithPath: WorkerProgram.ownPath)
  while folder.path != "/" {
    folder.deleteLastPathComponent()
    let marks = ["Package.swift", "Sources/bench-suite", "Suites"].map { folder.appendingPathComponent($0).path }
    if marks.allSatisfy(FileManager.default.fileExists) { return folder }
  }
  return nil
}()

/// Where results are, and suites and peers of one's own: the folder above the nearest `Suites`, from the working directory
/// upwards, or the checkout this program was built in.
let projectFolder: URL = {
  let here = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
  var folder = here
  while true {
    var isFolder: ObjCBool = false
    let suites = folder.appendingPathComponent("Suites").path
    if FileManager.default.fileExists(atPath: suites, isDirectory: &isFolder), isFolder.boolValue { return folder }
    if folder.path == "/" { break }
    folder.deleteLastPathComponent()
  }
  return checkoutFolder ?? here
}()
/// The project's own suites, and baselines.
var suitesFolder: URL { projectFolder.appendingPathComponent("Suites") }
/// Where suites and peers are looked for, one's own first.
var suitesFolders: [URL] {
  let theirs = checkoutFolder.map { $0.appendingPathComponent("Suites") }
  return [suitesFolder]
    + [theirs].compactMap { $0 }.filter { $0.standardizedFileURL != suitesFolder.standardizedFileURL }
}

func currentVersion() async -> Version { await Version.current(release: pacerRelease, checkout: checkoutFolder) }
