import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Means and maxima of bytes, channels last.
///
/// `@unchecked Sendable`: its parameters have no addresses before a call.
struct BytePoolKernel: CPUKernel, @unchecked Sendable {
  let name: String
  private let parameters: PacerBytePool
  private let table: PacerKernelTable
  private let images: (count: Int, input: Int, output: Int)

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let (input, output) = (request.inputs[0], request.output)
    let isFloat = output.isPlainFloat
    guard input.dtype == .uint8, let from = input.quantization, from.axis == nil, input.format == output.format,
      input.format == .nhwc || input.liesAlike && output.liesAlike && input.shape.rank == 4,
      isFloat || output.dtype == .uint8 && output.quantization?.axis == nil
    else { return nil }
    let window: Window
    var p = PacerBytePool()
    switch request.node.op {
    case is GlobalAveragePool: window = Window(kernel: Pair(input.shape[2], input.shape[3]))
    case let op as AveragePool2D:
      window = op.window
      p.divisor = op.countsPadding ? window.kernel.h * window.kernel.w : 0
    case let op as MaxPool2D:
      // What it gives stands for the same numbers.
      guard !isFloat, input.quantization == output.quantization else { return nil }
      (window, p.isMaximum) = (op.window, 1)
    default: return nil
    }
    // Sums that float32 holds.
    guard window.kernel.h * window.kernel.w <= 1 << 16 else { return nil }
    (p.channels, p.height, p.width) = (input.shape[1], input.shape[2], input.shape[3])
    (p.outputHeight, p.outputWidth) = (output.shape[2], output.shape[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    (p.inputScale, p.inputZeroPoint, p.isFloat) = (from.scales[0], Int(from.zeroPoints[0]), isFloat ? 1 : 0)
    (p.scale, p.zeroPoint) = (output.quantization?.scales[0] ?? 1, Int(output.quantization?.zeroPoints[0] ?? 0))
    let batch = input.shape[0]
    return BytePoolKernel(
      name: "pool-bytes-" + String(cString: request.table.name), parameters: p, table: request.table,
      images: (batch, input.byteCount / batch, output.byteCount / batch))
  }

  func run(_ call: borrowing KernelCall) {
    var p = parameters
    for n in 0..<images.count {
      p.input = UnsafePointer(call.inputs[0].assumingMemoryBound(to: UInt8.self)) + n * images.input
      p.output = call.outputs[0] + n * images.output
      call.pool.run(table.bytePool, p, count: p.outputHeight)
    }
  }
}

/// A function of one byte: a table of what it makes of each.
struct LookupKernel: CPUKernel {
  let name = "lookup"
  private let results: [UInt8]
  private let count: Int

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let (input, output) = (request.inputs[0], request.output)
    guard request.inputs.count == 1, input.dtype.byteCount == 1, output.dtype.byteCount == 1,
      let from = input.quantization, from.axis == nil, let to = output.quantization, to.axis == nil,
      input.format == output.format, input.shape == output.shape
    else { return nil }
    switch request.node.op {
    case is Unary, is Requantize: break
    case let op as Activation: guard op.function.channelLimits.isEmpty else { return nil }
    default: return nil
    }
    let lowest = Int64(input.dtype.quantizedRange!.lowerBound)
    guard
      let all = try? Tensor(
        quantized: [256], (0..<256).map { lowest + $0 }, StoredType(dtype: input.dtype, quantization: from)),
      let results = try? request.node.evaluate([all])[0].allIntegers()
    else { return nil }
    // By the byte as it lies.
    let ordered = (0..<256).map { byte in results[(byte - Int(lowest)) % 256] }
    return LookupKernel(results: ordered.map { UInt8(truncatingIfNeeded: $0) }, count: input.shape.count)
  }

  private struct Work {
    let input: UnsafePointer<UInt8>
    let output: UnsafeMutablePointer<UInt8>
    let results: UnsafePointer<UInt8>
    let count: Int
  }

  /// Items: blocks of 4096 bytes.
  private static let look: PacerKernel = { raw, begin, end, _ in
    let work = raw!.assumingMemoryBound(to: Work.self).pointee
    for i in begin * 4096..<min(end * 4096, work.count) { work.output[i] = work.results[Int(work.input[i])] }
  }

  func run(_ call: borrowing KernelCall) {
    let (input, output) = (
      call.inputs[0].assumingMemoryBound(to: UInt8.self), call.outputs[0].assumingMemoryBound(to: UInt8.self)
    )
    results.withUnsafeBufferPointer { results in
      call.pool.run(
        Self.look, Work(input: input, output: output, results: results.baseAddress!, count: count),
        count: (count + 4095) / 4096)
    }
  }

  var overwritableInputs: [Int] { [0] }
}

/// Numbers to bytes that stand for them, or back.
struct RequantizeKernel: CPUKernel {
  let name: String
  private let line: QuantizedLine
  private let toBytes: Bool

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let (input, output) = (request.inputs[0], request.output)
    guard request.node.op is Requantize, input.format == output.format else { return nil }
    let set = String(cString: request.table.name)
    if input.isPlainFloat, let line = QuantizedLine(output, request.table) {
      return RequantizeKernel(name: "quantize-" + set, line: line, toBytes: true)
    }
    guard output.isPlainFloat, let line = QuantizedLine(input, request.table) else { return nil }
    return RequantizeKernel(name: "dequantize-" + set, line: line, toBytes: false)
  }

  func run(_ call: borrowing KernelCall) {
    if toBytes {
      line.quantize(call.inputs[0], call.outputs[0], call.pool)
    } else {
      line.dequantize(call.inputs[0], call.outputs[0], call.pool)
    }
  }
}

/// The elements of a tensor of bytes of one scale.
struct QuantizedLine: Sendable {
  let count: Int
  let quantization: Quantization
  let isSigned: Bool
  let table: PacerKernelTable

  init?(_ type: TensorType, _ table: PacerKernelTable) {
    guard let quantization = type.quantization, quantization.axis == nil, type.dtype == .uint8 || type.dtype == .int8,
      type.format == .nchw || type.format == .nhwc, !type.isUpperBound
    else { return nil }
    (count, self.quantization, isSigned, self.table) = (type.shape.count, quantization, type.dtype == .int8, table)
  }

  private func run(
    _ kernel: PacerKernel?, _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, _ pool: ThreadPool
  ) {
    let p = PacerQuantize(
      input: input, output: output, count: count, scale: quantization.scales[0],
      zeroPoint: Int(quantization.zeroPoints[0]), isSigned: isSigned ? 1 : 0)
    pool.run(kernel, p, count: (count + 1023) / 1024)
  }

  func quantize(_ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, _ pool: ThreadPool) {
    run(table.quantize, input, output, pool)
  }
  func dequantize(_ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, _ pool: ThreadPool) {
    run(table.dequantize, input, output, pool)
  }
}
