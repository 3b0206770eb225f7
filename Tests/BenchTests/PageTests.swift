import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

/// Debian's `chromium`, where it is installed.
private let browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// Pages as a browser sees them.
@Suite(.enabled(if: browser != nil, "no chromium to look at pages with (package chromium)")) struct PageTests {
  /// The page's document after its scripts and `check` ran, and what the console said.
  private func open(_ html: String, check: String, width: Int) throws -> (document: String, console: String) {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let page = folder.appendingPathComponent("page.html")
    let script = """
      <script>
      const said = [];
      const check = (name, passes) => said.push((passes ? "holds: " : "FAILS: ") + name);
      try { \(check) } catch (error) { said.push("FAILS: " + error); }
      const list = document.createElement("pre");
      list.id = "checks";
      list.textContent = said.join("\\n");
      document.body.append(list);
      document.currentScript.remove();
      </script>
      """
    try Data(html.replacingOccurrences(of: "</body>", with: script + "</body>").utf8).write(to: page)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: browser!)
    process.arguments = [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
      "--user-data-dir=\(folder.path)/profile", "--window-size=\(width),900", "--virtual-time-budget=2000",
      "--dump-dom", page.absoluteString,
    ]
    let (output, errors) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
    for file in [output, errors] { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    let console = try String(contentsOf: errors, encoding: .utf8).split(separator: "\n")
      .filter { $0.contains("CONSOLE") }.joined(separator: "\n")
    return (try String(contentsOf: output, encoding: .utf8), console)
  }

  private func holds(_ html: String, _ check: String, _ names: [String], width: Int = 1200) throws {
    let (document, console) = try open(html, check: check, width: width)
    for name in names { #expect(document.contains("holds: \(name)"), "\(name)\n\(document.suffix(2000))") }
    #expect(!document.contains("FAILS") && console.isEmpty, "\(console)")
  }

  private var result: Record {
    KnownResult.file([[], ["freeze"], ["fold-batch-norm"], KnownResult.passes]) { set in
      set.isEmpty ? 1 : set.count > 1 ? 0.25 : set.contains("freeze") ? 0.9 : 0.5
    }
  }

  @Test func `a result's table sorts and its rows can be chosen`() throws {
    try holds(
      result.document(KnownResult.catalog).html,
      """
      const table = document.querySelector("table"), rows = () => [...table.tBodies[0].rows];
      const names = () => rows().filter(row => !row.hidden).map(row => row.cells[0].textContent);
      const ratio = [...table.tHead.rows[0].cells].find(row => row.textContent.startsWith("speed-up"));
      ratio.firstChild.click();
      check("ascending", names()[0] === "no passes" && ratio.getAttribute("aria-sort") === "ascending");
      ratio.firstChild.click();
      check("descending", names()[0] === "all passes" && ratio.getAttribute("aria-sort") === "descending");
      const form = document.getElementById("filters"), passes = form.elements.passes;
      passes.value = "freeze";
      passes.dispatchEvent(new Event("input", {bubbles: true}));
      check("with", names().sort().join() === "all passes,freeze alone");
      passes.value = "!freeze";
      passes.dispatchEvent(new Event("input", {bubbles: true}));
      check("without", names().sort().join() === "+ fold-batch-norm,no passes");
      passes.value = "";
      form.elements.text.value = "FOLD";
      form.elements.text.dispatchEvent(new Event("input", {bubbles: true}));
      check("text", names().join() === "+ fold-batch-norm");
      check("keyboard", document.querySelectorAll("thead button").length > 5);
      check("chart", document.querySelector("svg g rect.bar") !== null);
      check("no sideways scrolling", document.documentElement.scrollWidth <= window.innerWidth);
      """, ["ascending", "descending", "with", "without", "text", "keyboard", "chart", "no sideways scrolling"])
  }

  @Test(arguments: [1200, 500]) func `with all of it open a page needs no sideways scrolling`(width: Int) throws {
    try holds(
      result.document(KnownResult.catalog).html,
      """
      check("folded", [...document.querySelectorAll("details")].length > 4);
      check("closed", [...document.querySelectorAll("details")].every(part => !part.open));
      const links = [...document.querySelectorAll("nav a")];
      check("links go somewhere", links.length > 5 && links.every(link => document.getElementById(link.hash.slice(1))));
      for (const part of document.querySelectorAll("details")) part.open = true;
      const wide = [...document.querySelectorAll(".scroll")].filter(item => item.scrollWidth > item.clientWidth + 1);
      check("tables fit", wide.length === 0);
      check("page fits", document.documentElement.scrollWidth <= window.innerWidth);
      const shown = name => [...document.querySelectorAll("figure." + name)].every(item => item.offsetParent !== null);
      check("one drawing for each width", shown(window.innerWidth > 600 ? "wide" : "narrow"));
      const heads = [...document.querySelector("thead").querySelectorAll("th")].slice(1);
      check("heads explain themselves", heads.every(head => head.title.length > 0));
      """,
      [
        "folded", "closed", "links go somewhere", "tables fit", "page fits", "one drawing for each width",
        "heads explain themselves",
      ], width: width)
  }

  @Test func `a history draws its lines`() throws {
    let library = RecordLibrary(
      entries: [0.9, 0.6].enumerated().map { index, value in
        let version = "\(index + 1)"
        let file = KnownResult.file([[], ["freeze"]], version: version) { $0.isEmpty ? 1 : value }
        return .init(version: version, host: "desk", file: file)
      })
    let history = try History(
      library, KnownResult.catalog, suite: "default", host: nil, reference: Configuration(model: ""))
    try holds(
      history.document.html,
      #"check("step", document.querySelectorAll("circle.step").length === 1);"#, ["step"])
  }
}
