import CVulkan
import Foundation
import RuntimeCore
import Synchronization

/// A device opened for computing: one queue, the layouts all shaders share, and the pipelines made so far.
///
/// `@unchecked Sendable`: immutable after `init` but for the pipelines and the queue, each behind a lock.
final class VulkanDevice: @unchecked Sendable {
  let physical: PhysicalDevice
  let handle: VkDevice
  let functions: PacerVulkanDeviceFunctions
  private let queue: VkQueue
  private let queueLock = Mutex(())
  private let pipelineCache: VkPipelineCache
  private let cacheFile: PipelineCacheFile?
  private let layouts: [TensorStorage: Layouts]
  private struct PipelineTable: @unchecked Sendable {
    var pipelines: [PipelineKey: VkPipeline] = [:]
    /// Whether there are pipelines that were not in the cache when it was last written, as far as is known.
    var hasUnsaved = false
    /// What is on disk.
    var saved = Data()
  }
  private let pipelines = Mutex(PipelineTable())

  struct Layouts {
    let set: VkDescriptorSetLayout
    let pipeline: VkPipelineLayout
  }
  private struct PipelineKey: Hashable {
    var shader: String
    var constants: [Int32]
  }

  /// Devices that are open, by their place in the instance: every executable on one shares it.
  private struct OpenDevices: @unchecked Sendable { var devices: [String: VulkanDevice] = [:] }
  private static let open = Mutex(OpenDevices())

  /// - Parameter cachesPipelines: whether compiled pipelines are read from disk and written there.
  /// - Throws: ``VulkanError`` where there is no such device or it cannot be opened.
  static func named(_ name: String?, cachesPipelines: Bool = true) throws -> VulkanDevice {
    let instance = try VulkanInstance.shared.get()
    let physical = try instance.device(named: name)
    let key = "\(physical.handle) \(cachesPipelines)"
    return try open.withLock { open in
      if let device = open.devices[key] { return device }
      let device = try VulkanDevice(physical, instance, cachesPipelines: cachesPipelines)
      open.devices[key] = device
      return device
    }
  }

  private init(_ physical: PhysicalDevice, _ instance: VulkanInstance, cachesPipelines: Bool) throws {
    self.physical = physical
    let scratch = Scratch()
    var queueInfo = VkDeviceQueueCreateInfo()
    queueInfo.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
    queueInfo.queueFamilyIndex = physical.queueFamily
    queueInfo.queueCount = 1
    queueInfo.pQueuePriorities = scratch.pointer(Float(1))
    var info = VkDeviceCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
    info.queueCreateInfoCount = 1
    info.pQueueCreateInfos = scratch.pointer(queueInfo)
    if physical.hasHalfArithmetic {
      var half = VkPhysicalDeviceShaderFloat16Int8Features()
      half.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES
      half.shaderFloat16 = VkBool32(VK_TRUE)
      info.pNext = UnsafeRawPointer(scratch.pointer(half))
      info.enabledExtensionCount = 1
      info.ppEnabledExtensionNames = scratch.pointer(Optional(scratch.text(PhysicalDevice.halfArithmeticExtension)))
    }
    var device: VkDevice?
    try check(instance.functions.vkCreateDevice(physical.handle, &info, nil, &device), "vkCreateDevice")
    handle = device!
    guard let loaded = pacer_vulkan_load_device(instance.functions.vkGetDeviceProcAddr, device!) else {
      throw VulkanError("the driver of \(physical.name) lacks functions of Vulkan 1.1")
    }
    let table = loaded.pointee
    free(loaded)
    functions = table
    var queue: VkQueue?
    table.vkGetDeviceQueue(handle, physical.queueFamily, 0, &queue)
    self.queue = queue!

    var cacheInfo = VkPipelineCacheCreateInfo()
    cacheInfo.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO
    cacheFile = cachesPipelines ? PipelineCacheFile(identity: physical.cacheIdentity) : nil
    let known = cacheFile?.read() ?? Data()
    pipelines.withLock { $0.saved = known }
    cacheInfo.initialDataSize = known.count
    cacheInfo.pInitialData = UnsafeRawPointer(scratch.array([UInt8](known)))
    var cache: VkPipelineCache?
    try check(table.vkCreatePipelineCache(handle, &cacheInfo, nil, &cache), "vkCreatePipelineCache")
    pipelineCache = cache!
    var layouts: [TensorStorage: Layouts] = [:]
    for storage in TensorStorage.allCases { layouts[storage] = try Self.makeLayouts(storage, handle, table) }
    self.layouts = layouts
  }

  /// Every shader has the same bindings: five tensors to read, one to write, and a block of the host.
  static func descriptorType(ofBinding binding: Int, _ storage: TensorStorage) -> VkDescriptorType {
    binding < 5 && storage == .texels ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
  }
  static let bindingCount = 7
  /// Bytes of push constants every Vulkan device takes.
  static let pushByteCount = 128

