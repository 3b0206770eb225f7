import BenchModel
import BenchStatistics
import Foundation

extension Chart {
  /// A file of its own, with its colours.
  public var svgFile: String {
    let style = "<style>\(HTMLPage.colours)\(HTMLPage.chartStyle)svg{background:var(--page);color:var(--ink)}</style>"
    let drawing = SVG.draw(self)
    guard let end = drawing.firstIndex(of: ">") else { return drawing }
    let head = drawing[..<end].replacingOccurrences(of: "<svg", with: "<svg xmlns=\"http://www.w3.org/2000/svg\"")
    return head + ">" + style + drawing[drawing.index(after: end)...] + "\n"
  }
}

/// Draws charts as SVG elements. Colours come from classes, so that a page may be light or dark.
struct SVG {
  private var body = ""
  private let title: String
  private let width: Double
  private let height: Double

  private init(_ title: String, width: Double = 720, height: Double) {
    (self.title, self.width, self.height) = (title, width, height)
  }

  static func draw(_ chart: Chart) -> String {
    switch chart {
    case .bars(let chart): bars(chart)
    case .spreads(let chart): spreads(chart)
    case .lines(let chart): lines(chart)
    case .roofline(let chart): roofline(chart)
    case .memory(let chart): memory(chart)
    }
  }

  /// The chart for a page as narrow as a phone's; nil where the one drawing does for both.
  static func drawNarrow(_ chart: Chart) -> String? {
    switch chart {
    case .bars(let chart): bars(chart, .narrow)
    case .spreads(let chart): spreads(chart, .narrow)
    case .lines, .roofline, .memory: nil
    }
  }

  private var text: String {
    "<svg viewBox=\"0 0 \(Self.number(width)) \(Self.number(height))\" role=\"img\" "
      + "aria-label=\"\(escaped(title))\"><title>\(escaped(title))</title>\(body)</svg>"
  }

  // MARK: Elements

  private static func number(_ value: Double) -> String {
    let text = String(format: "%.1f", value)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
    let n = Self.number
    body += "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\" class=\"\(style)\"/>"
  }

