import GraphCore
import RuntimeCore
import TensorCore

/// A plan's segments bound to shaders, their constants on the device: what every session shares.
///
/// `@unchecked Sendable`: immutable after `init`; the constants on the device are only read.
final class VulkanSegments: CompiledSegments, @unchecked Sendable {
  let plan: Plan
  let segments: [Plan.Segment]
  let lowering: VulkanLowering
  /// Of each step of the plan that is one of Vulkan's nodes.
  let kernels: [VulkanKernel?]
  /// Constants by slot; those that only preparations read are gone.
  let constants: [Int: VulkanRegion]
  /// What each step has prepared from its weights.
  let prepared: [Int: VulkanRegion]
  /// Each step's limits by channel.
  let limits: [Int: VulkanRegion]

  var device: VulkanDevice { lowering.vulkan }
  var options: PrepareOptions { lowering.options }

  init(_ lowering: VulkanLowering, _ segments: [Plan.Segment], of plan: Plan) throws {
    (self.plan, self.segments, self.lowering) = (plan, segments, lowering)
    let kernels = plan.steps.map { $0.node.flatMap { lowering.kernels[$0] } }
    self.kernels = kernels
    (constants, prepared) = try Self.upload(plan, kernels, lowering)
    limits = try Self.uploadLimits(kernels, lowering)
  }

  func makeSegments() throws -> [any Segment] {
    let memory = try VulkanMemory(self)
    return try segments.map { try VulkanSegment(self, $0.steps, memory) }
  }

  /// Puts constants on the device, where they stay, and what kernels prepare from them.
  private static func upload(
    _ plan: Plan, _ kernels: [VulkanKernel?], _ lowering: VulkanLowering
  ) throws -> (constants: [Int: VulkanRegion], prepared: [Int: VulkanRegion]) {
    let uploads: [(slot: Int, tensor: Tensor)] = plan.slots.indices.compactMap { slot in
      guard plan.slots[slot].space == lowering.space, plan.slots[slot].source == .constant,
        case .constant(let tensor) = lowering.graph[plan.slots[slot].values[0]].source
      else { return nil }
      return (slot, tensor)
    }
    guard !uploads.isEmpty else { return ([:], [:]) }
    let device = lowering.vulkan
    // What only preparations read need not stay.
    var read = Set(plan.steps.lazy.flatMap(\.copies).map(\.source))
    for (step, kernel) in zip(plan.steps, kernels) {
      for case .input(let input) in kernel?.dispatches.flatMap(\.reads) ?? [] { read.insert(step.inputs[input]) }
    }
    let alignment = device.physical.alignment
    let storage = lowering.storage
    let hostSizes = uploads.map { $0.tensor.type.widened.byteCount }
    let hostOffsets = places(hostSizes, alignment: alignment)
    let staging = try VulkanBlock(device, byteCount: hostOffsets.total, .host)
    var blocks: [Bool: (block: VulkanBlock, offsets: [Int])] = [:]
    for stays in [true, false] {
      let placed = places(
        uploads.map { read.contains($0.slot) == stays ? plan.slots[$0.slot].byteCount : 0 }, alignment: alignment)
      if placed.total > 0 {
        blocks[stays] = (try VulkanBlock(device, byteCount: placed.total, .device), placed.offsets)
      }
    }
    let recorder = try CommandRecorder(
      device, storage,
      dispatchCount: kernels.reduce(uploads.count) { $0 + ($1?.prepared?.dispatches.count ?? 0) })
    var regions: [Int: VulkanRegion] = [:]
    for (index, upload) in uploads.enumerated() {
      let value = plan.slots[upload.slot].values[0]
      let place = blocks[read.contains(upload.slot)]!
      let region = try VulkanRegion(
        place.block, offset: place.offsets[index], byteCount: plan.slots[upload.slot].byteCount,
        upload.tensor.type.dtype, storage)
      let host = try VulkanRegion(
        staging, offset: hostOffsets.offsets[index], byteCount: hostSizes[index])
      copy(upload.tensor, to: host)
      try recorder.dispatch(
        .upload(lowering.layout(of: value)), reads: [], writes: region, hostBlock: (host, isWritten: false))
      regions[upload.slot] = region
    }
    var prepared: [Int: VulkanRegion] = [:]
    for (index, kernel) in kernels.enumerated() {
      guard let kernel, let (texels, dispatches) = kernel.prepared else { continue }
      let byteCount = texels * texelByteCount(kernel.scratchType)
      let region = try VulkanRegion(
        VulkanBlock(device, byteCount: byteCount, .device), offset: 0, byteCount: byteCount, kernel.scratchType,
        storage)
      prepared[index] = region
      for dispatch in dispatches {
        let reads = dispatch.reads.map { operand in
          if case .input(let input) = operand { regions[plan.steps[index].inputs[input]]! } else { region }
        }
        try recorder.dispatch(dispatch, reads: reads, writes: region, hostBlock: nil)
      }
    }
    try recorder.finish().run()
    return (regions.filter { read.contains($0.key) }, prepared)
  }
}

extension VulkanSegments {
  /// Puts the limits of clamps by channel on the device: for each quad its lower ones, then its upper ones.
  private static func uploadLimits(
    _ kernels: [VulkanKernel?], _ lowering: VulkanLowering
  ) throws -> [Int: VulkanRegion] {
    var regions: [Int: VulkanRegion] = [:]
    for (index, kernel) in kernels.enumerated() {
      guard let limits = kernel?.limits, !limits.isEmpty else { continue }
      var numbers: [Float] = []
      for first in stride(from: 0, to: limits.count, by: 4) {
        // Behind the last channel lie zeros.
        let quad = (first..<first + 4).map { limits[safe: $0] ?? Clamp(min: 0, max: 0) }
        numbers += quad.map(\.min) + quad.map(\.max)
      }
      let tensor = try Tensor([1, numbers.count, 1, 1], numbers)
      regions[index] = try tensor.vulkan(
        device: lowering.backend.device, storage: lowering.storage, cachesPipelines: lowering.backend.cachesPipelines
      ).region
    }
    return regions
  }
}

/// Offsets of blocks one behind the other.
func places(_ sizes: [Int], alignment: Int) -> (offsets: [Int], total: Int) {
  var (offsets, next) = ([Int](), 0)
  for size in sizes {
    offsets.append(next)
    next += (size + alignment - 1) / alignment * alignment
  }
  return (offsets, next)
}
