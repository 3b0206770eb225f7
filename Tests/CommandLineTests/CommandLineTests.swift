import Foundation
import Testing

/// The program itself, as a person runs it.
enum Program {
  static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
  static var path: String { folder.appendingPathComponent("bench-suite").path }
  /// What is measured.
  static var worker: String { folder.appendingPathComponent("pacer-worker").path }

  static func run(
    _ arguments: [String], executable: String = path, environment: [String: String] = [:],
    interruptWhen: (() -> Bool)? = nil
  ) throws -> (status: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("GITHUB_") }
      .merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    let names = (0..<2).map { _ in FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())") }
    for name in names { _ = FileManager.default.createFile(atPath: name.path, contents: nil) }
    defer { for name in names { try? FileManager.default.removeItem(at: name) } }
    process.standardOutput = try FileHandle(forWritingTo: names[0])
    process.standardError = try FileHandle(forWritingTo: names[1])
    try process.run()
    if let interruptWhen {
      while process.isRunning && !interruptWhen() { Thread.sleep(forTimeInterval: 0.02) }
      process.interrupt()
    }
    process.waitUntilExit()
    func text(_ url: URL) throws -> String { String(decoding: try Data(contentsOf: url), as: UTF8.self) }
    return (process.terminationStatus, try text(names[0]), try text(names[1]))
  }

  static func temporaryFolder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }
}

private let tiny = ["--shape", "1x3x32x32", "--iterations", "1", "--warmup", "0", "--rounds", "1"]

@Suite(.serialized) struct CommandLineTests {
  /// Mesa's software driver, named twice, is two devices.
  static let softwareDriver = try? FileManager.default.contentsOfDirectory(atPath: "/usr/share/vulkan/icd.d")
    .first { $0.hasPrefix("lvp_icd") }.map { "/usr/share/vulkan/icd.d/\($0)" }

