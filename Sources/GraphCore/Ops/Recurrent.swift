import TensorCore

/// A layer that goes along a sequence with a state: LSTM, GRU and plain RNN (ONNX, operators of these names).
///
/// Inputs, in ONNX's order: `x [steps, batch, width]`, `w [directions, gates · hidden, width]`, `r [directions, gates · hidden,
/// hidden]`, then those of `given`: bias `[directions, 2 · gates · hidden]` (of `w`, then of `r`), lengths of the sequences
/// `[batch]` (int32), first hidden state and first cell state `[directions, batch, hidden]`, peepholes `[directions, 3 ·
/// hidden]` (input, output, forget). Gates are in the order input, output, forget, cell (LSTM) and update, reset, hidden (GRU).
///
/// Outputs: all hidden states `[steps, directions, batch, hidden]`, 0 behind the end of a sequence; the last hidden state of
/// each sequence `[directions, batch, hidden]`; of an LSTM the last cell state.
public struct Recurrent: Op {
  public static let name = "recurrent"

  public enum Kind: Hashable, Sendable, Codable {
    case rnn
    /// With `resetsProduct` the reset gate multiplies what `r` makes of the state (ONNX's `linear_before_reset`), else the
    /// state.
    case gru(resetsProduct: Bool)
    /// With `couplesGates` the forget gate is 1 less the input gate.
    case lstm(couplesGates: Bool)

    public var gates: Int {
      switch self {
      case .rnn: 1
      case .gru: 3
      case .lstm: 4
      }
    }
    var isLSTM: Bool { if case .lstm = self { true } else { false } }
    /// How many activations each direction has: of the RNN's sum; of the GRU's gates and its hidden state; of the LSTM's gates,
    /// its cell state's input and its hidden state.
    public var activations: Int { gates == 1 ? 1 : gates - 1 }
    public var defaultActivations: [GateActivation] {
      switch self {
      case .rnn: [.tanh]
      case .gru: [.sigmoid, .tanh]
      case .lstm: [.sigmoid, .tanh, .tanh]
      }
    }
  }

  public enum Direction: String, Sendable, Codable {
    case forward, reverse, bidirectional
    public var count: Int { self == .bidirectional ? 2 : 1 }
  }

