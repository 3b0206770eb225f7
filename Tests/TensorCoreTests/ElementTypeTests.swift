import TensorCore
import Testing

@Suite struct ElementTypeTests {
  @Test func `numbers survive in every element type that holds them`() throws {
    let values: [Double] = [0, 1, 2, 100, 3, 127]
    for dtype in DType.allCases {
      let tensor = try Tensor([2, 3], values, dtype)
      let expected = dtype == .bool ? values.map { $0 == 0 ? 0 : 1 } : values
      #expect(tensor.doubles == expected && tensor.values == expected.map(Float.init), "\(dtype)")
      #expect(tensor.type.byteCount == 6 * dtype.byteCount && tensor.type.description == "\(dtype.rawValue)[2x3]")
    }
  }

  @Test func `what a type cannot hold is its nearest`() throws {
    let values = [-1.5, 1.5, 300, -300, .nan, .infinity]
    #expect(try Tensor([6], values, .int8).doubles == [-1, 1, 127, -128, 0, 127])
    #expect(try Tensor([6], values, .uint8).doubles == [0, 1, 255, 0, 0, 255])
    #expect(try Tensor([1], [1e300], .int64).doubles == [Double(Int64.max)])
    #expect(try Tensor([6], values, .bool).doubles == [1, 1, 1, 1, 1, 1])
    #expect(try Tensor([2], [70000, 1e-9], .float16).doubles == [.infinity, 0])
    // Integers lose their upper bits, as in C.
    #expect(try Tensor([3], [200, -1, 256] as [Int64], .int8).doubles == [-56, -1, 0])
    let largest = try Tensor([1], [-1] as [Int64], .uint64)
    #expect(withExtendedLifetime(largest) { largest.elements(as: UInt64.self)[0] } == .max)
  }

  @Test func `bfloat16 rounds to the nearest, ties to even`() {
    for (value, bits) in [
      (1, 0x3F80), (1 + 0x1p-8, 0x3F80), (1 + 0x1.8p-8, 0x3F81), (1 + 0x1.8p-7, 0x3F82), (-2.5, 0xC020),
      (.greatestFiniteMagnitude, 0x7F80), (.infinity, 0x7F80), (-.infinity, 0xFF80), (0x1p-133, 0x0001),
    ] as [(Float, UInt16)] {
      #expect(BFloat16(value).bitPattern == bits, "\(value)")
    }
    #expect(Float(BFloat16(Float.nan)).isNaN && Float(BFloat16(bitPattern: 0x3F80)) == 1)
    #expect(Float(BFloat16(Float(bitPattern: 0x7F80_0001))).isNaN)
    // From a double it is rounded once: just above the tie, just below, and the same below zero.
    #expect(BFloat16(1 + 0x1p-8 + 0x1p-40 as Double).bitPattern == 0x3F81)
    #expect(BFloat16(1 + 0x1p-8 - 0x1p-40 as Double).bitPattern == 0x3F80)
    #expect(BFloat16(-1 - 0x1.8p-7 + 0x1p-40 as Double).bitPattern == 0xBF81)
    #expect(BFloat16(1e300 as Double).bitPattern == 0x7F80 && Float(BFloat16(Double.nan)).isNaN)
  }

  @Test func `elements of every size change places between formats`() throws {
    let (shape, values) = (Shape([2, 6, 2, 2]), (0..<48).map { Double($0) })
    let formats: [MemoryFormat] = [
      .nchw, .nhwc, .panels(PanelLayout(width: 4, depth: .tapsThenChannels, depthMultiple: 4)),
      .panels(PanelLayout(width: 2, depth: .channelsThenTaps)),
    ]
    let floats = try Tensor(shape, values.map(Float.init))
    for dtype in DType.allCases where dtype != .bool {
      let tensor = try Tensor(shape, values, dtype)
      for first in formats {
        for second in formats {
          let moved = try tensor.converted(to: first).converted(to: second)
          #expect(moved.type == TensorType(shape, dtype, second) && moved.doubles == values)
        }
        // Where each element lies is the same in every type.
        let lies = try floats.converted(to: first)
        let typed = try tensor.converted(to: first)
        var plain = typed.type
        (plain.shape, plain.format) = ([typed.type.byteCount / dtype.byteCount], .nchw)
        let flat = Tensor(type: plain, storage: typed.storage)
        #expect(withExtendedLifetime(lies) { lies.floats.map(Double.init) } == flat.doubles)
      }
    }
  }

