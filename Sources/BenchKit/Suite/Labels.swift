import Foundation
import TensorCore

/// What rows are called. A label is made last, from all rows that are shown together, and tells them apart; nothing is ever
/// looked up by it.
enum Labels {
  /// - Parameters:
  ///   - cells: those that are shown together.
  ///   - allPasses: what "all passes" stands for, in order.
  static func of(_ cells: [Cell], _ allPasses: [String], inputShape: (String) -> Shape? = { _ in nil }) -> [String] {
    var labels = [String](repeating: "", count: cells.count)
    let showsEngines = Set(cells.map(\.engine)).count > 1
    for (_, indices) in Dictionary(grouping: cells.indices, by: { cells[$0].model }) {
      let mine = indices.map { cells[$0] }
      let shapes = Set(mine.map(\.shape))
      let (weights, inputs) = (names(mine.map(\.weights)), names(mine.map(\.input)))
      for index in indices {
        let cell = cells[index]
        var parts = cell.labelParts(allPasses, showsEngine: showsEngines)
        if shapes.count > 1 { parts.append((cell.shape ?? inputShape(cell.model)).map { "\($0)" } ?? "usual shape") }
        if weights.count > 1 { parts.append(cell.weights.flatMap { weights[$0] } ?? "seeded weights") }
        if inputs.count > 1 { parts.append(cell.input.flatMap { inputs[$0] } ?? "seeded input") }
        labels[index] = parts.joined(separator: ", ")
      }
      // What is still alike differs in an axis that labels leave out where it is usual.
      for (_, alike) in Dictionary(grouping: indices, by: { labels[$0] }) where alike.count > 1 {
        let parts = alike.map { cells[$0].id.split(separator: "/").map(String.init) }
        let common = parts.dropFirst().reduce(Set(parts[0])) { $0.intersection($1) }
        for (index, parts) in zip(alike, parts) {
          let own = parts.filter { !common.contains($0) }
          if !own.isEmpty { labels[index] += " [\(own.joined(separator: ", "))]" }
        }
      }
    }
    return labels
  }

  /// File names that tell the paths apart, the last part where that does; "" stands for no path.
  private static func names(_ paths: [String?]) -> [String: String] {
    let distinct = Set(paths.map { $0 ?? "" })
    let short = Dictionary(grouping: distinct, by: { ($0 as NSString).lastPathComponent })
    return Dictionary(
      uniqueKeysWithValues: distinct.map { path in
        let name = (path as NSString).lastPathComponent
        return (path, short[name]!.count > 1 ? path : name)
      })
  }
}

extension Cell {
  /// How long names become short: the passes as all, none, + and −.
  public func label(allPasses: [String]) -> String {
    labelParts(allPasses, showsEngine: false).joined(separator: ", ")
  }

  fileprivate func labelParts(_ allPasses: [String], showsEngine: Bool) -> [String] {
    var parts: [String] = []
    if engine != "pacer" || showsEngine { parts.append(engine) }
    if backend != "cpu" { parts.append(backend) }
    if let device { parts.append(device) }
    if let storage { parts.append(storage.rawValue) }
    if pipelineCache == false { parts.append("no pipeline cache") }
    if precision != .fp32 { parts.append(precision.rawValue) }
    if engine == "pacer" {
      parts += preset.map { [$0] } ?? settings(allPasses)
      if hugePages == false { parts.append("small pages") }
      if let inputBuffer { parts.append("\(inputBuffer) input") }
    }
    if threads > 1 { parts.append("\(threads) threads") }
    if engine == "pacer", let isa { parts.append(isa) }
    return parts
  }

  /// What a preset would settle.
  private func settings(_ allPasses: [String]) -> [String] {
    var parts: [String] = []
    if kernels != .fast { parts.append(kernels.rawValue) }
    let off = allPasses.filter { !passes.contains($0) }
    if passes.isEmpty {
      parts.append("all off")
    } else if off.isEmpty {
      parts.append("all on")
    } else if off.count == 1 {
      parts.append("all − \(off[0])")
    } else if passes.count > 1, passes == Array(allPasses.prefix(passes.count)) {
      parts.append("… + \(passes.last!)")
    } else {
      parts.append(passes.joined(separator: "+"))
    }
    if allocator != .system { parts.append(allocator.rawValue) }
    if inPlace == false { parts.append("not in place") }
    return parts
  }
}
