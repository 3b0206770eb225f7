import Foundation
import GraphCore
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a `.pacer` file is to hold: see ``PacerFile``. The same content is written as the same bytes.
public struct PacerContents: Sendable {
  public struct Variant: Sendable {
    /// Nil of the portable one.
    public var instructionSet: String?
    public var graph: Graph
    public var passes: [PacerFile.AppliedPass]

    public init(_ instructionSet: String?, _ graph: Graph, passes: [PacerFile.AppliedPass]) {
      (self.instructionSet, self.graph, self.passes) = (instructionSet, graph, passes)
    }
  }

  /// Of the model.
  public var name: String
  /// Of the Pacer that writes.
  public var release: String
  /// A portable one first, then one for each of some instruction sets.
  public var variants: [Variant]
  /// Names of the passes to run on the portable variant, for what runs it.
  public var targetPasses: [String]
  /// A tensor for each input of the graphs, by its name, or none.
  public var inputs: [(name: String, tensor: Tensor)] = []

  public init(name: String, release: String, variants: [Variant], targetPasses: [String]) {
    (self.name, self.release, self.variants, self.targetPasses) = (name, release, variants, targetPasses)
  }

  /// Writes a file whole or not at all: beside its place first, then renamed over it. A link is written through.
  /// - Returns: its bytes.
  /// - Throws: ``BadFile`` where it cannot be written, or something else than a `.pacer` file is there; ``GraphError`` where the
  ///   graphs are wrong.
  @discardableResult public func write(to path: String) throws -> Int {
    let path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    let mode = try Self.modeOfFile(at: path)
    let layout = try PacerWriting(self)
    let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).tmp"
    func failed(_ words: String) -> BadFile { BadFile(path, "it cannot be written: \(words)") }
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failed(String(cString: strerror(errno))) }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    do {
      try layout.write { bytes in
        // No copy of the tensors.
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        let data = Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: start), count: bytes.count, deallocator: .none)
        try file.write(contentsOf: data)
      }
      // A file goes on being read by those who could, and by nobody else.
      if let mode, fchmod(descriptor, mode & 0o7777) != 0 {
        throw GraphError(String(cString: strerror(errno)))
      }
      try file.close()
    } catch {
      unlink(temporary)
      throw failed("\(error)")
    }
    guard rename(temporary, path) == 0 else {
      let words = String(cString: strerror(errno))
      unlink(temporary)
      throw failed(words)
    }
    return layout.byteCount
  }

  /// Sees to it that a file may be written there, as far as can be told without writing it.
  /// - Throws: ``BadFile`` where something else than a `.pacer` file is there.
  public static func checkPlace(_ path: String) throws {
    _ = try modeOfFile(at: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
  }

  /// Of a file that is there and may be written over; nil where nothing is.
  private static func modeOfFile(at path: String) throws -> mode_t? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size == 0 || PacerFile.isOne(path) else {
      throw BadFile(path, "it is there already and is no .pacer file: it is not written over")
    }
    return status.st_mode
  }

  /// What a file of it would be: how many bytes, and what hands them out in order.
  /// - Throws: ``GraphError`` where the graphs are wrong.
  package func file() throws -> (byteCount: Int, write: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void) {
    let layout = try PacerWriting(self)
    return (layout.byteCount, { try layout.write($0) })
  }

  /// The same in memory.
  /// - Throws: ``GraphError`` where the graphs are wrong.
  public func data() throws -> Data {
    let layout = try PacerWriting(self)
    var data = Data(capacity: layout.byteCount)
    layout.write { data.append(contentsOf: $0) }
    return data
  }
}

/// Contents with a place for everything.
private struct PacerWriting {
  let byteCount: Int
  /// Head, index and graphs.
  private let texts: Data
  private let tensors: TensorTable