  @Test(.enabled(if: softwareDriver != nil, "no software Vulkan driver to have two devices of"))
  func `of two devices each runs by its index or its name, and no other does`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let copy = folder.appendingPathComponent("copy.json").path
    try FileManager.default.copyItem(atPath: Self.softwareDriver!, toPath: copy)
    let environment = ["VK_ICD_FILENAMES": "\(Self.softwareDriver!):\(copy)"]
    let list = try Program.run(["list", "backends"], environment: environment)
    #expect(list.output.contains("vulkan --device 0: ") && list.output.contains("vulkan --device 1: "))
    // The names have digits too: an index is never a part of a name.
    for (device, runs) in [("0", true), ("1", true), ("2", false), ("llvmpipe", true), ("nosuch", false)] {
      let result = try Program.run(
        ["measure", "mobilenet-v2", "--backend", "vulkan", "--device", device, "--output", folder.path + "/r.jsonl"]
          + tiny, environment: environment)
      #expect(result.status == (runs ? 0 : 1))
      #expect(result.output.contains("no Vulkan device \"\(device)\"; known: 0: ") == !runs, "\(result.output)")
    }
  }

  @Test(arguments: [
    (["measure", "resnet-18", "--weights", "/nonexistent.safetensors"], "/nonexistent.safetensors cannot be read"),
    (["run", "defualt"], "unknown suite \"defualt\"; did you mean default?"),
    (["classify", "/etc/passwd", "--weights", "/etc/passwd"], "safetensors"),
    (["report", "/etc/passwd"], "not a record"),
    (["compare", "/etc/passwd", "/nonexistent.json"], "not a record"),
  ])
  func `bad input is an error with the next step and leaves no file`(arguments: [String], message: String) throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output =
      arguments[0] == "measure" || arguments[0] == "run"
      ? ["--output", folder.appendingPathComponent("r.jsonl").path] : []
    let result = try Program.run(arguments + output)
    #expect(result.status == 1)
    #expect(result.errors.contains(message), "\(result.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test(arguments: [
    (["measure"], "Missing expected argument"), (["measure", "resnet-18", "--iterations", "0"], "--iterations"),
    (["measure", "mobilenet-v3"], "unknown model \"mobilenet-v3\"; did you mean mobilenet-v2?"),
    (["measure", "resnet-18", "--disable", "freze"], "did you mean freeze?"),
    (["measure", "resnet-18", "--backend", "vulcan"], "did you mean vulkan?"),
    (["measure", "resnet-18", "--threads", "0"], "threads is a whole number from 1 to 256"),
    (["measure", "resnet-18", "--precision", "fp61"], "unknown precision \"fp61\"; did you mean fp32?"),
    (["measure", "resnet-18", "--passes", "all,"], "a value is missing"),
    (["measure", "resnet-18", "--axis", "colour=red"], "unknown axis \"colour\""),
    (["measure", "resnet-18", "--axis", "threads"], "key=value"),
    (["measure", "resnet-18", "--axis", "threads=2", "--threads", "1"], "threads is given twice"),
    (["compare", "--metric", "heap-bytes"], "unknown sampled metric \"heap-bytes\""),
  ])
  func `a wrong value is a usage error that names the nearest right one`(arguments: [String], message: String) throws {
    let result = try Program.run(arguments)
    #expect(result.status == 64 && result.errors.contains(message), "\(result.errors)")
  }

  @Test func `an axis may be named by its key, as one from outside is`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try Program.run(
      [
        "measure", "resnet-18", "--axis", "threads=1,2", "--axis", "allocator=arena", "--output",
        folder.path + "/r.jsonl",
      ]
        + tiny)
    #expect(result.status == 0 && result.output.contains("all passes, arena, 2 threads"), "\(result.output)")
  }

  @Test func `a configuration is measured, its output checked, its record written`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent("r.jsonl")
    let result = try Program.run(["measure", "mobilenet-v2", "--allocator", "arena", "--output", url.path] + tiny)
    #expect(result.status == 0, "\(result.errors)")
    let row = try #require(try rows("r.jsonl", in: folder).first)
    #expect(row["status"] as? String == "measured")
    #expect((row["accuracy"] as? [String: Any])?["top1"] as? Bool == true)
    #expect(metrics(row)["heap-allocations"] == 0)
  }

  @Test func `placement says where each node runs, and prints the plan`() throws {
    let small = ["placement", "resnet-18", "--shape", "1x3x32x32"]
    let report = try Program.run(small + ["--isa", "sse2"])
    #expect(report.status == 0 && report.output.contains("26 nodes: 26 on cpu."), "\(report.output)\(report.errors)")
    #expect(report.output.contains("conv-nhwc-sse2"))
    let plan = try Program.run(small + ["--plan", "--passes", "none"])
    #expect(plan.output.hasPrefix("plan resnet-18\n  &0 input 0 input : f32[1x3x32x32], 12288 bytes\n"))
    #expect(plan.output.contains(" for fc") && plan.output.contains("in place"))
    let data = try Program.run(small + ["--json"]).output
    let table = try #require(try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any])
    #expect((table["nodes"] as? [Any])?.count == 26 && table["copies"] as? Int == 0)
    for (words, message) in [
      (["--threads", "1,2"], "takes one configuration"), (["--engine", "onnxruntime"], "other engines"),
      (["--backend", "metal"], "backend metal is unavailable"),
    ] {
      let result = try Program.run(small + words)
      #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
    }
  }

  @Test func `an unavailable backend is a row with its reason, and nothing measured is a failure`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = ["--output", folder.appendingPathComponent("r.jsonl").path]
    let result = try Program.run(["measure", "resnet-18", "--backend", "metal"] + tiny + output)
    #expect(result.status == 1 && result.output.contains("unavailable: Metal exists on Apple's systems only"))
  }

  @Test func `an interrupted run keeps what it has, and resumes`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let suite = folder.appendingPathComponent("s.yaml")
    try Data(
      "rounds: 3\ntarget-interval: 0.0000001\nbudget: 600\njob: {min-time: 0.1}\nconfigurations:\n- {model: mobilenet-v2, shape: 1x3x32x32}\n"
        .utf8
    )
    .write(to: suite)
    let url = folder.appendingPathComponent("r.jsonl")
    let output = ["run", suite.path, "--output", url.path]
    let interrupted = try Program.run(output) { FileManager.default.fileExists(atPath: url.path) }
    #expect(interrupted.status == 130 && interrupted.output.contains("--resume"), "\(interrupted)")
    let before = try runs("r.jsonl", in: folder).count
    #expect(before > 0)
    #expect(try Program.run(output + ["--resume"]).status == 0)
    #expect(try runs("r.jsonl", in: folder).count == 3)
  }

  /// A file system of 16 KiB.
  private static func mount(_ folder: URL) -> Bool {
    (try? Program.run(["-t", "tmpfs", "-o", "size=16k", "tmpfs", folder.path], executable: "/bin/mount").status) == 0
  }
  private static func unmount(_ folder: URL) { _ = try? Program.run([folder.path], executable: "/bin/umount") }
  static let canMount: Bool = {
    guard let folder = try? Program.temporaryFolder() else { return false }
    defer { try? FileManager.default.removeItem(at: folder) }
    guard mount(folder) else { return false }
    unmount(folder)
    return true
  }()

  @Test(.enabled(if: canMount, "a small tmpfs cannot be mounted here"))
  func `a full disk is an error and spoils nothing`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try #require(Self.mount(folder))
    defer { Self.unmount(folder) }
    let url = folder.appendingPathComponent("r.jsonl")
    let other = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: other) }
    let made = other.appendingPathComponent("r.jsonl")
    #expect(try Program.run(["measure", "mobilenet-v2", "--output", made.path] + tiny).status == 0)
    let good = try Data(contentsOf: made)
    try good.write(to: url)
    // As much as there is room for.
    _ = try Program.run(
      ["-c", "cat /dev/zero > '\(folder.path)/ballast' 2>/dev/null"], executable: "/bin/sh")
    let result = try Program.run(["measure", "mobilenet-v2", "--output", url.path] + tiny)
    #expect(result.status == 1 && result.errors.contains("cannot be written"), "\(result.errors)")
    #expect(try Data(contentsOf: url) == good)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["ballast", "r.jsonl"])
  }
}

