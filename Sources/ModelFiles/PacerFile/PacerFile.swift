import Foundation
import GraphCore
import Synchronization
import TensorCore

/// An optimised model in a file, as `bench-suite optimize` writes it: graphs that need no pass any more, and weights packed for the
/// kernels of some instruction sets, used where they lie.
///
/// The file is mapped, and stays mapped for as long as a tensor of it is used. Sizes are checked when it is read; whether the
/// weights are those that were written, ``verifyContents()`` says. A file that is cut short while it is used ends the process with
/// SIGBUS.
public struct PacerFile: Sendable {
  /// The version that is written, and the highest that is read.
  public static let formatVersion = Int(PacerLayout.version)
  /// The extension of its name.
  public static let nameExtension = "pacer"

  /// A pass that ran before the file was written.
  public struct AppliedPass: Codable, Sendable, Equatable {
    public var name: String
    /// What it changed; 0 where there was nothing to do.
    public var rewrites: Int
    public init(name: String, rewrites: Int) { (self.name, self.rewrites) = (name, rewrites) }
  }

  /// One of the model's graphs.
  public struct Variant: Sendable, Equatable {
    /// The instruction set that its weights are packed for; nil of the portable one, whose weights are packed for none.
    public let instructionSet: String?
    /// In the order in which they ran; of a packed variant those of the portable one first.
    public let passes: [AppliedPass]
    /// Bytes of its weights; variants share those that are the same.
    public let weightBytes: Int
  }

  public let path: String
  /// Of the model.
  public let name: String
  /// Of the Pacer that wrote it.
  public let release: String
  /// The portable one first.
  public let variants: [Variant]
  /// Names of the passes to run on the portable variant, for what runs it.
  public let targetPasses: [String]
  /// Names and tensors of the inputs that the model brings, for measuring it on real data: of all inputs or of none.
  public let bundledInputs: [(name: String, tensor: Tensor)]
  /// Of the file.
  public var byteCount: Int { file.file.byteCount }

  private let file: PacerFileParts
  private let index: PacerLayout.Index
  private let kinds: OpKinds

  /// Whether a file begins as one of these does, whatever is behind that.
  public static func isOne(_ path: String) -> Bool {
    guard let handle = FileHandle(forReadingAtPath: path) else { return false }
    defer { try? handle.close() }
    return (try? handle.read(upToCount: PacerLayout.magic.count)).map { $0.elementsEqual(PacerLayout.magic) } ?? false
  }

  /// - Parameter ops: kinds of ops from outside of Pacer that its graphs may have.
  /// - Throws: ``BadFile`` that names the place.
  public init(_ path: String, ops: [any Op.Type] = []) throws {
    do { try self.init(path, MappedFile(path), ops) } catch {
      throw error is BadFile ? error : BadFile(path, Self.words(error))
    }
  }

  private init(_ path: String, _ file: MappedFile, _ ops: [any Op.Type]) throws {
    guard let bytes = file.bytes(at: 0, count: file.byteCount), let head = PacerLayout.Head(bytes) else {
      throw GraphError("it is no .pacer file")
    }
    guard head.version == PacerLayout.version else {
      throw GraphError(
        "it is of format version \(head.version); this Pacer reads version \(PacerLayout.version)"
          + (head.version > PacerLayout.version ? ", and a newer one wrote it" : ": make it anew from its model"))
    }
    guard head.fileLength == file.byteCount else {
      throw GraphError(
        head.fileLength > file.byteCount
          ? "it is cut short: \(file.byteCount) bytes of \(head.fileLength)"
          : "it should end after \(head.fileLength) bytes, and has \(file.byteCount)")
    }
    guard let length = Int(exactly: head.indexLength), let raw = file.bytes(at: PacerLayout.headLength, count: length)
    else { throw GraphError("its index is longer than the file") }
    guard head.tensorOffset <= head.fileLength, Int(head.tensorOffset) % PacerLayout.pageSize == 0 else {
      throw GraphError("its tensors do not begin where they can")
    }
    let data = Data(raw)
    guard PacerLayout.digest(raw).value == head.indexDigest else { throw GraphError("its index is damaged") }
    let file = PacerFileParts(
      file: file, graphOffset: PacerLayout.headLength + length, tensorOffset: Int(head.tensorOffset))
    let index = try PacerLayout.decoder().decode(PacerLayout.Index.self, from: data)
    // Behind the last text; a graph that lies elsewhere is found when it is read.
    let texts = index.variants.reduce(PacerLayout.headLength + length) { end, variant in
      let place = [PacerLayout.headLength, length, variant.graph.offset, variant.graph.length]
      return max(end, place.reduce(0) { $0.addingReportingOverflow($1).partialValue })
    }
    let padding = Int(head.tensorOffset) - texts
    guard (0..<PacerLayout.pageSize).contains(padding) else {
      throw GraphError("its tensors do not begin behind its graphs")
    }
    (self.path, self.file, self.index, kinds) = (path, file, index, OpKinds(adding: ops))
    (name, release, targetPasses) = (index.name, index.release, index.targetPasses)
    variants = index.variants.map {
      Variant(instructionSet: $0.instructionSet, passes: $0.passes, weightBytes: $0.weightBytes)
    }
    guard variants.first?.instructionSet == nil, !variants.isEmpty,
      Set(variants.map(\.instructionSet)).count == variants.count
    else { throw GraphError("its variants are not a portable one and one for each of some instruction sets") }
    let tensors = try file.tensors(index.tensors, "input")
    guard tensors.count == index.inputs.count else {
      throw GraphError("\(tensors.count) inputs are no \(index.inputs)")
    }
    bundledInputs = zip(index.inputs, tensors).map { ($0, $1) }
  }

