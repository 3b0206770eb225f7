import CAllocationCounter
import Foundation
import Pacer

/// What this program offers: Pacer's standard catalogue, and a heap counter.
let catalog = Catalog.standard(
  heapCounter: HeapCounter(
    start: { pacer_heap_start() },
    stop: {
      var (allocations, bytes): (Int64, Int64) = (0, 0)
      pacer_heap_stop(&allocations, &bytes)
      return (Int(allocations), Int(bytes))
    },
    unavailable: { pacer_heap_available() == 0 ? "another allocator is in front of malloc" : nil }))

/// Where suites, peers and results are: the folder above the nearest `Suites`, from the working directory upwards,
/// or the checkout this program was built in.
let projectFolder: URL = {
  var folder = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
  while true {
    if FileManager.default.fileExists(atPath: folder.appendingPathComponent("Suites/default.yaml").path) {
      return folder
    }
    if folder.path == "/" { break }
    folder.deleteLastPathComponent()
  }
  var built = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
  while built.path != "/" {
    built.deleteLastPathComponent()
    if FileManager.default.fileExists(atPath: built.appendingPathComponent("Suites/default.yaml").path) { return built }
  }
  return URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
}()
var suitesFolder: URL { projectFolder.appendingPathComponent("Suites") }