  init(_ contents: PacerContents) throws {
    guard contents.variants.first.map({ $0.instructionSet == nil }) == true,
      Set(contents.variants.map(\.instructionSet)).count == contents.variants.count
    else { throw GraphError("a file holds a portable graph, and one for each of some instruction sets") }
    let reads = contents.variants[0].graph.inputs.map { contents.variants[0].graph[$0] }
    guard
      contents.inputs.isEmpty
        || contents.inputs.map(\.name) == reads.map(\.name)
          && contents.inputs.map(\.tensor.type) == reads.map(\.type)
    else {
      throw GraphError(
        "the model reads \(reads.map { "\($0.name) \($0.type)" }.joined(separator: ", ")): one input for each")
    }
    var (graphs, table) = (Data(), TensorTable())
    var index = PacerLayout.Index(
      name: contents.name, release: contents.release, targetPasses: contents.targetPasses, variants: [],
      inputs: contents.inputs.map(\.name), tensors: table.columns(contents.inputs.map(\.tensor)))
    for variant in contents.variants {
      let text = try table.text(of: variant.graph)
      let place = PacerLayout.Stretch(
        offset: graphs.count, length: text.count, digest: text.withUnsafeBytes(PacerLayout.digest).hex)
      graphs += text
      index.variants.append(
        .init(
          instructionSet: variant.instructionSet, passes: variant.passes, weightBytes: variant.graph.weightBytes,
          graph: place))
    }
    let text = try PacerLayout.encoder().encode(index)
    let end = PacerLayout.headLength + text.count + graphs.count
    let start = (end + PacerLayout.pageSize - 1) / PacerLayout.pageSize * PacerLayout.pageSize
    byteCount = start + table.byteCount
    let head = PacerLayout.Head(index: text, fileLength: byteCount, tensorOffset: start)
    (texts, tensors) = (head.data + text + graphs + Data(count: start - end), table)
  }

  func write(_ emit: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    try texts.withUnsafeBytes(emit)
    let padding = [UInt8](repeating: 0, count: Storage.alignment)
    var written = 0
    for (tensor, offset) in tensors.all {
      try padding.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[..<(offset - written)])) }
      try emit(UnsafeRawBufferPointer(start: tensor.storage.pointer, count: tensor.type.byteCount))
      withExtendedLifetime(tensor) {}
      written = offset + tensor.type.byteCount
    }
  }
}

/// The tensors of a file, each content once, with offsets from the first.
private struct TensorTable {
  private(set) var all: [(tensor: Tensor, offset: Int)] = []
  /// Behind the last.
  private(set) var byteCount = 0
  /// By digest and bytes: positions in `all`.
  private var known: [String: [Int]] = [:]
  /// By address and bytes, of tensors that are in `all` or equal to one that is: all are kept alive by the contents.
  private var places: [Int: (place: Place, byteCount: Int)] = [:]

  typealias Place = (offset: Int, digest: String)

  mutating func columns(_ tensors: [Tensor]) -> PacerLayout.Tensors {
    let places = tensors.map { place(of: $0) }
    return PacerLayout.Tensors(
      types: tensors.map(\.type), offsets: places.map(\.offset), digests: places.map(\.digest))
  }

  private mutating func place(of tensor: Tensor) -> Place {
    let (address, count) = (Int(bitPattern: tensor.storage.pointer), tensor.type.byteCount)
    if let known = places[address], known.byteCount == count { return known.place }
    let bytes = UnsafeRawBufferPointer(start: tensor.storage.pointer, count: count)
    let digest = PacerLayout.digest(bytes)
    let key = "\(digest.hex) \(count)"
    let same = known[key, default: []].first {
      memcmp(all[$0].tensor.storage.pointer, tensor.storage.pointer, count) == 0
    }
    var place = Place(0, digest.hex)
    if let same {
      place.offset = all[same].offset
    } else {
      place.offset = (byteCount + Storage.alignment - 1) / Storage.alignment * Storage.alignment
      known[key, default: []].append(all.count)
      all.append((tensor, place.offset))
      byteCount = place.offset + count
    }
    places[address] = (place, count)
    return place
  }

  /// A graph, with those that its nodes run, as a file has it.
  mutating func text(of graph: Graph) throws -> Data {
    try graph.verify()
    try graph.verifyWeights()
    let bodies = GraphBodies()
    bodies.append(bodiesOf: graph)
    var (numbers, tensors) = ([String: Int](), [Tensor]())
    let graphs = try (bodies.graphs + [graph]).map { graph in
      try StoredGraph(graph) { tensor in
        let key = "\(place(of: tensor).offset) \(tensor.type) \(tensor.type.quantization?.whole ?? "")"
        if let number = numbers[key] { return number }
        numbers[key] = tensors.count
        tensors.append(tensor)
        return tensors.count - 1
      }
    }
    let stored = columns(tensors)
    let encoder = PacerLayout.encoder()
    encoder.userInfo = [GraphBodies.key: bodies]
    return try encoder.encode(PacerLayout.StoredVariant(tensors: stored, graphs: graphs))
  }
}