  // MARK: Graphs

  /// A variant's graph, whose weights lie in the file.
  /// - Parameter instructionSet: nil for the portable one.
  /// - Throws: ``BadFile`` that names the place, ``Unsupported`` where there is no such variant.
  public func graph(for instructionSet: String? = nil) throws -> Graph {
    guard let variant = index.variants.first(where: { $0.instructionSet == instructionSet }) else {
      throw Unsupported("\(path) has no variant for \(instructionSet ?? "every processor")")
    }
    do {
      let graph = try file.graph(of: variant, kinds)
      try check(graph)
      return graph
    } catch {
      throw BadFile(path, "\(instructionSet.map { "variant \($0)" } ?? "portable variant"): \(Self.words(error))")
    }
  }

  private func check(_ graph: Graph) throws {
    try graph.verify()
    try graph.verifyWeights()
    guard !bundledInputs.isEmpty else { return }
    let (own, wanted) = (bundledInputs.map { "\($0.name) \($0.tensor.type)" }, graph.inputs.map { graph[$0] })
    guard own == wanted.map({ "\($0.name) \($0.type)" }) else {
      throw GraphError("the inputs that come with it are not those it reads")
    }
  }

  // MARK: Contents

  /// Reads all of the file and sees to it that it is what was written.
  /// - Throws: ``BadFile`` that names the first tensor that is not.
  public func verifyContents() throws {
    /// What was read already: variants share tensors.
    var known = Set<[Int]>()
    func check(_ stored: PacerLayout.Tensors, _ tensors: [Tensor], _ place: String) throws {
      for (number, tensor) in tensors.enumerated()
      where known.insert([stored.offsets[number], tensor.type.byteCount]).inserted {
        let bytes = UnsafeRawBufferPointer(start: tensor.storage.pointer, count: tensor.type.byteCount)
        guard PacerLayout.digest(bytes).hex == stored.digests[number] else {
          let offset = file.tensorOffset + stored.offsets[number]
          throw BadFile(path, "\(place) \(number) is damaged: \(tensor.type) at byte \(offset)")
        }
      }
    }
    try check(index.tensors, bundledInputs.map(\.tensor), "input")
    struct Variant: Decodable { var tensors: PacerLayout.Tensors }
    for variant in index.variants {
      // Its sizes, and those of its graph.
      _ = try graph(for: variant.instructionSet)
      let (stored, tensors): (PacerLayout.Tensors, [Tensor])
      do {
        stored = try PacerLayout.decoder().decode(Variant.self, from: file.graphText(of: variant)).tensors
        tensors = try file.tensors(stored, "tensor")
      } catch { throw BadFile(path, Self.words(error)) }
      try check(stored, tensors, "\(variant.instructionSet.map { "variant \($0)" } ?? "portable variant"), tensor")
    }
  }

  // MARK: Errors

  /// What is wrong, and where in the JSON.
  private static func words(_ error: any Error) -> String {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context):
      return "\(place(context)): \(key.stringValue) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      return place(context).isEmpty
        ? "its index or graph cannot be read" : "\(place(context)): \(context.debugDescription)"
    default: return "\(error)"
    }
  }
}
