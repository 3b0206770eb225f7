import CVulkan
import TensorCore
import RuntimeCore

/// Records dispatches once, to be run any number of times. Puts a barrier where one needs what another wrote.
final class CommandRecorder {
  let device: VulkanDevice
  let storage: TensorStorage
  private let commands: VulkanCommands
  private var buffer: VkCommandBuffer { commands.buffer }
  private var functions: PacerVulkanDeviceFunctions { device.functions }
  /// What dispatches since the last barrier read and wrote.
  private var unordered: [(region: VulkanRegion, isWritten: Bool)] = []

  /// - Parameters:
  ///   - dispatchCount: how many dispatches there will be at most.
  ///   - timestampCount: how many timestamps; 0 for none.
  init(
    _ device: VulkanDevice, _ storage: TensorStorage, dispatchCount: Int, timestampCount: Int = 0
  ) throws {
    (self.device, self.storage) = (device, storage)
    commands = try VulkanCommands(device, storage, setCount: dispatchCount, timestampCount: timestampCount)
    var info = VkCommandBufferBeginInfo()
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
    try check(functions.vkBeginCommandBuffer(buffer, &info), "vkBeginCommandBuffer")
    if let queries = commands.queries {
      functions.vkCmdResetQueryPool(buffer, queries, 0, UInt32(timestampCount))
    }
    // What earlier submissions and the host wrote is to be seen here.
    barrier(from: (host, VK_ACCESS_HOST_WRITE_BIT), (compute, VK_ACCESS_SHADER_WRITE_BIT), to: compute, shaderAccess)
  }

  private var compute: VkPipelineStageFlagBits { VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT }
  private var host: VkPipelineStageFlagBits { VK_PIPELINE_STAGE_HOST_BIT }
  private var shaderAccess: UInt32 { VK_ACCESS_SHADER_READ_BIT.rawValue | VK_ACCESS_SHADER_WRITE_BIT.rawValue }

  private func barrier(
    from sources: (stage: VkPipelineStageFlagBits, access: VkAccessFlagBits)..., to stage: VkPipelineStageFlagBits,
    _ access: UInt32
  ) {
    var memory = VkMemoryBarrier()
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER
    memory.srcAccessMask = sources.reduce(0) { $0 | $1.access.rawValue }
    memory.dstAccessMask = access
    functions.vkCmdPipelineBarrier(
      buffer, sources.reduce(0) { $0 | $1.stage.rawValue }, stage.rawValue, 0, 1, &memory, 0, nil, 0, nil)
    unordered = []
  }

