import RuntimeCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Vulkan compute. Its kernels are not written yet; it says what the machine would offer.
public struct VulkanBackend: UnavailableBackend {
  public let name = "vulkan"
  public init() {}

  public var reason: String {
    guard let loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL) else {
      return "no Vulkan loader (package libvulkan1)"
    }
    dlclose(loader)
    return "Pacer has no Vulkan kernels yet"
  }
}
