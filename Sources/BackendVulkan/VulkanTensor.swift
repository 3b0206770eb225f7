import CVulkan
import GraphCore
import RuntimeCore
import TensorCore

/// A tensor in a device's memory, there until nobody holds it.
///
/// `@unchecked Sendable`: the region never changes; who writes to it must be the only user at that time.
public final class VulkanTensor: @unchecked Sendable {
  /// Shape and format as seen from the host.
  public let type: TensorType
  public let storage: TensorStorage
  let region: VulkanRegion

  init(type: TensorType, storage: TensorStorage, region: VulkanRegion) {
    (self.type, self.storage, self.region) = (type, storage, region)
  }

  /// A copy in the host's memory.
  public func cpu() throws -> Tensor {
    let device = region.block.device
    let byteCount = type.widened.byteCount
    let staging = try VulkanBlock(device, byteCount: byteCount, .host)
    let host = try VulkanRegion(staging, offset: 0, byteCount: byteCount)
    let recorder = try CommandRecorder(device, storage, dispatchCount: 1)
    try recorder.dispatch(
      .download(TexelLayout(type)), reads: [region], writes: nil, hostBlock: (host, isWritten: true))
    try recorder.finish().run()
    let tensor = try Tensor(uninitialized: type)
    copy(host, to: tensor)
    return tensor
  }
}

extension Tensor {
  /// A copy in the memory of a Vulkan device.
  /// - Parameters:
  ///   - device: by index or a part of its name; nil for the first one.
  ///   - storage: nil for what suits the device.
  ///   - cachesPipelines: as in the backend of the session that is to read it.
  /// - Throws: where there is no such device or not enough memory on it, and for packed weights and integers.
  public func vulkan(
    device: String? = nil, storage: TensorStorage? = nil, cachesPipelines: Bool = true
  ) throws -> VulkanTensor {
    switch (type.dtype, type.format) {
    case (.float32, .nchw), (.float32, .nhwc), (.float16, .nchw), (.float16, .nhwc): break
    default: throw Unsupported("only float32 and float16 in nchw or nhwc goes to a device by itself, not \(type)")
    }
    let device = try VulkanDevice.named(device, cachesPipelines: cachesPipelines)
    let storage = storage ?? device.physical.preferredStorage
    let layout = TexelLayout(type)
    let block = try VulkanBlock(device, byteCount: layout.byteCount(type.dtype), .device)
    let region = try VulkanRegion(
      block, offset: 0, byteCount: layout.byteCount(type.dtype), type.dtype, storage)
    let staging = try VulkanBlock(device, byteCount: type.widened.byteCount, .host)
    let host = try VulkanRegion(staging, offset: 0, byteCount: type.widened.byteCount)
    copy(self, to: host)
    let recorder = try CommandRecorder(device, storage, dispatchCount: 1)
    try recorder.dispatch(
      .upload(layout), reads: [], writes: region, hostBlock: (host, isWritten: false))
    try recorder.finish().run()
    return VulkanTensor(type: type, storage: storage, region: region)
  }
}

/// Writes a tensor where the device can fetch it: images in NCHW, weights as they lie.
func copy(_ tensor: Tensor, to host: VulkanRegion) {
  copy(tensor.type, tensor.storage.pointer, to: host)
  withExtendedLifetime(tensor) {}
}

func copy(_ type: TensorType, _ pointer: UnsafeMutableRawPointer, to host: VulkanRegion) {
  let target = (host.block.mapped! + host.bytes.lowerBound).assumingMemoryBound(to: Float.self)
  if type.dtype == .float16 {
    let halves = pointer.assumingMemoryBound(to: Float16.self)
    let count = type.byteCount / 2
    guard type.format == .nhwc else { return HalfConversion.widen(halves, to: target, count: count) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { dense in
      HalfConversion.widen(halves, to: dense.baseAddress!, count: count)
      FormatConversion.convert(from: type.widened, UnsafePointer(dense.baseAddress!), to: .nchw, target)
    }
  } else if type.format == .nhwc {
    FormatConversion.convert(from: type, pointer.assumingMemoryBound(to: Float.self), to: .nchw, target)
  } else {
    UnsafeMutableRawPointer(target).copyMemory(from: pointer, byteCount: type.byteCount)
  }
}

/// Reads what the device has put there, in NCHW, into a tensor of any format.
func copy(_ host: VulkanRegion, to tensor: Tensor) {
  copy(host, tensor.type, to: tensor.storage.pointer)
  withExtendedLifetime(tensor) {}
}

func copy(_ host: VulkanRegion, _ type: TensorType, to pointer: UnsafeMutableRawPointer) {
  let source = UnsafePointer((host.block.mapped! + host.bytes.lowerBound).assumingMemoryBound(to: Float.self))
  let dense = TensorType(type.shape)
  guard type.dtype == .float16 else {
    return FormatConversion.convert(from: dense, source, to: type.format, pointer.assumingMemoryBound(to: Float.self))
  }
  let halves = pointer.assumingMemoryBound(to: Float16.self)
  if type.format == .nchw { return HalfConversion.narrow(source, to: halves, count: type.shape.count) }
  withUnsafeTemporaryAllocation(of: Float.self, capacity: type.shape.count) { numbers in
    FormatConversion.convert(from: dense, source, to: type.format, numbers.baseAddress!)
    HalfConversion.narrow(numbers.baseAddress!, to: halves, count: numbers.count)
  }
}