  /// - Parameters:
  ///   - reads: at bindings 0, 1, …
  ///   - writes: at binding 5; nil where the shader writes to the host's block.
  ///   - hostBlock: at binding 6.
  func dispatch(
    _ dispatch: Dispatch, reads: [VulkanRegion], writes: VulkanRegion?,
    hostBlock: (region: VulkanRegion, isWritten: Bool)?
  ) throws {
    let limits = device.physical.maxGroups
    guard dispatch.groups.x <= limits.x, dispatch.groups.y <= limits.y, dispatch.products <= limits.z else {
      throw VulkanError(
        "\(dispatch.shader): \(dispatch.groups.x) × \(dispatch.groups.y) × \(dispatch.products) workgroups, "
          + "\(device.physical.name) takes \(limits.x) × \(limits.y) × \(limits.z)")
    }
    var uses = reads.map { ($0, false) }
    if let writes { uses.append((writes, true)) }
    if let hostBlock { uses.append(hostBlock) }
    let conflicts = uses.contains { region, isWritten in
      unordered.contains { ($0.isWritten || isWritten) && $0.region.overlaps(region) }
    }
    if conflicts {
      barrier(from: (compute, VK_ACCESS_SHADER_WRITE_BIT), to: compute, shaderAccess)
      commands.barrierCount += 1
    }
    unordered += uses.map { (region: $0.0, isWritten: $0.1) }

    // What this call of a shader has no use for must be bound all the same.
    var bindings = reads.isEmpty ? [] : (0..<5).map { ($0, reads[safe: $0] ?? reads[0]) }
    if let writes { bindings.append((5, writes)) }
    if let hostBlock { bindings.append((6, hostBlock.region)) }
    let layouts = device.layouts(storage)
    let shader = "\(dispatch.shader).\(storage)"
    // Texel buffers convert by themselves: there only the result's type makes another pipeline.
    let converted = (storage == .buffers ? Array(reads.enumerated()) : []) + (writes.map { [(5, $0)] } ?? [])
    let halves = converted.reduce(Int32(0)) { $0 | ($1.1.stored == .float16 ? 1 << Int32($1.0) : 0) }
    let pipeline = try device.pipeline(
      shader, [Int32(dispatch.groupSize), halves, dispatch.epilogue] + dispatch.constants, storage)
    functions.vkCmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline)
    var set: VkDescriptorSet? = try commands.descriptorSet(bindings)
    functions.vkCmdBindDescriptorSets(
      buffer, VK_PIPELINE_BIND_POINT_COMPUTE, layouts.pipeline, 0, 1, &set, 0, nil)
    dispatch.push.words.withUnsafeBytes { bytes in
      functions.vkCmdPushConstants(
        buffer, layouts.pipeline, VK_SHADER_STAGE_COMPUTE_BIT.rawValue, 0, UInt32(bytes.count), bytes.baseAddress)
    }
    functions.vkCmdDispatch(buffer, UInt32(dispatch.groups.x), UInt32(dispatch.groups.y), UInt32(dispatch.products))
    commands.dispatchCount += 1
  }

  /// The time at which all before it has ended.
  func timestamp(_ index: Int) {
    guard let queries = commands.queries else { return }
    // Bottom of pipe waits for what came before; the barrier keeps what comes after from starting earlier.
    barrier(from: (compute, VK_ACCESS_SHADER_WRITE_BIT), to: compute, shaderAccess)
    functions.vkCmdWriteTimestamp(buffer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, UInt32(index))
  }

  /// The commands, ready to run.
  func finish() throws -> VulkanCommands {
    barrier(from: (compute, VK_ACCESS_SHADER_WRITE_BIT), to: host, VK_ACCESS_HOST_READ_BIT.rawValue)
    try check(functions.vkEndCommandBuffer(buffer), "vkEndCommandBuffer")
    return commands
  }
}

/// A recorded command buffer with all it holds on to. Not for two threads at once.
final class VulkanCommands {
  let device: VulkanDevice
  fileprivate let buffer: VkCommandBuffer
  fileprivate let queries: VkQueryPool?
  fileprivate(set) var dispatchCount = 0
  fileprivate(set) var barrierCount = 0
  private let storage: TensorStorage
  private let pool: VkCommandPool
  private let sets: VkDescriptorPool
  private let fence: VkFence
  private let timestampCount: Int
  /// What the commands use: it must be there for as long as they are.
  private var regions: [VulkanRegion] = []

  fileprivate init(_ device: VulkanDevice, _ storage: TensorStorage, setCount: Int, timestampCount: Int) throws {
    (self.device, self.storage, self.timestampCount) = (device, storage, timestampCount)
    let functions = device.functions
    var (pool, sets, fence, queries): (VkCommandPool?, VkDescriptorPool?, VkFence?, VkQueryPool?)
    do {
      var poolInfo = VkCommandPoolCreateInfo()
      poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
      poolInfo.queueFamilyIndex = device.physical.queueFamily
      try check(functions.vkCreateCommandPool(device.handle, &poolInfo, nil, &pool), "vkCreateCommandPool")
      var bufferInfo = VkCommandBufferAllocateInfo()
      bufferInfo.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
      bufferInfo.commandPool = pool
      bufferInfo.commandBufferCount = 1
      var buffer: VkCommandBuffer?
      try check(functions.vkAllocateCommandBuffers(device.handle, &bufferInfo, &buffer), "vkAllocateCommandBuffers")
      self.buffer = buffer!

      let scratch = Scratch()
      var counts: [VkDescriptorType.RawValue: UInt32] = [:]
      for binding in 0..<VulkanDevice.bindingCount {
        counts[VulkanDevice.descriptorType(ofBinding: binding, storage).rawValue, default: 0] += UInt32(
          max(setCount, 1))
      }
      let sizes = counts.map { VkDescriptorPoolSize(type: VkDescriptorType($0.key), descriptorCount: $0.value) }
      var setsInfo = VkDescriptorPoolCreateInfo()
      setsInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO
      setsInfo.maxSets = UInt32(max(setCount, 1))
      setsInfo.poolSizeCount = UInt32(sizes.count)
      setsInfo.pPoolSizes = scratch.array(sizes)
      try check(functions.vkCreateDescriptorPool(device.handle, &setsInfo, nil, &sets), "vkCreateDescriptorPool")
      var fenceInfo = VkFenceCreateInfo()
      fenceInfo.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO
      try check(functions.vkCreateFence(device.handle, &fenceInfo, nil, &fence), "vkCreateFence")
      if timestampCount > 0 {
        var queryInfo = VkQueryPoolCreateInfo()
        queryInfo.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO
        queryInfo.queryType = VK_QUERY_TYPE_TIMESTAMP
        queryInfo.queryCount = UInt32(timestampCount)
        try check(functions.vkCreateQueryPool(device.handle, &queryInfo, nil, &queries), "vkCreateQueryPool")
      }
    } catch {
      functions.vkDestroyQueryPool(device.handle, queries, nil)
      functions.vkDestroyFence(device.handle, fence, nil)
      functions.vkDestroyDescriptorPool(device.handle, sets, nil)
      functions.vkDestroyCommandPool(device.handle, pool, nil)
      throw error
    }
    (self.pool, self.sets, self.fence, self.queries) = (pool!, sets!, fence!, queries)
  }

