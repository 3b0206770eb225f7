import BenchModel
import BenchProtocol
import Foundation

/// A second link order of a program that SwiftPM has built: the same objects, shuffled, and some functions that nobody
/// calls. Where code lies in memory alone makes it a little faster or slower; that is no property of a version.
struct LinkOrder {
  private let arguments: [String]
  private let list: URL
  private let objects: [String]
  private let output: Int

  /// Reads the link command of the last build.
  /// - Throws: ``UserError`` where there is none of the expected form.
  init(scratch: URL, product: String, configuration: String) throws {
    let manifest = scratch.appendingPathComponent(configuration + ".yaml")
    guard let text = try? String(contentsOf: manifest, encoding: .utf8) else {
      throw UserError("\(manifest.path) cannot be read")
    }
    let lines = text.split(separator: "\n")
    guard
      let command = lines.firstIndex(where: { $0.hasPrefix("  \"C.\(product)-") && $0.hasSuffix(".exe\":") }),
      let line = lines[command...].prefix(12).first(where: { $0.hasPrefix("    args: [") }),
      let arguments = try? JSONDecoder().decode([String].self, from: Data(line.dropFirst(10).utf8)),
      let output = arguments.firstIndex(of: "-o").map({ $0 + 1 }), output < arguments.count,
      let list = arguments.first(where: { $0.hasPrefix("@") && $0.hasSuffix(".LinkFileList") })?.dropFirst(),
      let objects = try? String(contentsOfFile: String(list), encoding: .utf8)
    else { throw UserError("\(manifest.path) has no link command for \(product)") }
    self.arguments = arguments
    self.output = output
    self.list = URL(fileURLWithPath: String(list))
    self.objects = objects.split(separator: "\n").map(String.init)
  }

  /// - Parameter chance: draws the order.
  func link(to url: URL, _ chance: Chance) async throws {
    let compiler = URL(fileURLWithPath: arguments[0])
    let work = url.deletingLastPathComponent().appendingPathComponent("link-\(getpid())")
    try makeFolder(work)
    defer { try? FileManager.default.removeItem(at: work) }
    // Kernels stay behind everything else: the first copy of a shared symbol wins, and theirs needs newer processors.
    let (kernels, others) = (objects.filter(Self.isKernel), objects.filter { !Self.isKernel($0) })
    var order = chance.draw { others.shuffled(using: &$0) }
    for module in ["x86AVX2", "x86AVX512"] {
      order += chance.draw { generator in kernels.filter { $0.contains(module) }.shuffled(using: &generator) }
    }

    let source = work.appendingPathComponent("unused.c")
    let functions = (0..<chance.draw { Int.random(in: 20...200, using: &$0) }).map {
      "int pacer_unused_\($0)(int x) { return x * \($0) + x / 3; }\n"
    }
    try Data(functions.joined().utf8).write(to: source)
    let unused = work.appendingPathComponent("unused.o")
    try await Self.run(
      compiler.deletingLastPathComponent().appendingPathComponent("clang"),
      [
        "-O1", "-c", source.path, "-o", unused.path,
      ])
    order.insert(unused.path, at: chance.draw { Int.random(in: 0...others.count, using: &$0) })

    let file = work.appendingPathComponent("Objects.LinkFileList")
    try Data((order.joined(separator: "\n") + "\n").utf8).write(to: file)
    var arguments = arguments.map { $0 == "@" + list.path ? "@" + file.path : $0 }
    arguments[output] = url.path
    try await Self.run(compiler, Array(arguments.dropFirst()))
  }

  private static func isKernel(_ object: String) -> Bool { object.contains("/x86AVX") }

  private static func run(_ tool: URL, _ arguments: [String]) async throws {
    let result = try await Supervisor.run(tool.path, arguments)
    guard case .exited(0) = result.status else {
      throw UserError("\(tool.lastPathComponent): \(result.errors.split(separator: "\n").last ?? "failed")")
    }
  }
}
