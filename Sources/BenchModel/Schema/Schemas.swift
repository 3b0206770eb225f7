import BenchProtocol
import RuntimeCore

/// The JSON Schemas of what people write and read: suites, records, the worker protocol. Made from the axes and the types.
public struct Schemas: Sendable {
  private let catalog: Catalog

  public init(_ catalog: Catalog) { self.catalog = catalog }

  /// Each with the name of its file.
  public var all: [(name: String, value: SchemaValue)] {
    [("suite", suite), ("record", record), ("worker", worker)]
  }

  // MARK: Axes

  /// A choice as JSON has it.
  private func choice(_ axis: any AxisDescription) -> SchemaValue {
    var schema: SchemaValue
    switch axis.values {
    case .names(let names), .optionalNames(let names, _): schema = .names(names)
    case .numbers(let range):
      schema = .object([
        "type": .text("integer"), "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound),
      ])
    case .flag: schema = .type("boolean")
    case .known, .optionalKnown, .model, .shape, .text, .path, .expectation:
      schema = axis.role == .passes ? .array(.type("string")) : .type("string")
    }
    if case .object(var object) = schema {
      object["description"] = .text(axis.summary)
      schema = .object(object)
    }
    return schema
  }

  /// A configuration: the choices that are not an axis's standard one.
  private var configuration: SchemaValue {
    .object(
      Dictionary(uniqueKeysWithValues: catalog.axes.axes.map { ($0.key, choice($0)) }), required: [],
      description: "One choice on every axis; a key that is missing is the axis's standard choice.")
  }

  /// A value as YAML has it: a name, or what YAML makes of one.
  private func written(_ values: AxisValues, _ summary: String) -> SchemaValue {
    let one: SchemaValue =
      switch values {
      case .flag: .object(["enum": .list([.text("on"), .text("off"), .flag(true), .flag(false)])])
      case .numbers: .type("integer")
      default: .object(["type": .list([.text("string"), .text("number"), .text("null")])])
      }
    guard case .object(var object) = SchemaValue.orList(one) else { return one }
    object["description"] = .text(summary)
    return .object(object)
  }

  private var group: SchemaValue {
    let axes = catalog.axes.axes.map { ($0.key, written($0.values, $0.summary)) }
    let shorthands = catalog.axes.shorthands.map { ($0.key, written($0.values, $0.summary)) }
    let headline: SchemaValue = .object([
      "type": .text("boolean"),
      "description": .text("Whether the report concludes on these: timed first, to target-interval, and shown on top."),
    ])
    return .object(
      Dictionary(axes + shorthands + [(ConfigurationGroup.headlineKey, headline)]) { first, _ in first }, required: [])
  }

  // MARK: Files

  private static func file(_ title: String, _ description: String, _ body: SchemaValue, _ parts: [String: SchemaValue])
    -> SchemaValue
  {
    guard case .object(var object) = body else { return body }
    object["$schema"] = .text("https://json-schema.org/draft/2020-12/schema")
    object["title"] = .text(title)
    object["description"] = .text(description)
    object["$defs"] = .object(parts)
    return .object(object)
  }

  private var suite: SchemaValue {
    let seconds: SchemaValue = .object(["type": .text("number"), "exclusiveMinimum": .number(0)])
    let groups: SchemaValue = .object([
      "type": .text("array"), "items": .reference("group"), "minItems": .number(1),
    ])
    let name: SchemaValue = .object(["type": .text("string"), "pattern": .text("^[A-Za-z0-9_][A-Za-z0-9_-]*$")])
    let job: SchemaValue = .object(
      ["iterations": .type("integer"), "min-time": seconds, "warmup": .type("integer")], required: [])
    var measured: [String: SchemaValue] = [
      "name": name, "summary": .type("string"), "budget": seconds, "configuration-budget": seconds,
      "target-interval": seconds, "other-interval": seconds, "least-pairs": .type("integer"),
      "rounds": .type("integer"), "job": job,
      "compares": .orList(.names(catalog.axes.axes.map(\.key).filter { $0 != Axes.model.key })),
      "configurations": groups,
    ]
    for (key, former) in Suite.keys { if let former { measured[former] = measured[key] } }
    var gated: [String: SchemaValue] = [
      "name": name, "summary": .type("string"), "margin": seconds, "target": seconds, "false-positives": seconds,
      "false-negatives": seconds, "time-budget": seconds,
      "metrics": .orList(.names(catalog.metrics.filter { $0.kind == .sampled }.map(\.name))), "exact": groups,
      "instructions": groups, "timed": groups,
    ]
    for (key, former) in GateSuite.keys { if let former { gated[former] = gated[key] } }
    let kinds = ["exact", "instructions", "timed"]
    return Self.file(
      "Pacer suite", "Which configurations to measure and how long; or what a gate looks at and how strictly.",
      .oneOf([
        .object([
          "allOf": .list([
            .object(measured, required: []),
            .object(["anyOf": .list(["configurations", "cells"].map { Self.requires($0) })]),
          ])
        ]),
        .object([
          "allOf": .list([.object(gated, required: []), .object(["anyOf": .list(kinds.map { Self.requires($0) })])])
        ]),
      ]), ["group": group])
  }

