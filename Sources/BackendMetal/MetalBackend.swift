import RuntimeCore

/// Metal on Apple's systems. Its kernels are not written yet.
public struct MetalBackend: UnavailableBackend {
  public let name = "metal"
  public init() {}

  public var reason: String {
    #if canImport(Metal)
      "Pacer has no Metal kernels yet"
    #else
      "Metal exists on Apple's systems only"
    #endif
  }
}
