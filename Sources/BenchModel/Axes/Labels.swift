import BenchProtocol
import TensorCore

/// What rows are called. A label is made last, from all rows that are shown together, and shows each axis on which they
/// differ; nothing is ever looked up by it.
public enum Labels {
  /// - Parameters:
  ///   - configurations: those that are shown together; rows of different models are told apart by the model's name.
  ///   - passes: what "all passes" stands for, in order.
  public static func of(
    _ configurations: [Configuration], _ axes: AxisTable, passes: [String],
    inputShape: (String) -> Shape? = { _ in nil }
  ) -> [String] {
    var labels = [String](repeating: "", count: configurations.count)
    for (model, indices) in Dictionary(grouping: configurations.indices, by: { configurations[$0].model }) {
      let contexts = axes.axes.map { axis in
        var context = LabelContext(passes: passes)
        context.choices = Set(indices.map { configurations[$0][axis.key] })
        (context.differs, context.inputShape) = (context.choices.count > 1, inputShape(model))
        return context
      }
      for index in indices { labels[index] = label(configurations[index], axes, contexts) }
    }
    return labels
  }

  /// One configuration by itself.
  public static func of(_ configuration: Configuration, _ catalog: Catalog) -> String {
    of([configuration], catalog.axes, passes: catalog.passes.map(\.name))[0]
  }

  private static func label(_ configuration: Configuration, _ axes: AxisTable, _ contexts: [LabelContext]) -> String {
    let settled = axes.axes.filter { configuration[$0.key] != nil }.flatMap(\.settles)
    let parts = zip(axes.axes, contexts).compactMap { axis, context -> String? in
      guard axis.applies(to: configuration), !settled.contains(axis.key) else { return nil }
      // Passes are what rows are about: the word for none is never left out.
      if axis.role == .passes, configuration.modelReference.isPacerFile { return "optimised" }
      if axis.role == .passes, configuration[axis.key] == nil {
        var context = context
        context.differs = true
        return axis.label(nil, context)
      }
      return axis.label(configuration[axis.key], context)
    }
    return parts.joined(separator: ", ")
  }
}
