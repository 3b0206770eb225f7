import BenchModel
import BenchProtocol
import BenchReport
import BenchRunner
import BenchStatistics
import Pacer

extension OpTable {
  package init(_ runtime: Runtime, isa: String?) throws {
    self.init()
    let toNHWC = runtime.passes.filter { ["channels-last", "prepack-weights"].contains($0.name) }
    let formats: [(name: String, passes: [any Pass])] = [
      ("nchw", toNHWC.filter { $0.name != "channels-last" }), ("nhwc", toNHWC),
    ]
    for plain in runtime.backends where plain.computesOutputs {
      let families = plain.name == "cpu" ? KernelFamily.allCases.reversed() : [.fast]
      for kernels in families {
        for format in formats where kernels == .fast || format.name == "nchw" {
          let family = kernels == .fast ? "" : " \(kernels.rawValue)"
          for precision in Precision.allCases {
            let options = PrepareOptions()
            var backend = plain
            if plain.name == "cpu" {
              backend = try backend.choosing("kernels", kernels.rawValue) ?? backend
              if let isa { backend = try backend.choosing("isa", isa) ?? backend }
            }
            // What no device has is one column without a kernel, not one for each precision.
            if precision == .int8 { continue }
            if precision != .fp32, backend.name == "cpu" || backend.availability(options).isUnavailable { continue }
            let column = "\(backend.name)\(family), \(format.name), \(precision)"
            let passes = kernels == .fast ? format.passes : []
            try add(column, backend, passes.adding(portable: precision.passes), options)
          }
        }
      }
    }
  }

  private mutating func add(
    _ column: String, _ backend: any Backend, _ passes: [any Pass], _ options: PrepareOptions
  ) throws {
    for opCase in opCases {
      let op = opCase.op.name
      let place =
        entries.firstIndex { $0.op == op && $0.column == column }
        ?? {
          entries.append(Entry(op: op, column: column))
          return entries.count - 1
        }()
      entries[place].cases += 1
      switch try Conformance.run(opCase, on: backend, passes: passes, options) {
      case .correct(let kernels):
        entries[place].correct += 1
        if kernels.contains(Support.reference) { entries[place].onReference += 1 }
        entries[place].kernels = Set(entries[place].kernels + kernels).sorted()
      case .wrong: entries[place].wrong.append(opCase.name)
      case .unsupported(let reason):
        entries[place].unsupported.append(opCase.name)
        entries[place].reason = entries[place].reason ?? reason
      }
    }
  }
}