  /// Inputs behind the weights.
  public struct Given: OptionSet, Hashable, Sendable, Codable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let bias = Given(rawValue: 1)
    public static let lengths = Given(rawValue: 2)
    public static let hidden = Given(rawValue: 4)
    public static let cell = Given(rawValue: 8)
    public static let peepholes = Given(rawValue: 16)
    static let inOrder = [bias, lengths, hidden, cell, peepholes]
  }

  public var kind: Kind
  public var direction: Direction
  public var given: Given
  /// Those of each direction, one behind the other.
  public var activations: [GateActivation]
  /// Sums are held within ± this before an activation; nil where not.
  public var clip: Float?

  /// - Parameter activations: nil for the kind's own.
  public init(
    _ kind: Kind, direction: Direction = .forward, given: Given = [], activations: [GateActivation]? = nil,
    clip: Float? = nil
  ) {
    (self.kind, self.direction, self.given, self.clip) = (kind, direction, given, clip)
    self.activations = activations ?? (0..<direction.count).flatMap { _ in kind.defaultActivations }
  }

  public var name: String {
    switch kind {
    case .rnn: "rnn"
    case .gru: "gru"
    case .lstm: "lstm"
    }
  }

  public var attributes: [(String, String)] {
    var list: [(String, String)] = []
    if direction != .forward { list.append(("direction", direction.rawValue)) }
    if !given.isEmpty { list.append(("given", "\(given.rawValue)")) }
    if !usesDefaultActivations {
      list.append(("activations", activations.map(\.description).joined(separator: ",")))
    }
    if let clip { list.append(("clip", "\(clip)")) }
    switch kind {
    case .gru(resetsProduct: true): list.append(("resets", "product"))
    case .lstm(couplesGates: true): list.append(("couples", "true"))
    default: break
    }
    return list
  }

  /// Whether its gates apply what is usual.
  package var usesDefaultActivations: Bool {
    activations == (0..<direction.count).flatMap { _ in kind.defaultActivations }
  }

  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<(given.contains(.bias) ? 4 : 3) }

  /// Position of an input among all; nil where it is not given.
  package func position(of input: Given) -> Int? {
    guard given.contains(input) else { return nil }
    return 3 + Given.inOrder.prefix { $0 != input }.count { given.contains($0) }
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    let count = 3 + Given.inOrder.count { given.contains($0) }
    try expect(inputs.count == count, "\(name) takes \(count) inputs, not \(inputs.count)")
    let (x, w, r) = (inputs[0].shape, inputs[1].shape, inputs[2].shape)
    try expect(x.rank == 3 && w.rank == 3 && r.rank == 3, "\(name) needs rank 3: input \(x), weights \(w) and \(r)")
    let (steps, batch, width, hidden) = (x[0], x[1], x[2], r[2])
    let (directions, rows) = (direction.count, kind.gates * hidden)
    try expect(
      w == [directions, rows, width] && r == [directions, rows, hidden],
      "\(name) in \(directions) directions: weights \(w) and \(r) do not fit input \(x)")
    let dtype = inputs[0].dtype
    try expect(dtype == .float32 || dtype == .float64, "\(name) computes on floats, not on \(dtype.rawValue)")
    let state = Shape([directions, batch, hidden])
    var wanted: [Given: TensorType] = [
      .bias: TensorType([directions, 2 * rows], dtype), .lengths: TensorType([batch], .int32),
      .hidden: TensorType(state, dtype),
    ]
    if kind.isLSTM {
      wanted[.cell] = TensorType(state, dtype)
      wanted[.peepholes] = TensorType([directions, 3 * hidden], dtype)
    }
    try expect(inputs[1].dtype == dtype && inputs[2].dtype == dtype, "\(name) needs one element type of numbers")
    for input in Given.inOrder where given.contains(input) {
      let found = inputs[position(of: input)!]
      guard let type = wanted[input] else { throw GraphError("\(name) has no cell state and no peepholes") }
      try expect(
        found.shape == type.shape && found.dtype == type.dtype && found.format == .nchw,
        "\(name): \(found) where \(type) is needed")
    }
    try expect(
      activations.count == directions * kind.activations, "\(name): \(activations.count) activations")
    let whole = Shape([steps, directions, batch, hidden])
    try expect(whole.elementCount != nil, "\(name): \(whole) is more than memory can hold")
    let types = [TensorType(whole, dtype), TensorType(state, dtype)]
    return kind.isLSTM ? types + [TensorType(state, dtype)] : types
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    let (x, r) = (inputs[0].shape, inputs[2].shape)
    guard x.rank == 3, r.rank == 3 else { return Cost() }
    return Cost(macs: x[0] * x[1] * direction.count * kind.gates * r[2] * (x[2] + r[2]))
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try outputTypes(for: inputs.map(\.type)).map { try Tensor(zeros: $0) }
    if inputs[0].type.dtype == .float64 {
      try run(inputs, results, products(Double.self, inputs))
    } else {
      try run(inputs, results, products(Float.self, inputs))
    }
    return results
  }

  /// What its weights make of its inputs and its states.
  private func products<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor]) -> RecurrentProducts<Real> {
    let (width, hidden) = (inputs[0].shape[2], inputs[2].shape[2])
    let rows = kind.gates * hidden
    func all(_ tensor: Tensor) -> [Real] { Array(tensor.elements(as: Real.self)) }
    let (x, w, r) = (all(inputs[0]), all(inputs[1]), all(inputs[2]))
    let bias = position(of: .bias).map { all(inputs[$0]) }
    func product(_ matrix: [Real], _ row: Int, _ vector: ArraySlice<Real>, _ added: Real) -> Real {
      let (first, start) = (row * vector.count, vector.startIndex)
      return (0..<vector.count).reduce(added) { $0 + matrix[first + $1] * vector[start + $1] }
    }
    return RecurrentProducts(
      ofInput: { d, place in
        let vector = x[(place * width)..<((place + 1) * width)]
        return (0..<rows).map { product(w, d * rows + $0, vector, bias?[d * 2 * rows + $0] ?? 0) }
      },
      ofState: { d, vector, gates in
        ((gates.lowerBound * hidden)..<(gates.upperBound * hidden)).map {
          product(r, d * rows + $0, vector[...], bias?[(d * 2 + 1) * rows + $0] ?? 0)
        }
      })
  }

  /// - Parameters:
  ///   - inputs: of which the weights are not looked at.
  ///   - results: zeros, which are overwritten.
  func run<Real: LibraryReal>(
    _ inputs: [Tensor], _ results: [Tensor], _ products: RecurrentProducts<Real>
  ) throws {
    let (steps, batch) = (inputs[0].shape[0], inputs[0].shape[1])
    let (hidden, directions) = (results[1].shape[2], direction.count)
    func all(_ tensor: Tensor) -> [Real] { Array(tensor.elements(as: Real.self)) }
    func input(_ given: Given) -> Tensor? { position(of: given).map { inputs[$0] } }
    let peepholes = input(.peepholes).map(all)
    let (firstHidden, firstCell) = (input(.hidden).map(all), input(.cell).map(all))
    let lengths = try input(.lengths)?.indices ?? [Int](repeating: steps, count: batch)
    try expect(
      lengths.allSatisfy { (0...steps).contains($0) }, "\(name): lengths \(lengths) of sequences of \(steps)")
    let (y, last) = (results[0].elements(as: Real.self), results[1].elements(as: Real.self))

    for d in 0..<directions {
      var cell = RecurrentCell<Real>(
        kind, hidden: hidden, peepholes: peepholes?[(d * 3 * hidden)..<((d + 1) * 3 * hidden)],
        activations: activations[(d * kind.activations)..<((d + 1) * kind.activations)], clip: clip
      ) { products.ofState(d, $0, $1) }
      let isReverse = direction == .reverse || d == 1
      for n in 0..<batch {
        let state = (d * batch + n) * hidden
        cell.state = firstHidden.map { Array($0[state..<(state + hidden)]) } ?? [Real](repeating: 0, count: hidden)
        cell.memory = firstCell.map { Array($0[state..<(state + hidden)]) } ?? [Real](repeating: 0, count: hidden)
        for step in 0..<lengths[n] {
          let t = isReverse ? lengths[n] - 1 - step : step
          cell.step(products.ofInput(d, t * batch + n))
          let row = ((t * directions + d) * batch + n) * hidden
          for j in 0..<hidden { y[row + j] = cell.state[j] }
        }
        for j in 0..<hidden { last[state + j] = cell.state[j] }
        if kind.isLSTM {
          let memory = results[2].elements(as: Real.self)
          for j in 0..<hidden { memory[state + j] = cell.memory[j] }
        }
      }
    }
  }
}

