import BenchModel
import BenchProtocol
import BenchRunner
import BenchWorker
import Foundation
import ModelFiles
import Pacer

/// Runs a model in some configurations on the same pictures.
struct ModelAccuracy {
  private let model: String
  /// What pictures are read for.
  private let ports: ModelPorts
  private let reference: (label: String, session: Session)
  /// Nil for what cannot run here, with the reason.
  private let targets: [(label: String, session: Session?, reason: String?)]

  /// - Parameter configurations: of one model, at one shape and with one set of weights.
  /// - Throws: ``UserError`` where the model does not read one picture.
  init(_ runtime: Runtime, _ configurations: [Configuration]) throws {
    let catalog = Harness.current.catalog
    var plain = configurations[0]
    for axis in catalog.axes.axes where ![Axes.model.key, Axes.weights.key, Axes.shape.key].contains(axis.key) {
      plain[axis.key] = nil
    }
    let labels = Labels.of(configurations, catalog.axes, passes: catalog.passes.map(\.name))
    model = plain.model
    let (work, session) = try Self.session(plain, runtime)
    ports = ModelPorts(work.graph, path: model)
    guard work.graph.inputs.count == 1 else {
      throw UserError("\(model) reads \(ports.inputList): accuracy is of models that read one picture")
    }
    reference = (plain.modelReference.isPacerFile ? "the file as it is" : "no passes on the processor", session)
    targets = try zip(labels, configurations).map { label, configuration in
      do { return (label, try Self.session(configuration, runtime).session, nil) } catch let error as Unsupported {
        return (label, nil, error.description)
      }
    }
  }

  private static func session(_ configuration: Configuration, _ runtime: Runtime) throws -> (
    work: ModelWork, session: Session
  ) {
    let settings = try Settings(configuration, in: runtime)
    if case .unavailable(let reason) = settings.backend.availability(settings.options) { throw Unsupported(reason) }
    guard settings.backend.computesOutputs else { throw Unsupported("it computes nothing") }
    let work = try ModelWork(configuration, in: runtime, for: settings)
    let placer = try Placer(settings.backend, fallback: settings.fallback, settings.options)
    let passes = try work.remaining ?? runtime.passes(settings)
    let graph = try Pipeline(passes, checksNumbers: false).run(on: work.graph, for: placer, samples: [work.inputs])
      .graph
    return (work, try placer.prepare(graph).makeSession())
  }

  /// - Throws: ``UserError`` or ``BadFile`` that names a picture that cannot be read, or a class that the model does not have.
  func accuracy(on pictures: [LabelledPictures.Picture]) throws -> ClassificationAccuracy {
    var counts = targets.map { _ in AccuracyCount() }
    for (number, picture) in pictures.enumerated() {
      let input: Tensor
      do {
        input = try Tensor(ModelInputs(path: picture.path, option: "--pictures").inputs(of: ports)[0])
      } catch let error as UserError where !error.description.contains(picture.path) {
        throw UserError("\(picture.path): \(error)")
      }
      let expected = try outputs(of: reference.session, on: input)
      guard expected.allSatisfy(\.isFinite) else {
        throw UserError("\(picture.path): outputs in float32 without passes have NaN or infinity; look at the weights")
      }
      if let label = picture.label, label >= expected.count {
        throw UserError("\(picture.path) is of class \(label), and \(model) has \(expected.count), counted from 0")
      }
      for index in targets.indices {
        guard let session = targets[index].session else { continue }
        counts[index].add(try outputs(of: session, on: input), reference: expected, label: picture.label)
      }
      if (number + 1) % 100 == 0, number + 1 < pictures.count {
        StandardError.write("\(number + 1) of \(pictures.count) pictures\n")
      }
    }
    return ClassificationAccuracy(
      model: model, pictures: pictures.count, classes: Set(pictures.compactMap(\.label)).count,
      reference: reference.label,
      rows: zip(targets, counts).map { target, count in
        guard let reason = target.reason else { return count.row(target.label) }
        var row = ClassificationAccuracy.Row(label: target.label)
        row.reason = reason
        return row
      })
  }

  /// The first output: one number for each class.
  private func outputs(of session: Session, on input: Tensor) throws -> [Float] {
    session.inputs[0].write(input)
    try session.run()
    if let failure = session.failure { throw failure }
    return session.outputs[0].actual.values
  }
}
