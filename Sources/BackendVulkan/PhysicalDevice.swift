import CVulkan

/// What a Vulkan device says about itself.
struct PhysicalDevice: @unchecked Sendable {
  let handle: VkPhysicalDevice
  let name: String
  let driver: String
  let version: String
  /// A processor that plays a GPU: its times are CPU times.
  let isSoftware: Bool
  let isDiscrete: Bool
  let queueFamily: UInt32
  /// Nanoseconds of one timestamp tick, and the bits of a timestamp that count; 0 bits: no timestamps.
  let timestampPeriod: Double
  let timestampBits: UInt32
  let subgroupSize: Int
  let hasShuffle: Bool
  /// Whether shaders may compute in 16-bit floats.
  var hasHalfArithmetic: Bool
  let maxTexels: Int
  let maxBufferRange: Int
  /// Workgroups along each axis.
  let maxGroups: (x: Int, y: Int, z: Int)
  /// Invocations of a workgroup, and bytes that they share.
  let maxInvocations: Int
  let maxSharedBytes: Int
  /// What offsets into a block must be multiples of.
  let alignment: Int
  let memoryTypes: [(flags: UInt32, heap: Int)]
  let heapSizes: [Int]
  /// Tells devices and drivers apart whose compiled pipelines are not each other's.
  let cacheIdentity: String

  /// Nil where the device is older than Vulkan 1.1 or cannot compute.
  init?(_ handle: VkPhysicalDevice, _ functions: PacerVulkanInstanceFunctions) {
    var driver = VkPhysicalDeviceDriverProperties()
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
    var subgroup = VkPhysicalDeviceSubgroupProperties()
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES
    var properties2 = VkPhysicalDeviceProperties2()
    properties2.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2
    withUnsafeMutablePointer(to: &driver) { driver in
      withUnsafeMutablePointer(to: &subgroup) { subgroup in
        subgroup.pointee.pNext = UnsafeMutableRawPointer(driver)
        properties2.pNext = UnsafeMutableRawPointer(subgroup)
        functions.vkGetPhysicalDeviceProperties2(handle, &properties2)
      }
    }
    let properties = properties2.properties
    let limits = properties.limits
    guard properties.apiVersion >= vulkanVersion(1, 1) else { return nil }
    let families: [VkQueueFamilyProperties] = enumerate {
      functions.vkGetPhysicalDeviceQueueFamilyProperties(handle, $0, $1)
    }
    guard let family = families.firstIndex(where: { $0.queueFlags & VK_QUEUE_COMPUTE_BIT.rawValue != 0 }) else {
      return nil
    }
    self.handle = handle
    name = text(of: properties.deviceName)
    let driverInfo = text(of: driver.driverInfo)
    self.driver = driverInfo.isEmpty ? "driver \(properties.driverVersion)" : driverInfo
    version = "\(properties.apiVersion >> 22).\(properties.apiVersion >> 12 & 0x3ff).\(properties.apiVersion & 0xfff)"
    isSoftware = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU
    isDiscrete = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
    queueFamily = UInt32(family)
    timestampPeriod = Double(limits.timestampPeriod)
    timestampBits = families[family].timestampValidBits
    subgroupSize = max(1, Int(subgroup.subgroupSize))
    hasShuffle =
      subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT.rawValue != 0
      && subgroup.supportedStages & UInt32(VK_SHADER_STAGE_COMPUTE_BIT.rawValue) != 0
    hasHalfArithmetic = Self.hasHalfArithmetic(handle, functions)
    maxTexels = Int(limits.maxTexelBufferElements)
    maxBufferRange = Int(limits.maxStorageBufferRange)
    let groups = limits.maxComputeWorkGroupCount
    maxGroups = (Int(groups.0), Int(groups.1), Int(groups.2))
    maxInvocations = Int(limits.maxComputeWorkGroupInvocations)
    maxSharedBytes = Int(limits.maxComputeSharedMemorySize)
    alignment = Int(max(limits.minStorageBufferOffsetAlignment, limits.minTexelBufferOffsetAlignment, 64))
    var memory = VkPhysicalDeviceMemoryProperties()
    functions.vkGetPhysicalDeviceMemoryProperties(handle, &memory)
    memoryTypes = elements(of: memory.memoryTypes, VkMemoryType.self).prefix(Int(memory.memoryTypeCount)).map {
      ($0.propertyFlags, Int($0.heapIndex))
    }
    heapSizes = elements(of: memory.memoryHeaps, VkMemoryHeap.self).prefix(Int(memory.memoryHeapCount)).map {
      Int(clamping: $0.size)
    }
    cacheIdentity =
      elements(of: properties.pipelineCacheUUID, UInt8.self).map { String($0, radix: 16) }.joined()
      + "-\(properties.vendorID)-\(properties.deviceID)-\(properties.driverVersion)"
  }

  /// The extension that brings 16-bit floats to Vulkan 1.1.
  static let halfArithmeticExtension = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME

  private static func hasHalfArithmetic(
    _ handle: VkPhysicalDevice, _ functions: PacerVulkanInstanceFunctions
  ) -> Bool {
    let extensions =
      enumerate {
        _ = functions.vkEnumerateDeviceExtensionProperties(handle, nil, $0, $1)
      } as [VkExtensionProperties]
    guard extensions.contains(where: { text(of: $0.extensionName) == halfArithmeticExtension }) else { return false }
    var half = VkPhysicalDeviceShaderFloat16Int8Features()
    half.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES
    var features = VkPhysicalDeviceFeatures2()
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2
    withUnsafeMutablePointer(to: &half) {
      features.pNext = UnsafeMutableRawPointer($0)
      functions.vkGetPhysicalDeviceFeatures2(handle, &features)
    }
    return half.shaderFloat16 == VK_TRUE
  }
}

/// A C array, which Swift sees as a tuple.
private func elements<Tuple, Element>(of tuple: Tuple, _: Element.Type) -> [Element] {
  withUnsafeBytes(of: tuple) { Array($0.bindMemory(to: Element.self)) }
}

private func text<Tuple>(of tuple: Tuple) -> String {
  String(decoding: elements(of: tuple, UInt8.self).prefix { $0 != 0 }, as: UTF8.self)
}
