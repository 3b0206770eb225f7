// The process that is measured: one job on standard input, JSON lines on standard output. `pacer-worker supervise -- COMMAND`
// runs any worker so that nothing of it outlives its runner; `supervise --probes -- COMMAND` measures besides what the
// worker of another engine does not.
import BenchWorker
import CAllocationCounter
import CMeasure
import Foundation
import Pacer

func end(_ message: String) -> Never {
  try? FileHandle.standardError.write(contentsOf: Data("pacer-worker: \(message)\n".utf8))
  exit(64)
}

pacer_keep_standard_descriptors()
let words = Array(CommandLine.arguments.dropFirst())
switch words.first {
case "supervise":
  var command = words.dropFirst()
  let probes = command.first == "--probes"
  if probes { command.removeFirst() }
  if command.first == "--" { command.removeFirst() }
  guard !command.isEmpty else { end("supervise -- COMMAND: a command is missing") }
  // Threads of the relay may still wait for lines.
  if probes { _exit(ProbeRelay.supervise(Array(command))) }
  var arguments = command.map { strdup($0) } + [nil]
  exit(arguments.withUnsafeMutableBufferPointer { pacer_supervise($0.baseAddress!, nil) })
case nil:
  if let reason = InstructionSet.capError { end(reason) }
  exit(
    Worker.serve(
      WorkerCatalog(
        heapCounter: HeapCounter(
          start: { pacer_heap_start() },
          stop: {
            var (allocations, bytes): (Int64, Int64) = (0, 0)
            pacer_heap_stop(&allocations, &bytes)
            return (Int(allocations), Int(bytes))
          },
          unavailable: { pacer_heap_available() == 0 ? "another allocator is in front of malloc" : nil }))))
default: end("it reads one job (JSON) on standard input; `bench-suite` starts it. Unknown argument: \(words[0])")
}
