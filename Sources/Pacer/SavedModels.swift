import BackendCPU
import GraphCore
import GraphPasses
import ModelFiles
import RuntimeCore
import TensorCore

extension PacerContents {
  /// Optimises a graph as ``optimizeForMobile(_:backend:options:disabling:)`` does, for each of some instruction sets, so that it can
  /// be saved: one graph with passes that know no target alone, and one for each set, with weights as its kernels want them. None of
  /// the sets need be this machine's.
  ///
  ///     try PacerContents(optimising: graph).write(to: "model.pacer")
  ///
  /// - Parameters:
  ///   - sets: Instruction sets to pack for; an application that has another, or runs on another backend, packs when it loads.
  ///   - passes: Those to run, in order.
  ///   - disabling: Names of passes to leave out.
  ///   - checksNumbers: Whether outputs are held against the reference ops after each pass.
  ///   - inputs: One for each input of the graph, to be kept with it; empty for none.
  /// - Throws: ``UnknownName`` for a pass that does not exist, ``GraphError`` where a pass breaks the graph or inputs do not fit.
  public init(
    optimising graph: Graph, for sets: [InstructionSet] = InstructionSet.allCases,
    passes: [any Pass] = standardPasses, disabling: Set<String> = [], checksNumbers: Bool = true, inputs: [Tensor] = []
  ) throws {
    for name in disabling.sorted() where !passes.contains(where: { $0.name == name }) {
      throw UnknownName(kind: "pass", name: name, known: passes.map(\.name))
    }
    let chosen = passes.filter { !disabling.contains($0.name) }
    let border = chosen.firstIndex(where: \.isForTarget) ?? chosen.count
    let forTarget = Array(chosen[border...])
    func run(_ passes: [any Pass], on graph: Graph, _ backend: CPUBackend) throws -> (Graph, [PacerFile.AppliedPass]) {
      let placer = try Placer(backend, PrepareOptions())
      var (result, reports) = try Pipeline(passes, checksNumbers: checksNumbers).run(on: graph, for: placer)
      // Where nodes run is chosen anew by whoever loads them.
      for index in result.nodes.indices { result.place(index, on: nil) }
      return (result, reports.map { .init(name: $0.name, rewrites: $0.rewrites) })
    }
    let (portable, before) = try run(Array(chosen[..<border]), on: graph, CPUBackend())
    var variants = [Variant(nil, portable, passes: before)]
    for set in InstructionSet.allCases where sets.contains(set) {
      let (packed, own) = try run(forTarget, on: portable, CPUBackend(instructionSet: set))
      variants.append(Variant(set.rawValue, packed, passes: before + own))
    }
    self.init(
      name: graph.name, release: pacerRelease, variants: variants, targetPasses: forTarget.map(\.name))
    guard !inputs.isEmpty else { return }
    guard inputs.map(\.type) == portable.inputs.map({ portable[$0].type }) else {
      throw GraphError("inputs are not those that \(graph.name) reads")
    }
    self.inputs = zip(portable.inputs, inputs).map { (portable[$0].name, $1) }
  }
}

extension PacerFile {
  /// The graph for a backend, ready to be placed and planned: that of the variant that was packed for it, or the portable one after
  /// the passes that know a target.
  /// - Parameters:
  ///   - placer: of the backend it will run on, and its fallback.
  ///   - passes: Those there are, by name.
  /// - Returns: Besides the graph, what the passes did that ran now: none where a variant fits.
  /// - Throws: ``BadFile``, ``UnknownName`` where a pass is not among `passes`, and what a pass throws.
  public func graph(
    for placer: Placer, passes: [any Pass] = standardPasses
  ) throws -> (graph: Graph, packing: [PassReport]) {
    let (graph, own) = try graph(for: placer.backends[0], passes: passes)
    guard !own.isEmpty else { return (graph, []) }
    let (result, reports) = try Pipeline(own, checksNumbers: false).run(on: graph, for: placer)
    return (result, reports)
  }

  /// The variant to run on a backend, and the passes that are to run on it first.
  /// - Parameters:
  ///   - portable: passes that no variant was made with: they, then those for a target run on the portable one.
  ///   - passes: Those there are, by name.
  /// - Throws: ``BadFile``, ``UnknownName`` where a pass is not among `passes`.
  package func graph(
    for backend: any Backend, after portable: [any Pass] = [], passes: [any Pass]
  ) throws -> (graph: Graph, passes: [any Pass]) {
    if portable.isEmpty, let set = Self.packedFor(backend), variants.contains(where: { $0.instructionSet == set }) {
      return (try graph(for: set), [])
    }
    // The reference loops take everything as it is.
    if (backend as? CPUBackend)?.kernels == .reference { return (try graph(), portable) }
    let own = try targetPasses.map { name in
      guard let pass = passes.first(where: { $0.name == name }) else {
        throw UnknownName(kind: "pass", name: name, known: passes.map(\.name))
      }
      return pass
    }
    return (try graph(), portable + own)
  }

  /// Name of the instruction set whose packing a backend's kernels want; nil where that is no set's.
  public static func packedFor(_ backend: any Backend) -> String? {
    guard let cpu = backend as? CPUBackend, cpu.kernels == .fast else { return nil }
    return cpu.instructionSet.rawValue
  }
}

extension Backend {
  /// Prepares a model from a file to run on this backend alone; weights that were packed for it are used where they lie.
  ///
  ///     let session = try CPUBackend().prepare(PacerFile("model.pacer")).makeSession()
  ///     session.inputs[0].write(values)
  ///     try session.run()
  ///
  /// - Throws: ``BadFile``, and ``Unsupported`` naming the first node without a kernel, or why the backend cannot run here.
  public func prepare(_ file: PacerFile, _ options: PrepareOptions = PrepareOptions()) throws -> Executable {
    let placer = try Placer(self, options)
    return try placer.prepare(file.graph(for: placer).graph)
  }
}
