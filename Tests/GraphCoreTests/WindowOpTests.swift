import GraphCore
import TensorCore
import Testing

/// What hostile files may ask of ops with windows, coordinates and norms: an error, and never a trap.
@Suite struct WindowOpTests {
  private static let huge = [-1, 0, 1, 2, 3, 5, 1 << 20, 1 << 31, 1 << 40, Int.max, Int.min]

  private struct Draw: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33 ^ state << 17
    }
    /// Mostly one that may be right.
    mutating func number() -> Int { small(0...9) < 9 ? small(1...3) : WindowOpTests.huge.randomElement(using: &self)! }
    mutating func numbers(_ count: Int) -> [Int] { (0..<count).map { _ in number() } }
    mutating func small(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    mutating func pair() -> Pair { Pair(number(), number()) }
    mutating func padding() -> Padding { Padding(top: number(), left: number(), bottom: number(), right: number()) }
    mutating func float() -> Float {
      [-1, 0, 0.5, 1e-38, 1e38, .infinity, -.infinity, .nan].randomElement(using: &self)!
    }
    mutating func window() -> Window {
      Window(kernel: pair(), stride: pair(), padding: padding(), dilation: pair())
    }
    mutating func windowND(_ axes: Int) -> WindowND {
      WindowND(
        kernel: numbers(axes), strides: numbers(axes), dilations: numbers(axes), before: numbers(axes),
        after: numbers(axes))
    }
    mutating func flag() -> Bool { small(0...1) == 1 }
    mutating func shape() -> Shape {
      Shape((0..<[4, 4, 4, 5, 3, 2, 0].randomElement(using: &self)!).map { _ in small(0...6) })
    }
    /// Images, and what often goes with them: channels, another tensor of the same shape or of the same rank.
    mutating func inputs() -> [TensorType] {
      let (dtype, other) = (
        [DType.float32, .float32, .float64, .uint8, .bool].randomElement(using: &self)!, small(0...9)
      )
      let first = shape()
      return [TensorType(first, dtype)]
        + (0..<small(0...4)).map { _ in
          let second = [
            shape(), first, Shape(first.extents.map { _ in small(1...3) }),
            Shape(Array(first.extents.dropFirst().prefix(1))),
          ]
          return TensorType(second.randomElement(using: &self)!, other == 0 ? .int64 : dtype)
        }
    }
    mutating func op() -> any Op {
      let axes = small(0...4)
      switch small(0...18) {
      case 0: return Conv2D(stride: pair(), padding: padding(), dilation: pair(), groups: number())
      case 1: return ConvolutionND(windowND(axes), groups: number())
      case 2: return ConvTransposeND(windowND(axes), groups: number(), outputPadding: numbers(axes))
      case 3:
        return ConvTranspose2D(
          stride: pair(), padding: padding(), dilation: pair(), groups: number(), outputPadding: pair())
      case 4: return MaxPool2D(window())
      case 5: return AveragePool2D(window(), countsPadding: flag())
      case 6: return PoolND(.maximum, windowND(axes), overhang: numbers(axes), indices: flag() ? .columns : nil)
      case 7: return PoolND(.average(countsPadding: flag()), windowND(axes), overhang: numbers(axes))
      case 8: return PoolND(.norm(p: number()), windowND(axes), overhang: numbers(axes))
      case 9: return MaxUnpool(to: Shape(numbers(axes)))
      case 10: return InstanceNorm(epsilon: float())
      case 11: return LayerNorm(axis: number(), isRootMeanSquare: flag(), givesStatistics: flag())
      case 12: return LocalResponseNorm(size: number(), alpha: float())
      case 13: return Hardmax(axis: number())
      case 14:
        let resized = (0..<axes).map { _ in
          Resize.Axis(number(), extent: number(), scale: float(), region: Resize.ClosedRegion(float(), float()))
        }
        return Resize(resized, flag() ? .cubic(a: float()) : .nearest(.ceil), flag() ? .crop : .asymmetric)
      case 15: return GridSample(flag() ? .cubic : .linear, outside: .reflection, alignsCorners: flag())
      case 16: return AffineGrid(numbers(axes), alignsCorners: flag())
      case 17: return RoiAlign(pair(), samples: number(), scale: float(), isHalfPixel: flag())
      default: return flag() ? RoiPool(pair(), scale: float()) : NonMaxSuppression(bound: number(), isCentred: flag())
      }
    }
  }

  @Test func `attributes of any size are computed or refused`() throws {
    var draw = Draw(state: 7)
    var (computed, refused) = (0, 0)
    for _ in 0..<40_000 {
      let (op, inputs) = (draw.op(), draw.inputs())
      do {
        let types = try op.checkedOutputTypes(for: inputs)
        _ = op.cost(for: inputs)
        for type in types { if let fault = type.fault { throw GraphError(fault) } }
        guard types.allSatisfy({ $0.shape.count < 1 << 14 }), inputs.allSatisfy({ $0.widened == $0 }) else { continue }
        _ = try op.evaluate(inputs.map { try Tensor(zeros: $0) })
        computed += 1
      } catch is GraphError { refused += 1 }
    }
    #expect(computed > 500 && refused > 10_000)
  }

  @Test func `empty images, and windows that see nothing of one`() throws {
    let empty = try Tensor(zeros: TensorType([0, 2, 4, 4]))
    for op in [
      MaxPool2D(Window(kernel: 2)), AveragePool2D(Window(kernel: 2)), ConvTranspose2D(),
      Resize([Resize.Axis(2, extent: 8, scale: 2)], .linear), LayerNorm(axis: 3), Hardmax(axis: 1),
    ] as [any Op] {
      let inputs = op is ConvTranspose2D ? [empty, try Tensor(zeros: TensorType([2, 3, 2, 2]))] : [empty]
      #expect(try op.evaluate(inputs)[0].shape.count == 0)
    }
    let one = try Tensor([1, 1, 1, 1], [-3])
    let far = Window(kernel: 2, stride: 3, padding: 4, dilation: 1)
    #expect(try AveragePool2D(far).evaluate([one])[0].values == [0, 0, 0, 0, -3, 0, 0, 0, 0])
    #expect(try MaxPool2D(far).evaluate([one])[0].values.filter { $0 == -3 }.count == 1)
  }

  @Test func `boxes, places and images that are not there are errors`() throws {
    let image = try Tensor([1, 1, 2, 2], [1, 2, 3, 4])
    #expect(throws: GraphError.self) {
      try RoiAlign(2).evaluate([image, Tensor([1, 4], [0, 0, 1, 1]), Tensor([1], elements: [Int64(1)])])
    }
    #expect(throws: GraphError.self) {
      try RoiAlign(2).evaluate([image, Tensor([1, 4], [0, 0, .nan, 1]), Tensor([1], elements: [Int64(0)])])
    }
    #expect(throws: GraphError.self) { try RoiPool(2).evaluate([image, Tensor([1, 5], [.nan, 0, 0, 1, 1])]) }
    #expect(throws: GraphError.self) {
      try MaxUnpool(to: [1, 1, 4, 4]).evaluate([image, Tensor([1, 1, 2, 2], elements: [0, 1, 2, 16] as [Int64])])
    }
    let grid = try Tensor([1, 1, 2, 2], [.nan, 0, 1e30, -.infinity])
    for outside in [GridSample.Outside.zeros, .border, .reflection] {
      for mode in [GridSample.Mode.nearest, .linear, .cubic] {
        #expect(try GridSample(mode, outside: outside).evaluate([image, grid])[0].shape == [1, 1, 1, 2])
      }
    }
  }
}
