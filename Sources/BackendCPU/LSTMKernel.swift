import CIntrinsics
import Foundation
import GraphCore
import TensorCore

/// How an LSTM with its usual activations, without peepholes, goes along sequences of one length, in one or two directions.
struct LSTMSequence: Sendable {
  private let layer: Recurrent
  let steps: Int
  let batch: Int
  let hidden: Int

  /// - Parameter x: `[steps, batch, width]`.
  /// - Returns: nil of other layers.
  init?(_ layer: Recurrent, _ x: Shape, hidden: Int) {
    guard layer.kind == .lstm(couplesGates: false), layer.usesDefaultActivations, layer.clip == nil,
      layer.given.isDisjoint(with: [.lengths, .peepholes])
    else { return nil }
    (self.layer, steps, batch, self.hidden) = (layer, x[0], x[1], hidden)
  }

  var directions: Int { layer.direction.count }
  var gates: Int { 4 * hidden }

  func input(_ given: Recurrent.Given, _ call: borrowing KernelCall) -> UnsafePointer<Float>? {
    guard let position = layer.position(of: given) else { return nil }
    return call.input(position)
  }

  /// - Parameters:
  ///   - sums: of the gates of a step, in the order input, output, forget and cell.
  ///   - fill: gives them, of a direction, a place in the input, step by step and in each all sequences, and a state.
  func run(
    _ call: borrowing KernelCall, _ sums: UnsafePointer<Float>,
    _ fill: (_ direction: Int, _ place: Int, _ state: UnsafePointer<Float>) -> Void
  ) {
    let (firstHidden, firstCell) = (input(.hidden, call), input(.cell, call))
    let all = call.outputs[0].assumingMemoryBound(to: Float.self)
    let states = call.outputs[1].assumingMemoryBound(to: Float.self)
    let cells = call.outputs[2].assumingMemoryBound(to: Float.self)
    for d in 0..<directions {
      let isReverse = layer.direction == .reverse || d == 1
      for n in 0..<batch {
        let place = (d * batch + n) * hidden
        let (state, cell) = (states + place, cells + place)
        for j in 0..<hidden {
          state[j] = firstHidden?[place + j] ?? 0
          cell[j] = firstCell?[place + j] ?? 0
        }
        for step in 0..<steps {
          let t = isReverse ? steps - 1 - step : step
          fill(d, t * batch + n, state)
          finish(sums, cell, state, all + ((t * directions + d) * batch + n) * hidden)
        }
      }
    }
  }

  /// From the sums of the gates to the new states.
  private func finish(
    _ sums: UnsafePointer<Float>, _ cell: UnsafeMutablePointer<Float>, _ state: UnsafeMutablePointer<Float>,
    _ row: UnsafeMutablePointer<Float>
  ) {
    func logistic(_ x: Float) -> Float { 1 / (1 + exp(-x)) }
    for j in 0..<hidden {
      let new = logistic(sums[2 * hidden + j]) * cell[j] + logistic(sums[j]) * tanh(sums[3 * hidden + j])
      cell[j] = new
      state[j] = logistic(sums[hidden + j]) * tanh(new)
      row[j] = state[j]
    }
  }
}

/// LSTM of float32: ``LSTMSequence``.
struct LSTMKernel: CPUKernel {
  let name: String
  private let sequence: LSTMSequence
  private let width: Int
  private let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Recurrent,
      let sequence = LSTMSequence(op, request.inputs[0].shape, hidden: request.inputs[2].shape[2])
    else { return nil }
    return LSTMKernel(
      name: "lstm-" + String(cString: request.table.name), sequence: sequence, width: request.inputs[0].shape[2],
      table: request.table)
  }

  private var gates: Int { sequence.gates }
  /// Zeros or the biases' sum of each direction, and the gates of one step.
  var scratchByteCount: Int { 4 * (((sequence.directions + 1) * gates + 15) / 16 * 16) }

  func run(_ call: borrowing KernelCall) {
    let (gates, hidden, bias) = (gates, sequence.hidden, sequence.input(.bias, call))
    let (sums, added) = (call.scratch!, call.scratch! + gates)
    for d in 0..<sequence.directions {
      for i in 0..<gates {
        added[d * gates + i] = bias.map { $0[d * 2 * gates + i] + $0[(d * 2 + 1) * gates + i] } ?? 0
      }
    }
    let (x, w, r, pool) = (call.input(0)!, call.input(1)!, call.input(2)!, call.pool)
    sequence.run(call, sums) { d, place, state in
      var p = PacerDots()
      (p.matrix, p.vector, p.depth) = (w + d * gates * width, x + place * width, width)
      (p.added, p.output) = (UnsafePointer(added + d * gates), sums)
      pool.run(table.dots, p, count: gates)
      (p.matrix, p.vector, p.depth) = (r + d * gates * hidden, state, hidden)
      p.added = UnsafePointer(sums)
      pool.run(table.dots, p, count: gates)
    }
  }
}
