import ArgumentParser
import BenchModel
import BenchProtocol
import ModelFiles
import Pacer

/// What a model is to be, beside its name: its weights and extents.
struct ModelOptions: ParsableArguments {
  @Option(Axes.weights) var weights: AxisChoice?
  @Option(Axes.shape) var shape: AxisChoice?
  @Option(
    name: .customLong("dim"),
    help: "An extent that a model file names, such as height=640; may be given several times.",
    transform: { try Values.extent($0) })
  var extents: [String] = []

  /// Each that was given.
  var choices: [AxisChoice] { [weights, shape].compactMap { $0 } }

  /// Adds the extents that were given by name: each is a part of the shape.
  func addExtents(to texts: inout [String: [String]]) {
    guard !extents.isEmpty else { return }
    texts[Axes.shape.key] = (texts[Axes.shape.key] ?? [""]).map { shape in
      (extents + (shape.isEmpty ? [] : [shape])).joined(separator: "+")
    }
  }

  /// The one configuration that a model and these options mean.
  /// - Throws: ``UserError`` where they mean several.
  func configuration(of model: String, passes: [String] = ["none"]) throws -> Configuration {
    var texts = [Axes.model.key: [model], Axes.passes.key: passes]
    for choice in choices { texts[choice.key] = choice.texts }
    addExtents(to: &texts)
    let catalog = Harness.current.catalog
    let configurations = try ConfigurationGroup(choices: texts, place: "command line").configurations(catalog)
    guard configurations.count == 1 else {
      throw UserError("a file holds one model; these options mean \(configurations.count)")
    }
    return configurations[0]
  }
}

extension Configuration {
  /// Its model before any pass, with its weights and at its extents. Of a `.pacer` file it is the portable graph.
  func graph() throws -> Graph {
    guard let path = modelReference.path else {
      return try ModelInput(
        Harness.current.runtime.model(model), shape: self[Axes.shape]?.only, weights: self[Axes.weights]
      ).graph
    }
    if modelReference.isPacerFile {
      guard self[Axes.shape] == nil else { throw UserError("shape: the extents of \(path) are fixed") }
      return try PacerFile(path).graph()
    }
    let file = try ONNXFile(path)
    return try file.graph(file.ports.shapes(self[Axes.shape]))
  }
}
