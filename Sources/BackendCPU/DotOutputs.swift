import CIntrinsics
import GraphCore
import TensorCore

/// Elements at a fixed place, for parameter blocks.
///
/// `@unchecked Sendable`: never written after `init`.
final class FixedArray<Element>: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Element>
  let count: Int

  init(_ elements: [Element]) {
    count = elements.count
    pointer = .allocate(capacity: max(count, 1))
    pointer.initialize(from: elements, count: count)
  }
  deinit { pointer.deallocate() }
}

/// What convolutions of bytes have in common: integers of each output in the order in which its panel or block has them.
struct DotOutputs: Sendable {
  let layout: DotLayout
  let weight: TensorType
  let input: Quantization
  let output: Quantization?
  /// By place: the output, and where its weights' sum is; −1 where there is none.
  private let outputs: FixedArray<Int32>
  private let sums: FixedArray<Int32>
  /// Factors, lower limits, upper limits, by place.
  private let numbers: FixedArray<Float>
  /// Whether numbers are added or activated in float32 before they are rounded.
  let isReal: Bool
  /// Whether bytes' own limits are all there are.
  let saturates: Bool
  let limits: Clamp
  let residual: Quantization?

  var places: Int { outputs.count }

  /// - Parameter epilogue: of the op.
  /// - Returns: nil where the kernels cannot do it to the bit.
  init?(_ layout: DotLayout, _ op: any FusingOp, _ inputs: [TensorType], _ output: TensorType) {
    guard Node.sumsIntegers(op, inputs), inputs[0].dtype == .uint8, inputs[1].dtype == .int8,
      let weights = inputs[1].quantization, weights.zeroPoints.allSatisfy({ $0 == 0 }),
      output.quantization == nil
        ? output.dtype == .float32 : output.dtype == .uint8 && output.quantization!.axis == nil
    else { return nil }
    let count = inputs[1].shape[0]
    let clamps = op.epilogue.map { $0.clamps(channels: count) } ?? [Clamp](repeating: .none, count: count)
    guard let clamps else { return nil }
    if inputs.count > 3 {
      guard inputs[3].dtype == .uint8, let quantization = inputs[3].quantization, quantization.axis == nil else {
        return nil
      }
      residual = quantization
    } else {
      residual = nil
    }
    isReal = residual != nil || output.quantization == nil
    guard !isReal || clamps.allSatisfy({ $0 == clamps[0] }) else { return nil }
    limits = clamps[0]
    let layout = layout.asPacked(inputs[1])
    (self.layout, weight, input, self.output) = (layout, inputs[1], inputs[0].quantization!, output.quantization)
    let scales = Node.scales(input, weights, outputs: count)
    let scale = output.quantization?.scales[0] ?? 1
    let zeroPoint = Int(output.quantization?.zeroPoints[0] ?? 0)
    func limit(_ value: Float) -> Float {
      Float(Int(DType.uint8.quantized(value / scale, zeroPoint: zeroPoint)) - zeroPoint)
    }
    var (outputs, sums): ([Int32], [Int32]) = ([], [])
    let perGroup = count / layout.groups
    let depth = layout.depth(of: weight.shape)
    var base = 0
    for group in 0..<layout.groups {
      for first in layout.starts(perGroup) {
        let width = layout.panelWidth(from: first, of: perGroup)
        for place in 0..<width {
          let output = first + layout.output(at: place, width: width)
          outputs.append(output < perGroup ? Int32(group * perGroup + output) : -1)
          sums.append(Int32(base + 4 * place))
        }
        base += width * (4 + depth)
      }
    }
    (self.outputs, self.sums) = (FixedArray(outputs), FixedArray(sums))
    let isReal = isReal
    func value(_ place: Int, _ number: (Int) -> Float) -> Float {
      outputs[place] < 0 ? 0 : number(Int(outputs[place]))
    }
    let places = outputs.indices
    let numbers =
      places.map { value($0) { isReal ? scales[$0] : scales[$0] / scale } }
      + places.map { value($0) { isReal ? Float(0 - zeroPoint) : limit(clamps[$0].min) } }
      + places.map { value($0) { isReal ? Float(255 - zeroPoint) : limit(clamps[$0].max) } }
    self.numbers = FixedArray(numbers)
    // Sums are less than 2³¹, and so is what a factor below 1 makes of them.
    saturates = places.allSatisfy { place in
      outputs[place] < 0
        || numbers[place] < 1 && numbers[places.count + place] == Float(0 - zeroPoint)
          && numbers[2 * places.count + place] == Float(255 - zeroPoint)
    }
    guard numbers.allSatisfy(\.isFinite) else { return nil }
  }

  var factors: UnsafePointer<Float> { UnsafePointer(numbers.pointer) }
  var minima: UnsafePointer<Float> { factors + places }
  var maxima: UnsafePointer<Float> { factors + 2 * places }

  /// What sums begin with: the bias, less what the input's zero point adds.
  func fill(
    _ biases: UnsafeMutablePointer<Int32>, _ bias: UnsafePointer<Int32>?, _ weights: UnsafePointer<Int8>, zero: Int32,
    group: Int? = nil
  ) {
    let bytes = UnsafeRawPointer(weights)
    let (outputs, sums) = (outputs.pointer, sums.pointer)
    for place in group.map(places(ofGroup:)) ?? 0..<places {
      let output = Int(outputs[place])
      biases[place] =
        output < 0
        ? 0 : (bias?[output] ?? 0) &- zero &* bytes.load(fromByteOffset: Int(sums[place]), as: Int32.self)
    }
  }

  func places(ofGroup group: Int) -> Range<Int> {
    let count = places / layout.groups
    return group * count..<(group + 1) * count
  }

  /// Numbers of a group's outputs by place, zeros where there is none.
  func fill(_ target: UnsafeMutablePointer<Float>, _ numbers: UnsafePointer<Float>, group: Int) {
    let first = group * weight.shape[0] / layout.groups
    for place in places(ofGroup: group) {
      let output = Int(outputs.pointer[place])
      target[place] = output < 0 ? 0 : numbers[output - first]
    }
  }

  /// Bytes of scratch for the biases, and for weights that are not packed.
  var scratchByteCount: Int { rounded(places * 4) + (isReady ? 0 : rounded(layout.byteCount(for: weight.shape))) }
  private var isReady: Bool { weight.format == .dots(layout) }

  /// Weights in the kernel's order: as they are, or packed into scratch behind the biases.
  func packed(_ given: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer) -> UnsafePointer<Int8> {
    guard !isReady else { return UnsafePointer(given.assumingMemoryBound(to: Int8.self)) }
    let target = scratch + rounded(places * 4)
    FormatConversion.convert(from: weight, given, to: .dots(layout), target)
    return UnsafePointer(target.assumingMemoryBound(to: Int8.self))
  }

  /// Weights in the kernel's order and what sums begin with, of a node whose bias is of their scale.
  func parameters(
    _ call: borrowing KernelCall, _ scratch: UnsafeMutableRawPointer
  ) -> (weights: UnsafePointer<Int8>, biases: UnsafePointer<Int32>) {
    let weights = packed(call.inputs[1], scratch)
    let biases = scratch.assumingMemoryBound(to: Int32.self)
    let bias = call.inputs.count > 2 ? UnsafePointer(call.inputs[2].assumingMemoryBound(to: Int32.self)) : nil
    fill(biases, bias, weights, zero: input.zeroPoints[0])
    return (weights, UnsafePointer(biases))
  }
}

/// Bytes to whole lines.
func rounded(_ count: Int) -> Int { (count + 63) / 64 * 64 }
