import CIntrinsics
import Foundation
import GraphCore
import TensorCore

/// LSTM in one or two directions with its usual activations, without peepholes, and of sequences of one length.
struct LSTMKernel: CPUKernel {
  let name: String
  private let op: Recurrent
  private let steps: Int
  private let batch: Int
  private let width: Int
  private let hidden: Int
  private let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Recurrent, runs(op) else { return nil }
    let (x, r) = (request.inputs[0].shape, request.inputs[2].shape)
    return LSTMKernel(
      name: "lstm-" + String(cString: request.table.name), op: op, steps: x[0], batch: x[1], width: x[2], hidden: r[2],
      table: request.table)
  }

  static func runs(_ op: Recurrent) -> Bool {
    op.kind == .lstm(couplesGates: false) && op.usesDefaultActivations && op.clip == nil
      && op.given.isDisjoint(with: [.lengths, .peepholes])
  }

  private var gates: Int { 4 * hidden }
  /// Zeros or the biases' sum, and the gates of one step.
  var scratchByteCount: Int { 4 * ((2 * gates + 15) / 16 * 16) }

  func run(_ call: borrowing KernelCall) {
    let directions = op.direction.count
    func output(_ index: Int) -> UnsafeMutablePointer<Float> { call.outputs[index].assumingMemoryBound(to: Float.self) }
    func given(_ input: Recurrent.Given) -> UnsafePointer<Float>? { op.position(of: input).flatMap { call.input($0) } }
    let (bias, firstHidden, firstCell) = (given(.bias), given(.hidden), given(.cell))
    let (added, sums) = (call.scratch!, call.scratch! + gates)
    let (all, states, cells) = (output(0), output(1), output(2))
    for d in 0..<directions {
      for i in 0..<gates { added[i] = bias.map { $0[d * 2 * gates + i] + $0[(d * 2 + 1) * gates + i] } ?? 0 }
      let isReverse = op.direction == .reverse || d == 1
      for n in 0..<batch {
        let place = (d * batch + n) * hidden
        let (state, cell) = (states + place, cells + place)
        for j in 0..<hidden {
          state[j] = firstHidden?[place + j] ?? 0
          cell[j] = firstCell?[place + j] ?? 0
        }
        for step in 0..<steps {
          let t = isReverse ? steps - 1 - step : step
          var p = PacerDots()
          (p.matrix, p.vector, p.depth) = (
            call.input(1)! + d * gates * width, call.input(0)! + (t * batch + n) * width, width
          )
          (p.added, p.output) = (UnsafePointer(added), sums)
          call.pool.run(table.dots, p, count: gates)
          (p.matrix, p.vector, p.depth) = (call.input(2)! + d * gates * hidden, UnsafePointer(state), hidden)
          p.added = UnsafePointer(sums)
          call.pool.run(table.dots, p, count: gates)
          let row = all + ((t * directions + d) * batch + n) * hidden
          Self.finish(sums, cell, state, row, hidden: hidden)
        }
      }
    }
  }

  /// From the sums of the gates, in the order input, output, forget and cell, to the new states.
  static func finish(
    _ sums: UnsafeMutablePointer<Float>, _ cell: UnsafeMutablePointer<Float>, _ state: UnsafeMutablePointer<Float>,
    _ row: UnsafeMutablePointer<Float>, hidden: Int
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