  deinit {
    let functions = device.functions
    functions.vkDestroyQueryPool(device.handle, queries, nil)
    functions.vkDestroyFence(device.handle, fence, nil)
    functions.vkDestroyDescriptorPool(device.handle, sets, nil)
    functions.vkDestroyCommandPool(device.handle, pool, nil)
  }

  fileprivate func descriptorSet(_ bindings: [(binding: Int, region: VulkanRegion)]) throws -> VkDescriptorSet {
    regions += bindings.map(\.region)
    let scratch = Scratch()
    var info = VkDescriptorSetAllocateInfo()
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO
    info.descriptorPool = sets
    info.descriptorSetCount = 1
    info.pSetLayouts = scratch.pointer(Optional(device.layouts(storage).set))
    var set: VkDescriptorSet?
    try check(device.functions.vkAllocateDescriptorSets(device.handle, &info, &set), "vkAllocateDescriptorSets")
    let writes = bindings.map { binding, region in
      var write = VkWriteDescriptorSet()
      write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET
      write.dstSet = set
      write.dstBinding = UInt32(binding)
      write.descriptorCount = 1
      write.descriptorType = VulkanDevice.descriptorType(ofBinding: binding, storage)
      if write.descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER {
        write.pBufferInfo = scratch.pointer(
          VkDescriptorBufferInfo(
            buffer: region.block.handle, offset: VkDeviceSize(region.bytes.lowerBound),
            range: VkDeviceSize(region.bytes.count)))
      } else {
        write.pTexelBufferView = scratch.pointer(region.view)
      }
      return write
    }
    device.functions.vkUpdateDescriptorSets(
      device.handle, UInt32(writes.count), scratch.array(writes), 0, nil)
    return set!
  }

  /// Runs all commands and waits for their end.
  func run() throws {
    try device.submit(buffer, fence)
    var fence: VkFence? = fence
    try check(device.functions.vkWaitForFences(device.handle, 1, &fence, 1, .max), "vkWaitForFences")
    try check(device.functions.vkResetFences(device.handle, 1, &fence), "vkResetFences")
  }

  /// Nanoseconds from each timestamp of the last run to the next.
  func intervals() throws -> [Double] {
    guard let queries else { return [] }
    var ticks = [UInt64](repeating: 0, count: timestampCount)
    try check(
      device.functions.vkGetQueryPoolResults(
        device.handle, queries, 0, UInt32(timestampCount), timestampCount * 8, &ticks, 8,
        VK_QUERY_RESULT_64_BIT.rawValue | VK_QUERY_RESULT_WAIT_BIT.rawValue), "vkGetQueryPoolResults")
    // Bits above the valid ones mean nothing, and the counter may wrap.
    let bits = device.physical.timestampBits
    let mask: UInt64 = bits >= 64 ? .max : (1 << UInt64(bits)) - 1
    return zip(ticks, ticks.dropFirst()).map { Double(($1 &- $0) & mask) * device.physical.timestampPeriod }
  }
}