  private mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ style: String) {
    let n = Self.number
    body += "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(max(width, 0)))\" height=\"\(n(height))\" "
    body += "class=\"\(style)\"/>"
  }

  private mutating func label(_ text: String, _ x: Double, _ y: Double, _ style: String, anchor: String = "start") {
    let n = Self.number
    body += "<text x=\"\(n(x))\" y=\"\(n(y))\" text-anchor=\"\(anchor)\" class=\"\(style)\">\(escaped(text))</text>"
  }

  private mutating func dot(_ x: Double, _ y: Double, radius: Double, _ style: String, _ title: String) {
    let n = Self.number
    body += "<circle cx=\"\(n(x))\" cy=\"\(n(y))\" r=\"\(n(radius))\" class=\"\(style)\">"
    body += "<title>\(escaped(title))</title></circle>"
  }

  private mutating func group(_ tags: [String: String], _ draw: (inout SVG) -> Void) {
    body += "<g\(HTMLPage.attributes(tags))>"
    draw(&self)
    body += "</g>"
  }

  // MARK: Axes

  /// Round values from nought, or from `least`, to about `most`.
  static func ticks(from least: Double = 0, to most: Double, about count: Int = 5) -> [Double] {
    guard most > least, (most - least).isFinite else { return [least] }
    let rough = (most - least) / Double(count)
    let power = pow(10, floor(log10(rough)))
    let step = [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
    let first = (least / step).rounded(.up)
    return stride(from: first, through: (most / step).rounded(.up), by: 1).map { $0 * step }
  }

  private static func short(_ value: Double) -> String {
    switch abs(value) {
    case 0: "0"
    case ..<0.01: String(format: "%.3g", value)
    case ..<10: String(format: "%.2g", value)
    default: String(format: "%.0f", value)
    }
  }

  /// Where things lie in a chart of rows: labels beside the bars, or above them where there is no room.
  private struct Layout {
    var width: Double
    /// Where bars begin, and how much is left behind them for numbers.
    var left: Double
    var right: Double
    var rowHeight: Double
    /// Of a bar within its row.
    var barTop: Double

    static let wide = Layout(width: 720, left: 230, right: 130, rowHeight: 20, barTop: 0)
    static let narrow = Layout(width: 370, left: 4, right: 4, rowHeight: 34, barTop: 15)
  }

  /// The frame of a chart of rows: its axis, and where a value lies.
  private mutating func rowAxis(
    _ axis: String, most: Double, rows: Int, _ layout: Layout
  ) -> (position: (Double) -> Double, row: (Int) -> Double) {
    let ticks = Self.ticks(to: most, about: layout.width < 400 ? 4 : 5)
    let (top, bottom) = (26.0, 26 + Double(rows) * layout.rowHeight)
    let span = width - layout.left - layout.right
    let position = { (value: Double) in
      layout.left + span * min(value / max(ticks.last!, .leastNormalMagnitude), 1)
    }
    for (index, line) in Self.lines(title, in: width).prefix(1).enumerated() {
      label(line, 0, 14 + 16 * Double(index), "title")
    }
    for tick in ticks {
      line(position(tick), top, position(tick), bottom, "grid")
      let anchor = tick == 0 && layout.left < 10 ? "start" : tick == ticks.last && layout.right < 10 ? "end" : "middle"
      label(Self.short(tick), position(tick), bottom + 14, "tick", anchor: anchor)
    }
    label(axis, width, bottom + (layout.right < 10 ? 28 : 14), "tick", anchor: "end")
    return (position, { top + Double($0) * layout.rowHeight })
  }

  /// A text cut to what fits, with a sign that it was.
  private static func lines(_ text: String, in width: Double) -> [String] {
    let most = Int(width / 6.6)
    return [text.count > most ? text.prefix(most - 1) + "…" : text]
  }

  /// The name of a row, its numbers, and the ground that a bar stands on.
  private mutating func row(_ name: String, _ value: String, _ y: Double, _ layout: Layout) {
    let most = layout.width < 400 ? 34 : 36
    let short = name.count > most ? name.prefix(most - 1) + "…" : name
    if layout.barTop > 0 {
      label(String(short), layout.left, y + 12, "name")
    } else {
      label(String(short), layout.left - 8, y + 14, "name", anchor: "end")
    }
    // At one edge, where no bar and no whisker is.
    label(value, width, y + (layout.barTop > 0 ? 12 : 14), "value", anchor: "end")
  }

  /// The largest value that a chart of these is drawn to. A few that are much larger are cut, so that they do not make all
  /// others alike.
  static func limit(of values: [Double]) -> Double {
    let sorted = values.filter(\.isFinite).sorted()
    guard let most = sorted.last, sorted.count > 3 else { return sorted.last ?? 1 }
    // At most a quarter of the bars, and only where there is a gap below them.
    let cut = (1...sorted.count / 4).last {
      let below = sorted[sorted.count - 1 - $0]
      return below > 0 && sorted[sorted.count - $0] > 2.5 * below
    }
    return cut.map { sorted[sorted.count - 1 - $0] } ?? most
  }

  // MARK: Charts

  private static func bars(_ chart: BarChart, _ layout: Layout = .wide) -> String {
    var svg = SVG(
      chart.title, width: layout.width,
      height: (layout.right < 10 ? 60 : 46) + Double(chart.bars.count) * layout.rowHeight)
    let limit = limit(of: chart.bars.map { max($0.value, $0.high ?? 0) } + (chart.reference.map { [$0] } ?? []))
    let most = max(limit, chart.reference ?? 0)
    let (position, row) = svg.rowAxis(chart.axis, most: most, rows: chart.bars.count, layout)
    let height = layout.rowHeight - layout.barTop
    for (index, bar) in chart.bars.enumerated() {
      let y = row(index)
      svg.group(bar.tags) { svg in
        let top = y + layout.barTop
        svg.rectangle(layout.left, top + 4, position(bar.value) - layout.left, height - 8, "bar")
        let isCut = bar.value > most * 1.0001
        if let low = bar.low, let high = bar.high, high.isFinite, !isCut {
          svg.line(position(low), top + height / 2, position(high), top + height / 2, "interval")
        }
        if isCut {
          // Two gaps: the bar is longer than it is drawn.
          for gap in [14.0, 20] {
            let x = position(bar.value) - gap
            svg.line(x - 3, top + height - 2, x + 3, top + 2, "cut")
          }
        }
        svg.row(bar.label, bar.text, y, layout)
      }
    }
    if let reference = chart.reference {
      svg.line(
        position(reference), 22, position(reference), 26 + Double(chart.bars.count) * layout.rowHeight, "reference")
    }
    return svg.text
  }

  private static func spreads(_ chart: SpreadChart, _ layout: Layout = .wide) -> String {
    var svg = SVG(
      chart.title, width: layout.width,
      height: (layout.right < 10 ? 60 : 46) + Double(chart.rows.count) * layout.rowHeight)
    let most = limit(of: chart.rows.map { $0.percentiles[4] })
    let (position, row) = svg.rowAxis(chart.axis, most: most, rows: chart.rows.count, layout)
    let height = layout.rowHeight - layout.barTop
    for (index, item) in chart.rows.enumerated() {
      let (y, p) = (row(index), item.percentiles.map(position))
      svg.group(item.tags) { svg in
        let top = y + layout.barTop
        svg.line(p[0], top + height / 2, p[4], top + height / 2, "interval")
        svg.rectangle(p[1], top + 5, max(p[3] - p[1], 1), height - 10, "box")
        svg.line(p[2], top + 3, p[2], top + height - 3, "median")
        svg.row(item.label, item.percentiles[2] > most ? "\(item.text) →" : item.text, y, layout)
      }
    }
    return svg.text
  }

  private static func lines(_ chart: LineChart) -> String {
    let legend = 18.0 * Double(chart.series.count)
    var svg = SVG(chart.title, height: 300 + legend)
    let (left, right, top, bottom) = (50.0, 700.0, 26.0, 250.0)
    let values = chart.series.flatMap(\.points).compactMap { $0 }
    let most = values.map { $0.hasInterval ? max($0.value, $0.high) : $0.value }.max() ?? 1
    let ticks = ticks(to: most)
    func y(_ value: Double) -> Double { bottom - (bottom - top) * value / max(ticks.last!, .leastNormalMagnitude) }
    func x(_ index: Int) -> Double {
      chart.labels.count < 2
        ? (left + right) / 2 : left + 30 + (right - left - 60) * Double(index) / Double(chart.labels.count - 1)
    }
    svg.label(chart.title, 0, 14, "title")
    for tick in ticks {
      svg.line(left, y(tick), right, y(tick), "grid")
      svg.label(short(tick), left - 6, y(tick) + 4, "tick", anchor: "end")
    }
    for (index, text) in chart.labels.enumerated() {
      svg.label(text, x(index), bottom + 16, "tick", anchor: "middle")
    }
    svg.label(chart.axis, right, bottom + 34, "tick", anchor: "end")
    for (number, series) in chart.series.enumerated() {
      let style = "s\(number % 6)"
      svg.group(series.tags) { svg in
        var previous: (Double, Double)?
        for (index, point) in series.points.enumerated() {
          guard let point else { continue }
          let here = (x(index), y(point.value))
          if let previous { svg.line(previous.0, previous.1, here.0, here.1, "line \(style)") }
          if point.hasInterval { svg.line(here.0, y(point.low), here.0, y(point.high), "interval") }
          let isStep = series.steps.contains(index)
          let text = "\(series.name), \(chart.labels[index]): \(Format.significant(point.value))"
          svg.dot(here.0, here.1, radius: isStep ? 6 : 3.5, isStep ? "dot step \(style)" : "dot \(style)", text)
          previous = here
        }
        let legendY = bottom + 52 + 18 * Double(number)
        svg.line(left, legendY - 4, left + 20, legendY - 4, "line \(style)")
        svg.label(series.name, left + 28, legendY, "name")
      }
    }
    return svg.text
  }

  private static func memory(_ chart: MemoryChart) -> String {
    var svg = SVG(chart.title, height: 380)
    let (left, right, top, bottom) = (50.0, 710.0, 30.0, 340.0)
    let timeline = chart.timeline
    let ticks = ticks(to: Double(max(timeline.extent, timeline.peakHeldBytes)) / 1_048_576)
    let steps = Double(timeline.steps.count)
    func x(_ step: Int) -> Double { left + (right - left) * Double(step) / steps }
    func y(_ bytes: Int) -> Double { bottom - (bottom - top) * Double(bytes) / 1_048_576 / max(ticks.last!, 1e-9) }
    svg.label(chart.title, 0, 14, "title")
    for tick in ticks {
      let height = y(Int(tick * 1_048_576))
      svg.line(left, height, right, height, "grid")
      svg.label(short(tick), left - 6, height + 4, "tick", anchor: "end")
    }
    for (index, block) in timeline.blocks.enumerated() {
      let (start, end) = (x(block.first), x(block.last + 1))
      let (high, low) = (y(block.offset + block.byteCount), y(block.offset))
      let text =
        "\(block.name): \(Format.bytes(Double(block.byteCount))), steps \(block.first) to \(block.last)"
      svg.body += "<g><title>\(escaped(text))</title>"
      svg.rectangle(start, high, max(end - start - 0.5, 0.5), max(low - high - 0.4, 0.4), "block s\(index % 6)")
      // Where a name has room.
      if low - high > 13, end - start > Double(block.name.count) * 6.2 {
        svg.label(block.name, start + 3, (low + high) / 2 + 4, "name")
      }
      svg.body += "</g>"
    }
    let peak = x(timeline.peakStep) + (right - left) / steps / 2
    svg.line(peak, top, peak, bottom, "reference")
    svg.label(
      "peak live: step \(timeline.peakStep), \(Format.bytes(Double(timeline.peakBytes)))",
      peak < (left + right) / 2 ? peak + 5 : peak - 5, top - 4, "tick",
      anchor: peak < (left + right) / 2 ? "start" : "end")
    for tick in Self.ticks(to: steps - 1, about: 8) where tick < steps {
      svg.label(short(tick), x(Int(tick)), bottom + 16, "tick", anchor: "middle")
    }
    svg.label("step", right, bottom + 32, "tick", anchor: "end")
    return svg.text
  }

  private static func roofline(_ chart: Roofline) -> String {
    var svg = SVG(chart.title, height: 380)
    let (left, right, top, bottom) = (60.0, 700.0, 30.0, 330.0)
    let intensities = chart.points.map(\.intensity) + chart.bandwidths.map { chart.peak / $0.bytes }
    let speeds = chart.points.map(\.speed) + [chart.peak]
    func decades(_ values: [Double]) -> ClosedRange<Double> {
      let logs = values.filter { $0 > 0 }.map { log10($0) }
      return floor((logs.min() ?? 0) - 0.1)...ceil((logs.max() ?? 1) + 0.1)
    }
    let (across, up) = (decades(intensities), decades(speeds))
    func x(_ value: Double) -> Double {
      left + (right - left) * (log10(value) - across.lowerBound) / (across.upperBound - across.lowerBound)
    }
    func y(_ value: Double) -> Double {
      bottom - (bottom - top) * (log10(value) - up.lowerBound) / (up.upperBound - up.lowerBound)
    }
    svg.label(chart.title, 0, 14, "title")
    for power in stride(from: across.lowerBound, through: across.upperBound, by: 1) {
      svg.line(x(pow(10, power)), top, x(pow(10, power)), bottom, "grid")
      svg.label(short(pow(10, power)), x(pow(10, power)), bottom + 14, "tick", anchor: "middle")
    }
    for power in stride(from: up.lowerBound, through: up.upperBound, by: 1) {
      svg.line(left, y(pow(10, power)), right, y(pow(10, power)), "grid")
      svg.label(short(pow(10, power - 9)), left - 6, y(pow(10, power)) + 4, "tick", anchor: "end")
    }
    svg.label("FLOP a byte", right, bottom + 30, "tick", anchor: "end")
    svg.label("GFLOP/s", left, top - 6, "tick", anchor: "middle")
    let most = pow(10, across.upperBound)
    for limit in chart.bandwidths {
      let least = max(pow(10, across.lowerBound), pow(10, up.lowerBound) / limit.bytes)
      let ridge = min(chart.peak / limit.bytes, most)
      guard ridge > least else { continue }
      svg.line(x(least), y(least * limit.bytes), x(ridge), y(ridge * limit.bytes), "reference")
      svg.label(limit.name, x(least) + 4, y(least * limit.bytes) - 6, "tick")
    }
    let ridge = chart.bandwidths.map { chart.peak / $0.bytes }.min() ?? pow(10, across.lowerBound)
    svg.line(x(ridge), y(chart.peak), right, y(chart.peak), "reference")
    svg.label("measured peak", right, y(chart.peak) - 6, "tick", anchor: "end")
    let kinds = chart.points.map(\.kind).uniqued()
    for point in chart.points {
      let style = "dot s\((kinds.firstIndex(of: point.kind) ?? 0) % 6)"
      svg.dot(x(point.intensity), y(point.speed), radius: 3 + 14 * point.share.squareRoot(), style, point.label)
    }
    for (index, kind) in kinds.enumerated() {
      svg.dot(left + 8 + 150 * Double(index), bottom + 40, radius: 5, "dot s\(index % 6)", kind)
      svg.label(kind, left + 18 + 150 * Double(index), bottom + 44, "name")
    }
    return svg.text
  }
}

/// Text with the characters that mean something in HTML and SVG replaced.
func escaped(_ text: String) -> String {
  var result = ""
  for character in text {
    switch character {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    default: result.append(character)
    }
  }
  return result
}