private let hasListing = (try? Program.run(["-c", "command -v objdump"], executable: "/bin/sh").status) == 0

@Suite(.enabled(if: hasListing, "no objdump to look at the program with (package binutils)"))
struct InstructionSetTests {
  #if arch(x86_64)
    @Test func `no vector instruction beyond SSE outside the kernels for it`() throws {
      let listing = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).s").path
      defer { try? FileManager.default.removeItem(atPath: listing) }
      let script = """
        objdump -d --no-show-raw-insn '\(Program.worker)' | awk '
          /^[0-9a-f]+ <.*>:$/ { inside = ($0 ~ /x86AVX/); kernels += inside; next }
          /%[yz]mm/ || /\\t(v[a-z0-9]+) / && !/\\tver[rw]/ { if (inside) wide++; else { bad++; if (bad < 5) print } }
          END { print kernels, wide, bad + 0 }'
        """
      let result = try Program.run(["-c", script], executable: "/bin/sh")
      let counts = result.output.split(separator: "\n").last?.split(separator: "\n").last.map(String.init) ?? ""
      let numbers = counts.split(whereSeparator: { $0 == " " || $0 == "\n" }).suffix(3).compactMap { Int($0) }
      #expect(numbers.count == 3, "\(result)")
      guard numbers.count == 3 else { return }
      #expect(numbers[0] > 20 && numbers[1] > 1000, "the kernels themselves were found")
      #expect(numbers[2] == 0, "\(result.output)")
    }

    /// `InlineArray(repeating:)` may stay a call, which takes the address of a tile's sums: then each multiplication writes
    /// its sum to memory, and the kernel takes twice the time.
    @Test func `register tiles are made without a call`() throws {
      let script = """
        objdump -d --no-show-raw-insn '\(Program.worker)' | awk '
          /^[0-9a-f]+ <.*>:$/ { inside = ($0 ~ /x86AVX.*Tile.*Tt[0-9]+g/); tiles += inside; next }
          inside && /call.*InlineArray/ { bad++; if (bad < 5) print }
          END { print tiles, bad + 0 }'
        """
      let result = try Program.run(["-c", script], executable: "/bin/sh")
      let numbers = result.output.split(whereSeparator: { $0 == " " || $0 == "\n" }).suffix(2).compactMap { Int($0) }
      #expect(numbers.count == 2 && numbers[0] >= 10 && numbers[1] == 0, "\(result)")
    }
  #endif
}

