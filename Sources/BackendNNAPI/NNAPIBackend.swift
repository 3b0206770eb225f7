import RuntimeCore

/// Delegation to accelerator drivers after the manner of Android's NNAPI. Not written yet.
public struct NNAPIBackend: UnavailableBackend {
  public let name = "nnapi"
  public init() {}
  public var reason: String { "Pacer has no accelerator drivers to delegate to yet" }
}
