import TensorCore
import Testing

@Suite struct DotLayoutTests {
  @Test(arguments: [4, 8, 16])
  func `weights come back from it, and their sums stand before them`(_ lanes: Int) throws {
    let cases: [(DotLayout, Shape)] = [
      (DotLayout(.matrix, lanes: lanes), [70, 13, 3, 2]), (DotLayout(.matrix, lanes: lanes), [33, 3, 7, 7]),
      (DotLayout(.matrix, lanes: lanes), [5, 17]), (DotLayout(.matrix, lanes: lanes, groups: 3), [21, 5, 3, 3]),
      (DotLayout(.depthwise, lanes: lanes), [70, 1, 5, 3]), (DotLayout(.depthwise, lanes: lanes), [7, 1, 3, 3]),
      (DotLayout(.depthwise, lanes: lanes), [15, 1, 3, 3]), (DotLayout(.depthwise, lanes: lanes), [31, 1, 3, 3]),
      (DotLayout(.depthwise, lanes: lanes), [63, 1, 3, 3]), (DotLayout(.depthwise, lanes: lanes), [100, 1, 3, 3]),
      (DotLayout(.rows, lanes: lanes), [33, 3, 7, 7]), (DotLayout(.rows, lanes: lanes), [70, 5, 2, 3]),
    ]
    for (layout, shape) in cases {
      let integers = (0..<shape.count).map { Int64($0 * 37 % 255 - 127) }
      let tensor = try Tensor(shape, integers, .int8)
      let packed = try tensor.converted(to: .dots(layout))
      #expect(packed.type.fault == nil && packed.storage.byteCount >= layout.byteCount(for: shape))
      #expect(try packed.converted(to: .nchw).allIntegers() == integers, "\(layout) of \(shape)")
      let first = packed.storage.pointer.assumingMemoryBound(to: Int32.self)[0]
      let output = layout.output(at: 0, width: layout.panelWidth(from: 0, of: shape[0] / layout.groups))
      let depth = shape.count / shape[0]
      #expect(Int64(first) == integers[output * depth..<(output + 1) * depth].reduce(0, +))
      withExtendedLifetime(packed) {}
    }
  }

  @Test func `what it is not of is said`() throws {
    let layout = MemoryFormat.dots(DotLayout(.matrix, lanes: 8))
    #expect(TensorType([4, 4], .float32, layout).fault != nil)
    #expect(TensorType([4], .int8, layout).fault != nil && TensorType([], .int8, layout).fault != nil)
    #expect(TensorType([4, 2, 3, 3], .int8, .dots(DotLayout(.depthwise, lanes: 8))).fault != nil)
    // Small weights have a layout of their own, which is as large.
    let small = DotLayout(.matrix, lanes: 8, isSmall: true)
    #expect(small.asPacked(TensorType([4, 2], .int8, .dots(small))) == small)
    #expect(DotLayout(.matrix, lanes: 8).asPacked(TensorType([4, 2], .int8, .dots(small))) == small)
    #expect(DotLayout(.matrix, lanes: 4).asPacked(TensorType([4, 2], .int8, .dots(small))).isSmall == false)
    #expect(
      try DotLayout.fits(Tensor([3], [64, -64, 0] as [Int64], .int8))
        && !DotLayout.fits(Tensor([2], [0, -65] as [Int64], .int8)))
    #expect(TensorType([4, 2], .int8, .dots(DotLayout(.rows, lanes: 8))).fault != nil)
    #expect(TensorType([4, 2], .int8, .dots(DotLayout(.matrix, lanes: 5))).fault != nil)
    #expect(TensorType([4, 2], .int8, .dots(DotLayout(.matrix, lanes: 4, groups: 3))).fault != nil)
  }
}