/// What memory costs in a process of its own, where nobody else allocates.
@Suite(.serialized) struct SteadyMemoryTests {
  /// Another allocator in front of the C library's cannot be counted.
  static let counts = ProcessInfo.processInfo.environment["LD_PRELOAD"] == nil

  private struct Result: Decodable {
    struct Row: Decodable {
      var label: String
      var status: String
      var metrics: [String: Double]
    }
    var rows: [Row]
  }

  private func rows(_ allocator: String) throws -> [Result.Row] {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try Program.run(
      [
        "measure", "mobilenet-v2,resnet-18", "--passes", "all,none", "--threads", "1,2", "--allocator", allocator,
        "--json", "--output", folder.path + "/r.jsonl",
      ] + tiny)
    #expect(result.status == 0, "\(result.errors)")
    let rows = try JSONDecoder().decode(Result.self, from: Data(result.output.utf8)).rows
    #expect(rows.count == 8 && rows.allSatisfy { $0.status == "measured" })
    return rows
  }

  @Test(.enabled(if: counts, "LD_PRELOAD may bring another allocator"))
  func `with a planned block, a steady inference takes nothing from the heap and faults no page`() throws {
    for row in try rows("arena") {
      #expect(row.metrics["heap-allocations"] == 0, "\(row.label)")
      #expect(row.metrics["steady-faults"] == 0, "\(row.label)")
    }
  }

  @Test func `a cache sends nothing to the system from the second inference on`() throws {
    for row in try rows("caching") {
      #expect(row.metrics["cache-misses"] == 0, "\(row.label)")
      #expect(row.metrics["tensor-allocations"]! > 0, "\(row.label)")
    }
  }

  @Test func `memory draws each allocator's tensors and names what lowers the peak`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let base = folder.appendingPathComponent("m").path
    let result = try Program.run(
      [
        "memory", "mobilenet-v2", "--shape", "1x3x64x64", "--disable", "fuse-activation",
        "--allocator", "system,caching,mapped,arena", "--in-place", "off", "--isa", "sse2", "--output", base,
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      ["What would lower it: ", "fuse-activation (", "--precision int8 ("].allSatisfy(result.output.contains),
      "\(result.output)")
    for name in ["json", "md", "html", "system.svg", "caching.svg", "mapped.svg", "arena.svg"] {
      let text = try String(contentsOfFile: base + "." + name, encoding: .utf8)
      #expect(!text.isEmpty)
      if name.hasSuffix("svg") { #expect(text.contains("class=\"block s0\"")) }
    }
    let null = try Program.run(["memory", "mobilenet-v2", "--backend", "null", "--output", base + "2"])
    #expect(null.status == 1 && null.errors.contains("does not tell where its tensors lie"), "\(null.errors)")
  }

  @Test func `kernels times each different kernel alone, what is lost most first`() throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let base = folder.appendingPathComponent("k").path
    let result = try Program.run(
      ["kernels", "resnet-18", "--shape", "1x3x32x32", "--processes", "1", "--json", "--output", base])
    #expect(result.status == 0, "\(result.errors)")
    let survey = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    let kernels = try #require(survey["kernels"] as? [[String: Any]])
    #expect(kernels.compactMap { $0["count"] as? Int }.reduce(0, +) == 25)
    #expect(kernels.allSatisfy { ($0["shapes"] as? String)?.contains("→") == true })
    #expect(try String(contentsOfFile: base + ".md", encoding: .utf8).contains("of bandwidth"))
    let two = try Program.run(["kernels", "resnet-18", "--threads", "1,2"])
    #expect(two.status == 1 && two.errors.contains("one configuration for each model"), "\(two.errors)")
  }
}
