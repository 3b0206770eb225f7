import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Elements of any type moved from where they lie to where another shape or format wants them: transpositions, slices, repetitions,
/// and several tensors one behind the other. Each thread does a part of the lines.
struct MoveKernel: CPUKernel {
  let name = "move"
  private let parts: [Part]
  private let size: Int

  /// One input's way into the output, both in elements.
  struct Part: Sendable {
    /// Position of the input.
    var input: Int
    /// Extents and steps of the loops outside of a line.
    var loops: [(extent: Int, source: Int, target: Int)]
    /// Elements of a line, and the steps from each to the next.
    var line: (extent: Int, source: Int, target: Int)
    var source: Int
    var target: Int

    /// - Parameters:
    ///   - extents: in the order in which the output lies.
    ///   - from: step in the input along each of them; `to`: in the output.
    init(of input: Int, _ extents: [Int], from: [Int], to: [Int], source: Int, target: Int) {
      (self.input, self.source, self.target) = (input, source, target)
      loops = []
      for (axis, extent) in extents.enumerated() where extent > 1 {
        let (near, far) = (from[axis], to[axis])
        if let last = loops.last, last.source == near * extent, last.target == far * extent {
          loops[loops.count - 1] = (last.extent * extent, near, far)
        } else {
          loops.append((extent, near, far))
        }
      }
      line = loops.popLast() ?? (1, 1, 1)
    }

    var lineCount: Int { loops.reduce(1) { $0 * $1.extent } }

    /// Whether its elements follow each other, here and there.
    var isOneRun: Bool { loops.isEmpty && line.source == 1 && line.target == 1 }
  }

  /// Where the inputs' elements lie in them, in bytes, if all they are is copied as they are.
  var sources: [Int]? { parts.allSatisfy(\.isOneRun) ? parts.map { $0.source * size } : nil }
  /// The same in the output.
  var targets: [Int]? { parts.allSatisfy(\.isOneRun) ? parts.map { $0.target * size } : nil }

  /// Whatever the element type is.
  static func make(_ op: any Op, _ inputs: [TensorType], _ output: TensorType) -> MoveKernel? {
    guard output.shape.count > 0, (inputs + [output]).allSatisfy({ !$0.isUpperBound && $0.format.isPlain }) else {
      return nil
    }
    let rank = output.shape.rank
    let (extents, target) = (output.shape.extents, output.logicalStrides)
    var parts: [(view: [Int], extents: [Int], source: Int, target: Int)] = []
    switch op {
    case let op as Transpose:
      let strides = inputs[0].logicalStrides
      parts = [(op.order.map { strides[$0] }, extents, 0, 0)]
    case let op as Slice:
      var (strides, first) = (inputs[0].logicalStrides, 0)
      for cut in op.cuts {
        first += cut.firstPlace(of: inputs[0].shape[cut.axis]) * strides[cut.axis]
        strides[cut.axis] *= extents[cut.axis] > 1 ? cut.step : 1
      }
      parts = [(strides, extents, first, 0)]
    case is Expand where inputs[0].shape.rank <= rank:
      let missing = rank - inputs[0].shape.rank
      let own =
        [Int](repeating: 0, count: missing)
        + zip(inputs[0].logicalStrides, inputs[0].shape.extents).map { $1 == 1 ? 0 : $0 }
      parts = [(own, extents, 0, 0)]
    case let op as Concat:
      var place = 0
      for input in inputs {
        parts.append((input.logicalStrides, input.shape.extents, 0, place * target[op.axis]))
        place += input.shape[op.axis]
      }
    case let op as DepthToSpace:
      let (loops, steps) = op.loops(inputs[0].shape)
      let from = inputs[0].logicalStrides
      let (near, far) = (
        [from[0], from[2], 0, from[3], 0, 0],
        [target[0], op.block.h * target[2], target[2], op.block.w * target[3], target[3], target[1]]
      )
      // What is next to each other in the output comes last.
      let order = output.format == .nhwc ? [0, 1, 2, 3, 4, 5] : [0, 5, 1, 2, 3, 4]
      let part = Part(
        of: 0, order.map { loops[$0] }, from: order.map { near[$0] + steps[$0] * from[1] }, to: order.map { far[$0] },
        source: 0, target: 0)
      return MoveKernel(parts: [part], size: output.dtype.byteCount)
    default: return nil
    }
    // Loops go in the order in which the output lies.
    let order = output.format == .nhwc ? [0, 2, 3, 1] : Array(0..<rank)
    return MoveKernel(
      // An input without elements has nothing to move.
      parts: parts.enumerated().filter { $1.extents.allSatisfy { $0 > 0 } }.map { index, part in
        Part(
          of: index, order.map { part.extents[$0] }, from: order.map { part.view[$0] }, to: order.map { target[$0] },
          source: part.source, target: part.target)
      }, size: output.dtype.byteCount)
  }

