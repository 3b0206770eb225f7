import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// One node bound to a kernel: shapes and options are settled, pointers come with each call.
protocol CPUKernel: Sendable {
  var name: String { get }
  /// Bytes of working memory for one call.
  var scratchByteCount: Int { get }
  /// Inputs whose memory the output may take: each of their elements is read before the same element of the output is
  /// written, and never again.
  var overwritableInputs: [Int] { get }
  func run(_ call: borrowing KernelCall) throws
  /// What runs it in one session: itself, unless it keeps something from one run to the next.
  func forSession() -> any CPUKernel
  /// What graphs that it runs asked of drivers so far; nil where they are delegated to none.
  var delegation: DelegationStatistics? { get }
}

extension CPUKernel {
  var scratchByteCount: Int { 0 }
  var overwritableInputs: [Int] { [] }
  func forSession() -> any CPUKernel { self }
  var delegation: DelegationStatistics? { nil }
}

/// The pointers of one call.
struct KernelCall {
  let inputs: UnsafeBufferPointer<UnsafeMutableRawPointer>
  let outputs: UnsafeBufferPointer<UnsafeMutableRawPointer>
  let scratch: UnsafeMutablePointer<Float>?
  let pool: ThreadPool

  /// Of kernels of float32: the first output, and an input if there are so many.
  var output: UnsafeMutablePointer<Float> { outputs[0].assumingMemoryBound(to: Float.self) }
  func input(_ index: Int) -> UnsafePointer<Float>? {
    index < inputs.count ? UnsafePointer(inputs[index].assumingMemoryBound(to: Float.self)) : nil
  }

  /// Runs a kernel that moves lines of so many bytes, on all threads unless waking them takes longer than the work.
  func runLines<Work>(_ kernel: PacerKernel, _ work: Work, count: Int, byteCount: Int) {
    if count * byteCount < 16 << 10 {
      withUnsafePointer(to: work) { kernel($0, 0, count, 0) }
    } else {
      pool.run(kernel, work, count: count)
    }
  }
}

/// What a kernel is chosen by.
struct KernelRequest {
  let node: Node
  let inputs: [TensorType]
  let output: TensorType
  let table: PacerKernelTable
  let useIm2col: Bool
  let threads: Int
}

/// Kernels in order of preference: the first whose maker answers is taken. Choice depends on ops and shapes alone, never
/// on timing, so that the same configuration runs the same kernels on every run.
let kernelMakers: [@Sendable (KernelRequest) -> (any CPUKernel)?] = [
  DepthwiseNHWCKernel.make,
  WinogradKernel.make,
  IndirectConvolutionKernel.make,
  Im2colConvolutionKernel.make,
  DepthwisePlanesKernel.make,
  PlaneConvolutionKernel.make,
  LinearKernel.make,
  BatchNormKernel.make,
  ElementwiseKernel.make,
  ChannelScaleKernel.make,
  BinaryKernel.make,
  UnaryKernel.make,
  LSTMKernel.make,
  SoftmaxKernel.make,
  RowsKernel.make,
  MatMulKernel.make,
  ResizeKernel.make,
  AveragePoolKernel.make,
  MaxPoolKernel.make,
  GlobalPoolKernel.make,
  FormatKernel.make,
]

/// Kernels of bytes that stand for numbers, in order of preference.
let integerKernelMakers: [@Sendable (KernelRequest) -> (any CPUKernel)?] = [
  DotColumnsKernel.make,
  DotKernel.make,
  DynamicLinearKernel.make,
  DynamicLSTMKernel.make,
  BytePoolKernel.make,
  LookupKernel.make,
  RequantizeKernel.make,
  FormatKernel.make,
]

/// Kernels that only move elements, of any type, in order of preference.
let movingKernelMakers: [@Sendable (any Op, [TensorType], TensorType) -> (any CPUKernel)?] = [
  { MoveKernel.make($0, $1, $2) }, { GatherKernel.make($0, $1, $2) }, { PadKernel.make($0, $1, $2) },
]

/// A weight that is either in the kernel's format already or is rearranged at each call.
struct KernelWeight: Sendable {
  let type: TensorType
  let wanted: MemoryFormat

  var isReady: Bool { type.format == wanted }
  /// Floats of scratch for the rearranged copy, a multiple of 16.
  var scratchCount: Int { isReady ? 0 : (TensorType(type.shape, type.dtype, wanted).byteCount / 4 + 15) / 16 * 16 }

  func pointer(_ given: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>?) -> UnsafePointer<Float> {
    guard !isReady, let scratch else { return given }
    FormatConversion.convert(from: type, given, to: wanted, scratch)
    return UnsafePointer(scratch)
  }
}

/// Zeros that kernels read where a tap lies outside the image.
///
/// `@unchecked Sendable`: never written after `init`.
final class Zeros: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Float>
  init(count: Int) {
    pointer = .allocate(capacity: count)
    pointer.initialize(repeating: 0, count: count)
  }
  deinit { pointer.deallocate() }
}
