import CIntrinsics
import GraphCore
import TensorCore

/// Products of matrices of which neither is a weight: the second one is packed at each call.
struct MatMulKernel: CPUKernel {
  let name: String
  private let rows: Int
  private let depth: Int
  private let columns: Int
  /// Where each pair of matrices begins.
  private let places: [(first: Int, second: Int)]
  private let table: PacerKernelTable
  private let threads: Int

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard request.node.op is MatMul, request.inputs.allSatisfy({ $0.shape.rank >= 2 }), request.output.shape.count > 0,
      request.inputs[0].shape.count > 0
    else { return nil }
    return MatMulKernel(request)
  }

  private init(_ request: KernelRequest) {
    let (a, b, result) = (request.inputs[0].shape, request.inputs[1].shape, request.output.shape)
    (rows, depth, columns) = (a[a.rank - 2], a[a.rank - 1], b[b.rank - 1])
    let batch = Shape(result.extents.dropLast(2))
    func starts(_ shape: Shape) -> [Int] {
      let size = shape.extents.suffix(2).reduce(1, *)
      var view = StridedView(of: Shape(shape.extents.dropLast(2)), broadcastTo: batch)
      (view.shape, view.strides) = (Shape(view.shape.extents + [1]), view.strides + [0])
      var starts: [Int] = []
      view.forEachLine { starts.append($0 * size) }
      return starts
    }
    places = zip(starts(a), starts(b)).map { ($0, $1) }
    name = "matmul-" + String(cString: request.table.name)
    (table, threads) = (request.table, request.threads)
  }

  private var panels: Int { (columns + table.gemmWidth - 1) / table.gemmWidth }
  private var packedCount: Int { panels * table.gemmWidth * depth }
  var scratchByteCount: Int { (packedCount + table.gemmScratch(taps: 1) * threads) * 4 }

  private struct Packing {
    var source: UnsafePointer<Float>
    var target: UnsafeMutablePointer<Float>
    var depth: Int
    var columns: Int
    var width: Int
    var lanes: Int
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerIndirectGEMM()
    let packed = call.scratch!
    (p.weights, p.scratch, p.scratchStride) = (UnsafePointer(packed), packed + packedCount, table.gemmScratch(taps: 1))
    (p.pixels, p.taps, p.channels, p.inputStride) = (rows, 1, depth, depth)
    (p.outputs, p.outputStride, p.panelMajor) = (columns, columns, 1)
    p.epilogue = KernelEpilogue(nil).parameters()
    let tiles = (rows + table.gemmRows - 1) / table.gemmRows
    var last = -1
    for (index, place) in places.enumerated() {
      if place.second != last {
        let packing = Packing(
          source: call.input(1)! + place.second, target: packed, depth: depth, columns: columns,
          width: table.gemmWidth, lanes: table.lanes)
        call.pool.run(Self.pack, packing, count: panels)
        last = place.second
      }
      p.input = call.input(0)! + place.first
      p.output = call.output + index * rows * columns
      call.pool.run(table.indirectGEMM, p, count: tiles * panels)
    }
  }

  /// `[depth][columns]` to panels, the last of which is as many vectors wide as it needs. Items are panels.
  private static let pack: PacerKernel = { raw, begin, end, _ in
    let p = raw!.assumingMemoryBound(to: Packing.self).pointee
    for panel in begin..<end {
      let first = panel * p.width
      let count = min(p.width, p.columns - first)
      let width = (count + p.lanes - 1) / p.lanes * p.lanes
      var target = p.target + first * p.depth
      var source = p.source + first
      for _ in 0..<p.depth {
        target.update(from: source, count: count)
        if count < width { (target + count).update(repeating: 0, count: width - count) }
        target += width
        source += p.columns
      }
    }
  }
}