/// What the weights of a recurrent layer make of vectors, with their biases.
struct RecurrentProducts<Real> {
  /// Of a direction, and of the input at a place, step by step and in each all sequences: one for each row of `w`.
  var ofInput: (_ direction: Int, _ place: Int) -> [Real]
  /// Of a direction and a state: one for each row of `r` that belongs to the gates.
  var ofState: (_ direction: Int, _ state: [Real], _ gates: Range<Int>) -> [Real]
}

/// One direction of a recurrent layer, and its state.
private struct RecurrentCell<Real: LibraryReal> {
  let kind: Recurrent.Kind
  let hidden: Int
  let peepholes: [Real]?
  let activations: [(Real) -> Real]
  let clip: Real?
  /// What weights make of a vector for some gates.
  let recurrent: ([Real], Range<Int>) -> [Real]
  var state: [Real] = []
  var memory: [Real] = []

  init(
    _ kind: Recurrent.Kind, hidden: Int, peepholes: ArraySlice<Real>?, activations: ArraySlice<GateActivation>,
    clip: Float?, _ recurrent: @escaping ([Real], Range<Int>) -> [Real]
  ) {
    (self.kind, self.hidden, self.recurrent) = (kind, hidden, recurrent)
    self.peepholes = peepholes.map { Array($0) }
    self.activations = activations.map { $0.function(Real.self) }
    self.clip = clip.map { Real($0) }
  }

  private func activate(_ function: Int, _ sum: Real) -> Real {
    activations[function](clip.map { min(max(sum, -$0), $0) } ?? sum)
  }

  /// - Parameter fromInput: what the weights make of this step's input.
  mutating func step(_ fromInput: [Real]) {
    let old = state
    switch kind {
    case .rnn:
      let product = recurrent(old, 0..<1)
      for j in 0..<hidden { state[j] = activate(0, fromInput[j] + product[j]) }
    case .gru(let resetsProduct):
      let product = recurrent(old, 0..<2)
      let gates = (0..<(2 * hidden)).map { activate(0, fromInput[$0] + product[$0]) }
      let (update, reset) = (gates[..<hidden], Array(gates[hidden...]))
      let new =
        resetsProduct
        ? zip(recurrent(old, 2..<3), reset).map { $0 * $1 } : recurrent(zip(old, reset).map { $0 * $1 }, 2..<3)
      for j in 0..<hidden {
        state[j] = (1 - update[j]) * activate(1, fromInput[2 * hidden + j] + new[j]) + update[j] * old[j]
      }
    case .lstm(let couplesGates):
      let product = recurrent(old, 0..<4)
      for j in 0..<hidden {
        func sum(_ gate: Int) -> Real { fromInput[gate * hidden + j] + product[gate * hidden + j] }
        func peephole(_ gate: Int, _ memory: Real) -> Real { peepholes.map { $0[gate * hidden + j] * memory } ?? 0 }
        let input = activate(0, sum(0) + peephole(0, memory[j]))
        let forget = couplesGates ? 1 - input : activate(0, sum(2) + peephole(2, memory[j]))
        memory[j] = forget * memory[j] + input * activate(1, sum(3))
        // The output gate sees the new cell state.
        let output = activate(0, sum(1) + peephole(1, memory[j]))
        state[j] = output * activations[2](memory[j])
      }
    }
  }
}