  private static func requires(_ key: String) -> SchemaValue { .object(["required": .list([.text(key)])]) }

  private var record: SchemaValue {
    func schema<Value: Decodable>(_ type: Value.Type) -> SchemaValue { SchemaRecorder.schema(of: type) }
    let lines: [SchemaValue] = [
      schema(RecordLine.Start.self).with("kind", "start").replacing(
        "schema", .object(["const": .text(Record.schema)])),
      .object(["engine": .type("string"), "bytes": .type("number")], required: ["engine", "bytes"]).with(
        "kind", "idle"),
      .object(
        ["row": .type("integer"), "partition": schema(MeasuredPartition.self)], required: ["row", "partition"]
      ).with("kind", "partition"),
      schema(RecordLine.Inspected.self).with("kind", "inspected"), schema(RecordLine.RunLine.self).with("kind", "run"),
      schema(RecordLine.Runs.self).with("kind", "runs"),
      .object(
        [
          "rows": .object(["type": .text("array"), "items": .type("integer")]),
          "reasons": .object(["type": .text("object"), "additionalProperties": .type("string")]),
        ], required: ["rows", "reasons"]
      ).with("kind", "unavailable"),
      .object(["row": .type("integer"), "reason": .type("string")], required: ["row", "reason"]).with("kind", "failed"),
      .object(["seed": .type("integer")], required: ["seed"]).with("kind", "resumed"),
      schema(RecordLine.Summary.self).with("kind", "summary"), schema(RecordLine.End.self).with("kind", "end"),
    ]
    return Self.file(
      "Pacer record", "One line of a record (JSON lines). Times are nanoseconds; rows and runs go by number.",
      .oneOf(lines), ["configuration": configuration])
  }

  private var worker: SchemaValue {
    func schema<Value: Decodable>(_ type: Value.Type) -> SchemaValue { SchemaRecorder.schema(of: type).open }
    func text(_ key: String, _ kind: String) -> SchemaValue {
      SchemaValue.object([key: .type("string")], required: [key], isOpen: true).with("kind", kind)
    }
    let nodes = SchemaValue.object(
      ["nodes": .array(schema(WorkerLine.NodeTime.self))], required: ["nodes"], isOpen: true)
    let lines: [SchemaValue] = [
      schema(WorkerLine.Hello.self).with("kind", "hello"), schema(WorkerLine.Prepared.self).with("kind", "prepared"),
      SchemaValue.object([:], required: [], isOpen: true).with("kind", "ready"),
      schema(WorkerLine.Warmed.self).with("kind", "warmed"), schema(WorkerLine.Sample.self).with("kind", "sample"),
      nodes.with("kind", "profile"), schema(WorkerLine.Trace.self).with("kind", "trace"),
      schema(MemoryTimeline.self).with("kind", "memory"),
      schema(MeasuredPartition.self).with("kind", "partition"), schema(WorkerLine.Reading.self).with("kind", "metric"),
      schema(WorkerLine.Output.self).with("kind", "output"), text("text", "note"), text("reason", "skipped"),
      text("reason", "failed"),
    ]
    return Self.file(
      "Pacer worker protocol \(protocolVersion)",
      "What a worker reads ($defs/job, the first line of standard input) and writes ($defs/line, one a line). Times are "
        + "nanoseconds.", .oneOf([.reference("job"), .reference("line")]),
      [
        "configuration": configuration,
        "job": SchemaRecorder.schema(of: Job.self).replacing("protocol", .object(["const": .number(protocolVersion)])),
        "line": .oneOf(lines),
      ])
  }
}