  @Test func `quantised integers stand for their scale times what is above zero`() throws {
    let whole = try Tensor(
      [2, 2], elements: [-128, 0, 1, 127] as [Int8], quantization: Quantization(scale: 0.5, zeroPoint: 1))
    #expect(whole.doubles == [-64.5, -0.5, 0, 63] && whole.type.description == "i8[2x2] (scale=0.5 zero=1)")
    let axis = try Tensor(
      [2, 3, 1], elements: [1, 2, 3, 4, 5, 6] as [UInt8],
      quantization: Quantization(scales: [1, 10, 100], zeroPoints: [0, 1, 2], axis: 1))
    #expect(axis.doubles == [1, 10, 100, 4, 40, 400])
    #expect(axis.type.description == "u8[2x3x1] (scales=3 axis=1 zeros)")
  }

  @Test func `what no tensor can be is an error, not a crash`() throws {
    let weight = try Tensor([8, 8, 3, 3], [Double](repeating: 1, count: 576), .int8)
    #expect(throws: ImpossibleType.self) { try weight.converted(to: .winograd(WinogradLayout(width: 16))) }
    #expect(throws: ImpossibleType.self) { try Tensor([2], [1, 2]).converted(to: .nhwc) }
    #expect(throws: ImpossibleType.self) {
      try Tensor([3], [1, 2, 3]).converted(to: .panels(PanelLayout(width: 4, depth: .channelsThenTaps, groups: 2)))
    }
    for quantization in [
      Quantization(scales: [1], axis: 0), Quantization(scales: [1, 1], axis: 5), Quantization(scale: 1, zeroPoint: 300),
    ] {
      #expect(throws: ImpossibleType.self) { try Tensor([2], elements: [1, 2] as [Int8], quantization: quantization) }
    }
    let (a, b) = (Quantization(scales: [1, 2], axis: 0), Quantization(scales: [1, 3], axis: 0))
    let digests = try [a, b].map { try Tensor([2], elements: [1, 2] as [Int8], quantization: $0).digest }
    #expect(digests[0] != digests[1])
  }

  @Test func `types that no tensor can have say what is wrong`() {
    let fine = Quantization(scale: 1)
    for (type, fault) in [
      (TensorType(Shape([Int](repeating: 1, count: 9))), "rank 9"), (TensorType([1 << 30, 1 << 30]), "memory"),
      (TensorType([2, 2], .int8, .nhwc), "rank 4"),
      (TensorType([2], .float32, quantization: fine), "f32 is not quantised"),
      (TensorType([2], .int8, quantization: Quantization(scale: 0)), "above 0"),
      (TensorType([2], .int8, quantization: Quantization(scales: [1], axis: 0)), "1 scales for 2"),
      (TensorType([2], .int8, quantization: Quantization(scales: [1], axis: 1)), "axis 1"),
      (TensorType([2, 1, 3, 3], .int8, .winograd(WinogradLayout(width: 16))), "float32"),
    ] {
      #expect(type.fault?.contains(fault) == true, "\(type): \(type.fault ?? "fine")")
    }
    #expect(TensorType([]).fault == nil && TensorType([]).byteCount == 4)
    #expect(TensorType(Shape([Int](repeating: 1, count: 8)), .int8, quantization: fine).fault == nil)
  }

  @Test func `16-bit floats are widened and rounded to the bits of Swift's own conversions`() {
    let halves = (UInt16.min...UInt16.max).map { Float16(bitPattern: $0) }
    var floats = [Float](repeating: 0, count: halves.count)
    HalfConversion.widen(halves, to: &floats, count: halves.count)
    for (half, float) in zip(halves, floats) {
      #expect(float.bitPattern == Float(half).bitPattern || half.isNaN && float.isNaN)
    }
    // Every half, what lies around the middle between it and the next, and numbers of every exponent.
    var numbers = floats.filter { !$0.isNaN }
    numbers += zip(floats, floats.dropFirst()).flatMap { a, b -> [Float] in
      let middle = a / 2 + b / 2
      return [middle, middle.nextUp, middle.nextDown]
    }
    numbers += (0..<1 << 16).map { Float(bitPattern: UInt32($0) << 16 | UInt32(($0 &* 40503) & 0xFFFF)) }
    var rounded = [Float16](repeating: 0, count: numbers.count)
    HalfConversion.narrow(numbers, to: &rounded, count: numbers.count)
    for (number, half) in zip(numbers, rounded) {
      let expected = Float16(number)
      #expect(half.bitPattern == expected.bitPattern || expected.isNaN && half.isNaN, "\(number)")
    }
  }
}
