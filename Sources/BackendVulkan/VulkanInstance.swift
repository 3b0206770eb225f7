import CVulkan
import Foundation

/// The Vulkan loader with the devices it knows, opened once per process and never closed.
///
/// `@unchecked Sendable`: immutable after `init`; the calls made through it need no external synchronisation.
final class VulkanInstance: @unchecked Sendable {
  let handle: VkInstance
  let functions: PacerVulkanInstanceFunctions
  private(set) var devices: [PhysicalDevice] = []

  /// The instance, or the reason why there is none.
  static let shared: Result<VulkanInstance, VulkanError> = Result { () throws(VulkanError) in
    do { return try VulkanInstance() } catch let error as VulkanError { throw error } catch {
      throw VulkanError("\(error)")
    }
  }

  private init() throws {
    guard let entry = pacer_vulkan_entry() else {
      throw VulkanError("no Vulkan loader (on Debian: package libvulkan1)")
    }
    guard let create = unsafeBitCast(entry(nil, "vkCreateInstance"), to: PFN_vkCreateInstance?.self) else {
      throw VulkanError("the Vulkan loader has no vkCreateInstance")
    }
    let scratch = Scratch()
    var application = VkApplicationInfo()
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO
    application.pApplicationName = scratch.text("Pacer")
    // 1.1: what the oldest drivers that matter have.
    application.apiVersion = vulkanVersion(1, 1)
    var info = VkInstanceCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
    info.pApplicationInfo = scratch.pointer(application)
    var instance: VkInstance?
    try check(create(&info, nil, &instance), "vkCreateInstance")
    handle = instance!
    guard let loaded = pacer_vulkan_load_instance(entry, instance!) else {
      throw VulkanError("the Vulkan loader lacks functions of version 1.1")
    }
    let functions = loaded.pointee
    free(loaded)
    self.functions = functions

    let found =
      try enumerate { count, list in
        try check(functions.vkEnumeratePhysicalDevices(handle, count, list), "vkEnumeratePhysicalDevices")
      } as [VkPhysicalDevice?]
    devices = found.compactMap { $0.flatMap { PhysicalDevice($0, functions) } }
    guard !devices.isEmpty else {
      throw VulkanError("no Vulkan 1.1 device (on Debian: package mesa-vulkan-drivers has a software one)")
    }
  }

  /// The device of this name, or the first one, hardware before software.
  /// - Parameter wanted: an index, or a part of the name in any case.
  func device(named wanted: String?) throws -> PhysicalDevice {
    let ordered = devices.sorted { !$0.isSoftware && $1.isSoftware }
    guard let wanted else { return ordered[0] }
    if let index = Int(wanted) {
      if devices.indices.contains(index) { return devices[index] }
    } else if let match = devices.first(where: { $0.name.lowercased().contains(wanted.lowercased()) }) {
      return match
    }
    let known = devices.enumerated().map { "\($0.offset): \($0.element.name)" }.joined(separator: ", ")
    throw VulkanError("no Vulkan device \"\(wanted)\"; known: \(known)")
  }
}

func vulkanVersion(_ major: UInt32, _ minor: UInt32) -> UInt32 { major << 22 | minor << 12 }

/// Vulkan's way to return lists: once for the count, once for the elements.
func enumerate<Element>(
  _ call: (UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Element>?) throws -> Void
) rethrows -> [Element] {
  var count: UInt32 = 0
  try call(&count, nil)
  guard count > 0 else { return [] }
  let list = UnsafeMutablePointer<Element>.allocate(capacity: Int(count))
  defer { list.deallocate() }
  // Zeros: what Vulkan's structs want, apart from their type.
  UnsafeMutableRawPointer(list).initializeMemory(
    as: UInt8.self, repeating: 0, count: Int(count) * MemoryLayout<Element>.stride)
  try call(&count, list)
  return Array(UnsafeBufferPointer(start: list, count: Int(count)))
}

/// Memory for what create-infos point to, for as long as this object lives.
final class Scratch {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  func array<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element> {
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: max(elements.count, 1) * MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
    blocks.append(block)
    let typed = block.bindMemory(to: Element.self, capacity: max(elements.count, 1))
    typed.initialize(from: elements, count: elements.count)
    return UnsafePointer(typed)
  }

  func pointer<Element: BitwiseCopyable>(_ element: Element) -> UnsafePointer<Element> { array([element]) }
  func text(_ text: String) -> UnsafePointer<CChar> { array(text.utf8CString.map { $0 }) }
}
