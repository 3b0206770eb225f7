import RuntimeCore
import TensorCore

/// One session's memory on the device, and the blocks it shares with the host.
final class VulkanMemory {
  /// Brings a slot's texels to or from the host.
  struct Transfer {
    let step: Int
    /// On the device, and in the host's memory.
    let slot: Int
    let host: Int
    /// The block in between.
    let region: VulkanRegion
  }

  /// Where each slot's texels and each step's working memory are; the regions keep their blocks.
  let regions: [Plan.Owner: VulkanRegion]
  /// Where each of them lies, from one origin.
  let offsets: [Plan.Owner: Int]
  let arena: (byteCount: Int, lowerBound: Int)?
  let uploads: [Transfer]
  let downloads: [Transfer]

  init(_ segments: VulkanSegments) throws {
    let (plan, lowering, device) = (segments.plan, segments.lowering, segments.device)
    let alignment = device.physical.alignment
    let copies = segments.segments.flatMap(\.steps).flatMap { step in
      plan.steps[step].copies.map { copy in
        let isUpload = plan.slots[copy.source].space == .host
        let (slot, host) = isUpload ? (copy.target, copy.source) : (copy.source, copy.target)
        return (step: step, isUpload: isUpload, slot: slot, host: host)
      }
    }
    // The host's side of a copy is always float32: shaders round and widen.
    let sizes = copies.map { plan.graph[plan.slots[$0.host].values[0]].type.widened.byteCount }
    let staged = places(sizes, alignment: alignment)
    let staging = try VulkanBlock(device, byteCount: staged.total, .host)
    let transfers = try copies.enumerated().map { index, copy in
      Transfer(
        step: copy.step, slot: copy.slot, host: copy.host,
        region: try VulkanRegion(staging, offset: staged.offsets[index], byteCount: sizes[index]))
    }
    uploads = zip(copies, transfers).filter(\.0.isUpload).map(\.1)
    downloads = zip(copies, transfers).filter { !$0.0.isUpload }.map(\.1)

    // Tensors and working memory: planned in one block, or each in one of its own.
    let lifetimes = plan.lifetimes(in: lowering.space).filter { $0.interval.byteCount > 0 }
    let shared: VulkanBlock?
    if segments.options.allocator == .arena {
      let arena = Arena(plan, in: lowering.space, alignment: alignment)
      shared = try VulkanBlock(device, byteCount: arena.byteCount, .device)
      self.arena = (arena.byteCount, arena.lowerBound)
      offsets = arena.offsets
    } else {
      (shared, arena) = (nil, nil)
      // One block behind the other.
      let placed = places(lifetimes.map(\.interval.byteCount), alignment: alignment)
      offsets = Dictionary(uniqueKeysWithValues: zip(lifetimes.map(\.owner), placed.offsets))
    }
    var regions: [Plan.Owner: VulkanRegion] = [:]
    for (owner, interval) in lifetimes {
      let stored =
        switch owner {
        case .slot(let slot): plan.graph[plan.slots[slot].values[0]].type.dtype
        case .scratch(let step, _): segments.kernels[step]!.scratchType
        }
      regions[owner] = try VulkanRegion(
        shared ?? VulkanBlock(device, byteCount: interval.byteCount, .device),
        offset: shared == nil ? 0 : offsets[owner]!, byteCount: interval.byteCount, stored, lowering.storage)
    }
    for (slot, region) in segments.constants { regions[.slot(slot)] = region }
    self.regions = regions
  }
}