  private struct Work {
    var source: UnsafeRawPointer
    var target: UnsafeMutableRawPointer
    var part: UnsafePointer<Part>
    var size: Int
  }

  func run(_ call: borrowing KernelCall) {
    for part in parts {
      withUnsafePointer(to: part) { part in
        let work = Work(
          source: UnsafeRawPointer(call.inputs[part.pointee.input]), target: call.outputs[0], part: part, size: size)
        let kernel: PacerKernel = { raw, begin, end, _ in
          let work = raw!.assumingMemoryBound(to: Work.self).pointee
          switch work.size {
          case 1: MoveKernel.move(work, begin, end, UInt8.self)
          case 2: MoveKernel.move(work, begin, end, UInt16.self)
          case 4: MoveKernel.move(work, begin, end, UInt32.self)
          default: MoveKernel.move(work, begin, end, UInt64.self)
          }
        }
        call.runLines(kernel, work, count: part.pointee.lineCount, byteCount: part.pointee.line.extent * size)
      }
    }
  }

  private static func move<Element: BitwiseCopyable>(_ work: Work, _ begin: Int, _ end: Int, _: Element.Type) {
    let part = work.part.pointee
    let source = work.source.assumingMemoryBound(to: Element.self) + part.source
    let target = work.target.assumingMemoryBound(to: Element.self) + part.target
    let (count, near, far) = part.line
    guard let innermost = part.loops.last else { return copy(source, near, target, far, count) }
    var line = begin
    while line < end {
      // Where the lines of the innermost loop begin, and how many of them there are yet.
      var (rest, from, to) = (line / innermost.extent, source, target)
      for loop in part.loops.dropLast().reversed() {
        from += rest % loop.extent * loop.source
        to += rest % loop.extent * loop.target
        rest /= loop.extent
      }
      let first = line % innermost.extent
      let lines = min(innermost.extent - first, end - line)
      from += first * innermost.source
      to += first * innermost.target
      if near != 1, innermost.source == 1, far == 1 {
        transpose(from, near, to, innermost.target, rows: count, columns: lines)
      } else {
        for index in 0..<lines {
          copy(from + index * innermost.source, near, to + index * innermost.target, far, count)
        }
      }
      line += lines
    }
  }

  @inline(__always)
  private static func copy<Element: BitwiseCopyable>(
    _ source: UnsafePointer<Element>, _ near: Int, _ target: UnsafeMutablePointer<Element>, _ far: Int, _ count: Int
  ) {
    if near == 1 && far == 1 { return target.update(from: source, count: count) }
    if near == 0 && far == 1 { return target.update(repeating: source.pointee, count: count) }
    for i in 0..<count { target[i * far] = source[i * near] }
  }

  /// `target[column · stride + row] = source[row · pitch + column]`, in blocks that stay in cache until they are whole.
  private static func transpose<Element: BitwiseCopyable>(
    _ source: UnsafePointer<Element>, _ pitch: Int, _ target: UnsafeMutablePointer<Element>, _ stride: Int, rows: Int,
    columns: Int
  ) {
    let block = 16
    for top in Swift.stride(from: 0, to: rows, by: block) {
      let bottom = min(top + block, rows)
      for left in Swift.stride(from: 0, to: columns, by: block) {
        for column in left..<min(left + block, columns) {
          let line = target + column * stride
          for row in top..<bottom { line[row] = source[row * pitch + column] }
        }
      }
    }
  }
}

extension MemoryFormat {
  /// Whether elements lie by their axes alone.
  var isPlain: Bool { self == .nchw || self == .nhwc }
}

extension TensorType {
  /// Elements from one index of each axis to the next.
  var logicalStrides: [Int] {
    let strides = Shape(physicalExtents(of: shape)).strides
    return format == .nhwc ? [strides[0], strides[3], strides[1], strides[2]] : strides
  }
}
