import CVulkan
import RuntimeCore
import TensorCore

/// A buffer with memory of its own.
///
/// `@unchecked Sendable`: the handles never change; who writes the mapped memory must be the only user at that time.
final class VulkanBlock: @unchecked Sendable {
  enum Place {
    /// Where the device is fastest.
    case device
    /// Where the host writes and reads through ``mapped``.
    case host
  }

  let device: VulkanDevice
  let handle: VkBuffer
  let byteCount: Int
  private let memory: VkDeviceMemory
  /// The memory as the host sees it; nil on the device.
  let mapped: UnsafeMutableRawPointer?

  /// - Throws: ``VulkanError`` where the device has not that much memory.
  init(_ device: VulkanDevice, byteCount: Int, _ place: Place) throws {
    self.device = device
    // Vulkan has no empty buffers.
    self.byteCount = max(byteCount, 64)
    let largest = device.physical.heapSizes.max() ?? 0
    guard self.byteCount <= largest else {
      throw VulkanError(
        "\(self.byteCount >> 20) MiB are more than the \(largest >> 20) MiB of \(device.physical.name); a smaller input, "
          + "or the arena allocator, needs less")
    }
    let functions = device.functions
    var info = VkBufferCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO
    info.size = VkDeviceSize(self.byteCount)
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT.rawValue
    if place == .device {
      info.usage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT.rawValue
    }
    var buffer: VkBuffer?
    try check(functions.vkCreateBuffer(device.handle, &info, nil, &buffer), "vkCreateBuffer")
    var needs = VkMemoryRequirements()
    functions.vkGetBufferMemoryRequirements(device.handle, buffer, &needs)

    var memory: VkDeviceMemory?
    var mapped: UnsafeMutableRawPointer?
    do {
      var allocation = VkMemoryAllocateInfo()
      allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO
      allocation.allocationSize = needs.size
      allocation.memoryTypeIndex = try Self.memoryType(needs.memoryTypeBits, place, device.physical)
      try check(functions.vkAllocateMemory(device.handle, &allocation, nil, &memory), "vkAllocateMemory")
      try check(functions.vkBindBufferMemory(device.handle, buffer, memory, 0), "vkBindBufferMemory")
      if place == .host {
        try check(functions.vkMapMemory(device.handle, memory, 0, needs.size, 0, &mapped), "vkMapMemory")
      }
    } catch {
      functions.vkDestroyBuffer(device.handle, buffer, nil)
      functions.vkFreeMemory(device.handle, memory, nil)
      throw error
    }
    (handle, self.memory, self.mapped) = (buffer!, memory!, mapped)
  }

  deinit {
    device.functions.vkDestroyBuffer(device.handle, handle, nil)
    device.functions.vkFreeMemory(device.handle, memory, nil)
  }

  private static func memoryType(_ allowed: UInt32, _ place: Place, _ physical: PhysicalDevice) throws -> UInt32 {
    let coherent = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT.rawValue | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT.rawValue
    let wishes: [UInt32] =
      switch place {
      case .device: [VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT.rawValue, 0]
      // Outputs are read here: uncached memory would make that very slow.
      case .host: [coherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT.rawValue, coherent]
      }
    for wish in wishes {
      for (index, type) in physical.memoryTypes.enumerated()
      where allowed & 1 << UInt32(index) != 0 && type.flags & wish == wish { return UInt32(index) }
    }
    throw VulkanError("\(physical.name) has no memory of the kind that is needed")
  }
}

/// A tensor's place in a block, as shaders see it.
final class VulkanRegion: @unchecked Sendable {
  let block: VulkanBlock
  let bytes: Range<Int>
  /// Float type of what lies there.
  let stored: DType
  /// With texel buffers: the view that gives the bytes their format.
  let view: VkBufferView?

  /// - Parameter storage: nil for what no shader reads as texels, such as the host's tensors.
  init(
    _ block: VulkanBlock, offset: Int, byteCount: Int, _ stored: DType = .float32, _ storage: TensorStorage? = nil
  ) throws {
    (self.block, self.stored) = (block, stored)
    let physical = block.device.physical
    guard byteCount <= physical.maxBufferRange else {
      throw VulkanError(
        "a tensor of \(byteCount >> 20) MiB: shaders of \(physical.name) reach \(physical.maxBufferRange >> 20) MiB")
    }
    guard storage != .texels || byteCount / texelByteCount(stored) <= physical.maxTexels else {
      throw VulkanError(
        "a tensor of \(byteCount / texelByteCount(stored)) texels: texel buffers of \(physical.name) have "
          + "\(physical.maxTexels); try --storage buffers")
    }
    bytes = offset..<(offset + byteCount)
    guard storage == .texels else {
      view = nil
      return
    }
    let format = stored == .float16 ? VK_FORMAT_R16G16B16A16_SFLOAT : VK_FORMAT_R32G32B32A32_SFLOAT
    let device = block.device
    var info = VkBufferViewCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO
    info.buffer = block.handle
    info.format = format
    info.offset = VkDeviceSize(offset)
    info.range = VkDeviceSize(byteCount)
    var view: VkBufferView?
    try check(device.functions.vkCreateBufferView(device.handle, &info, nil, &view), "vkCreateBufferView")
    self.view = view
  }

  deinit {
    if let view { block.device.functions.vkDestroyBufferView(block.device.handle, view, nil) }
  }

  func overlaps(_ other: VulkanRegion) -> Bool { block === other.block && bytes.overlaps(other.bytes) }
}