  private static func makeLayouts(
    _ storage: TensorStorage, _ device: VkDevice, _ functions: PacerVulkanDeviceFunctions
  ) throws -> Layouts {
    let scratch = Scratch()
    let bindings = (0..<bindingCount).map { binding in
      var entry = VkDescriptorSetLayoutBinding()
      entry.binding = UInt32(binding)
      entry.descriptorType = descriptorType(ofBinding: binding, storage)
      entry.descriptorCount = 1
      entry.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
      return entry
    }
    var setInfo = VkDescriptorSetLayoutCreateInfo()
    setInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO
    setInfo.bindingCount = UInt32(bindings.count)
    setInfo.pBindings = scratch.array(bindings)
    var set: VkDescriptorSetLayout?
    try check(functions.vkCreateDescriptorSetLayout(device, &setInfo, nil, &set), "vkCreateDescriptorSetLayout")
    var push = VkPushConstantRange()
    push.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
    push.size = UInt32(pushByteCount)
    var info = VkPipelineLayoutCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO
    info.setLayoutCount = 1
    info.pSetLayouts = scratch.pointer(set)
    info.pushConstantRangeCount = 1
    info.pPushConstantRanges = scratch.pointer(push)
    var layout: VkPipelineLayout?
    try check(functions.vkCreatePipelineLayout(device, &info, nil, &layout), "vkCreatePipelineLayout")
    return Layouts(set: set!, pipeline: layout!)
  }

  func layouts(_ storage: TensorStorage) -> Layouts { layouts[storage]! }

  /// The pipeline of a shader with its specialisation constants, made at the first call.
  /// - Parameter constants: by constant id; the first is the size of a workgroup along x, the second which tensors are float16.
  func pipeline(_ shader: String, _ constants: [Int32], _ storage: TensorStorage) throws -> VkPipeline {
    try pipelines.withLock { table in
      let key = PipelineKey(shader: shader, constants: constants)
      if let pipeline = table.pipelines[key] { return pipeline }
      let pipeline = try makePipeline(shader, constants, layouts(storage))
      table.pipelines[key] = pipeline
      table.hasUnsaved = true
      return pipeline
    }
  }

  /// Writes the pipelines compiled since the last time to disk, if they are to be kept there.
  func savePipelines() {
    pipelines.withLock { table in
      guard let cacheFile, table.hasUnsaved else { return }
      table.hasUnsaved = false
      var count = 0
      guard functions.vkGetPipelineCacheData(handle, pipelineCache, &count, nil) == VK_SUCCESS else { return }
      var data = Data(count: count)
      let result = data.withUnsafeMutableBytes {
        functions.vkGetPipelineCacheData(handle, pipelineCache, &count, $0.baseAddress)
      }
      guard result == VK_SUCCESS, data.prefix(count) != table.saved else { return }
      table.saved = Data(data.prefix(count))
      cacheFile.write(table.saved)
    }
  }

  private func makePipeline(_ shader: String, _ constants: [Int32], _ layouts: Layouts) throws -> VkPipeline {
    let scratch = Scratch()
    let code = try shaderCode(shader)
    var moduleInfo = VkShaderModuleCreateInfo()
    moduleInfo.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO
    moduleInfo.codeSize = code.count * 4
    moduleInfo.pCode = scratch.array(code)
    var module: VkShaderModule?
    try check(functions.vkCreateShaderModule(handle, &moduleInfo, nil, &module), "vkCreateShaderModule")
    defer { functions.vkDestroyShaderModule(handle, module, nil) }

    let entries = constants.indices.map {
      VkSpecializationMapEntry(constantID: UInt32($0), offset: UInt32($0 * 4), size: 4)
    }
    var specialisation = VkSpecializationInfo()
    specialisation.mapEntryCount = UInt32(entries.count)
    specialisation.pMapEntries = scratch.array(entries)
    specialisation.dataSize = constants.count * 4
    specialisation.pData = UnsafeRawPointer(scratch.array(constants))
    var info = VkComputePipelineCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT
    info.stage.module = module
    info.stage.pName = scratch.text("main")
    info.stage.pSpecializationInfo = scratch.pointer(specialisation)
    info.layout = layouts.pipeline
    var pipeline: VkPipeline?
    try check(
      functions.vkCreateComputePipelines(handle, pipelineCache, 1, &info, nil, &pipeline), "vkCreateComputePipelines")
    return pipeline!
  }

  /// Hands commands to the queue; the fence says when they are done.
  func submit(_ commands: VkCommandBuffer, _ fence: VkFence) throws {
    try withUnsafePointer(to: Optional(commands)) { list in
      var info = VkSubmitInfo()
      info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO
      info.commandBufferCount = 1
      info.pCommandBuffers = list
      // One queue, many sessions: Vulkan wants its users to take turns.
      let result = queueLock.withLock { _ in functions.vkQueueSubmit(queue, 1, &info, fence) }
      try check(result, "vkQueueSubmit")
    }
  }
}

/// The SPIR-V words of a shader.
private func shaderCode(_ name: String) throws -> [UInt32] {
  guard let shader = pacer_shader(name) else { throw VulkanError("there is no shader \(name)") }
  let bytes = UnsafeRawBufferPointer(start: shader.pointee.code, count: Int(shader.pointee.length))
  return (0..<(bytes.count / 4)).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
}
