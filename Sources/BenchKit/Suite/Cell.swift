import Foundation
import RuntimeCore
import TensorCore

/// One thing to measure: a model with one choice on every axis.
public struct Cell: Codable, Hashable, Sendable {
  /// `pacer`, or the name of a peer under `Suites/peers`.
  public var engine = "pacer"
  public var model: String
  /// Path of a safetensors file; nil for seeded weights.
  public var weights: String?
  /// Path of a picture; nil for the seeded input.
  public var input: String?
  /// Shape of the input; nil for the model's own.
  public var shape: Shape?
  /// Name of the preset that its other fields come from.
  public var preset: String?
  public var backend = "cpu"
  public var device: String?
  public var kernels = KernelFamily.fast
  public var passes: [String] = []
  public var precision = Precision.fp32
  /// How a GPU's kernels reach tensors; nil for what suits the device.
  public var storage: TensorStorage?
  /// Whether a GPU's compiled pipelines come from disk; nil means that they do.
  public var pipelineCache: Bool?
  public var allocator = AllocatorKind.system
  /// False where outputs do not take the memory of inputs nobody reads any more; nil where they do.
  public var inPlace: Bool?
  /// False where the system is not asked for huge pages; nil where it is.
  public var hugePages: Bool?
  /// Where an inference finds its input; nil: written once, and kept.
  public var inputBuffer: InputBuffer?
  public var threads = 1
  /// Instruction set; nil for the best there is.
  public var isa: String?

  public init(model: String) { self.model = model }

  /// What an application does for each inference before it runs.
  public enum InputBuffer: String, Codable, Sendable, CaseIterable {
    /// Writes the input into the session's own tensor.
    case reused
    /// Makes a tensor (from the C library, whatever the cell's allocator), writes the input into it, hands it to the
    /// session and drops it afterwards.
    case fresh
  }

  /// Memory format of the images: what the pass `channels-last` sets.
  public var format: String { passes.contains("channels-last") ? "nhwc" : "nchw" }

  /// The same text for the same cell, in every run: what results, baselines and records are joined by.
  public var id: String {
    var parts = [engine, model, backend, kernels.rawValue, "passes=" + passes.joined(separator: "+")]
    parts += [precision.rawValue, allocator.rawValue, "\(threads)t", isa ?? "best"]
    if let shape { parts.append("\(shape)") }
    if let weights { parts.append("weights=\(weights)") }
    if let input { parts.append("input=\(input)") }
    if let device { parts.append("device=\(device)") }
    if let storage { parts.append("storage=\(storage)") }
    if let pipelineCache { parts.append("pipeline-cache=\(pipelineCache ? "on" : "off")") }
    if let preset { parts.append("preset=\(preset)") }
    if let inPlace { parts.append("in-place=\(inPlace ? "on" : "off")") }
    if let hugePages { parts.append("huge-pages=\(hugePages ? "on" : "off")") }
    if let inputBuffer { parts.append("input-buffer=\(inputBuffer)") }
    return parts.joined(separator: "/")
  }

  /// The id where a set with every pass there was is "all": the same configuration in versions that have other passes.
  func id(ofAll passes: Set<String>) -> String {
    guard !passes.isEmpty, Set(self.passes) == passes else { return id }
    var cell = self
    cell.passes = ["all"]
    return cell.id
  }

  /// How a backend is to execute the cell.
  var prepareOptions: PrepareOptions {
    PrepareOptions(
      kernels: kernels, allocator: allocator, threads: threads, instructionSet: isa, precision: precision,
      device: device, storage: storage, cachesPipelines: pipelineCache ?? true, inPlace: inPlace ?? true,
      hugePages: hugePages ?? true)
  }

  /// How a cell takes another's choice on an axis, for every axis on which cells are compared.
  static let comparableAxes: [(name: String, take: @Sendable (inout Cell, Cell) -> Void)] = [
    ("passes", { $0.passes = $1.passes }),
    (
      "preset",
      {
        $0.preset = $1.preset
        ($0.passes, $0.kernels, $0.allocator, $0.inPlace) = ($1.passes, $1.kernels, $1.allocator, $1.inPlace)
      }
    ),
    ("kernels", { $0.kernels = $1.kernels }), ("backend", { $0.backend = $1.backend }),
    ("device", { $0.device = $1.device }), ("precision", { $0.precision = $1.precision }),
    ("storage", { $0.storage = $1.storage }), ("pipeline-cache", { $0.pipelineCache = $1.pipelineCache }),
    ("allocator", { $0.allocator = $1.allocator }), ("in-place", { $0.inPlace = $1.inPlace }),
    ("huge-pages", { $0.hugePages = $1.hugePages }),
    ("input-buffer", { $0.inputBuffer = $1.inputBuffer }), ("threads", { $0.threads = $1.threads }),
    ("isa", { $0.isa = $1.isa }), ("engine", { $0.engine = $1.engine }),
  ]

  /// The cell with another's choice on some of its axes.
  func taking(_ axes: [String], from other: Cell) -> Cell {
    var cell = self
    for axis in Self.comparableAxes where axes.contains(axis.name) { axis.take(&cell, other) }
    return cell
  }
}
