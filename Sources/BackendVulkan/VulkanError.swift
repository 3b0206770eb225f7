import CVulkan
import GraphCore

/// A Vulkan call that failed, with what it means for the user.
struct VulkanError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// - Throws: ``VulkanError`` or ``DeviceLost`` unless the call succeeded.
func check(_ result: VkResult, _ call: StaticString) throws {
  guard result != VK_SUCCESS else { return }
  let description = "Vulkan: \(call): \(meaning(result))"
  if result == VK_ERROR_DEVICE_LOST { throw DeviceLost(description) }
  throw VulkanError(description)
}

private func meaning(_ result: VkResult) -> String {
  switch result {
  case VK_ERROR_OUT_OF_HOST_MEMORY: "out of host memory"
  case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    "out of device memory; a smaller input or the arena allocator (--allocator arena) needs less"
  case VK_ERROR_DEVICE_LOST: "the device was lost (driver reset or a kernel that ran too long)"
  case VK_ERROR_INITIALIZATION_FAILED: "the driver could not start"
  case VK_ERROR_INCOMPATIBLE_DRIVER: "no driver (on Debian: package mesa-vulkan-drivers, or the vendor's)"
  case VK_ERROR_EXTENSION_NOT_PRESENT: "an extension is missing"
  case VK_ERROR_FEATURE_NOT_PRESENT: "a feature is missing"
  case VK_ERROR_TOO_MANY_OBJECTS: "too many objects"
  default: "error \(result.rawValue)"
  }
}
