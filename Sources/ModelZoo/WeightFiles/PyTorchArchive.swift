import TensorCore

/// What `torch.save` writes since PyTorch 1.6 of a state dict, or of a checkpoint with state dicts in it: a zip archive with a
/// pickle, `NAME/data.pkl`, that describes the tensors, and their storages, `NAME/data/0` and so on, as they lie in memory.
///
/// Source: https://docs.pytorch.org/docs/stable/notes/serialization.html, "Serialized file format".
struct PyTorchArchive {
  /// Deeper dictionaries are passed over: no checkpoint keeps its weights there.
  private static let deepest = 8

  private let zip: ZipArchive
  /// What stands before the entries' names.
  private let folder: String
  private let pickle: Pickle
  /// Places of storages, by their keys.
  private var places: [String: Range<Int>] = [:]

  /// - Throws: ``Flaw``.
  static func read(_ file: FileBytes) throws -> (sets: [WeightFile.Tensors], contents: String?) {
    var archive = try PyTorchArchive(file)
    return try archive.sets()
  }

  private init(_ file: FileBytes) throws {
    zip = try ZipArchive(file)
    let names = zip.names
    guard let name = names.first(where: { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }) else {
      throw Flaw(
        "it is a zip archive of \(FileText.list(names, atMost: 3)), and not one that torch.save wrote: it has no data.pkl; "
          + Self.advice)
    }
    let folder = String(name.dropLast("data.pkl".count))
    self.folder = folder
    if let script = names.first(where: { $0 == folder + "constants.pkl" || $0.hasPrefix(folder + "code/") }) {
      throw Flaw("it is a TorchScript archive, with \(FileText.name(script)) in it, which is a program: \(Self.advice)")
    }
    if zip.has(folder + "byteorder") {
      let order = String(decoding: try zip.read(folder + "byteorder", atMost: 64).bytes, as: UTF8.self)
      guard order == "little" else {
        throw Flaw("its numbers are \(FileText.name(order))-endian: save it on a little-endian machine")
      }
    }
    let (bytes, start) = try zip.read(name, atMost: Unpickler.longest)
    pickle = try Unpickler.read(bytes, FileText.name(name), at: start)
  }

  private static let advice = "save it with torch.save(model.state_dict(), \"weights.pth\")"

  /// All dictionaries that hold tensors, the outer ones first.
  private mutating func sets() throws -> (sets: [WeightFile.Tensors], contents: String?) {
    guard case .dictionary(let root) = pickle.root else {
      throw Flaw("it holds no dictionary: \(Self.advice)")
    }
    var (sets, seen, level) = ([WeightFile.Tensors](), Set([root]), [(index: root, keys: [String]())])
    for _ in 0..<Self.deepest where !level.isEmpty {
      var next: [(index: Int, keys: [String])] = []
      for (index, keys) in level {
        var tensors: [String: StoredTensor] = [:]
        for (key, value) in pickle.dictionaries[index] {
          switch value {
          case .tensor(let number):
            guard let name = Self.text(key) else { continue }
            do { tensors[name] = try stored(pickle.tensors[number]) } catch let flaw as Flaw {
              throw Flaw("tensor \(FileText.name((keys + [name]).joined(separator: "."))) \(flaw.reason)")
            }
          case .dictionary(let inner):
            // One that stands in two places is one.
            guard let name = Self.text(key), seen.insert(inner).inserted else { continue }
            next.append((inner, keys + [name]))
          default: continue
          }
        }
        if !tensors.isEmpty { sets.append(WeightFile.Tensors(keys: keys, tensors: tensors)) }
      }
      level = next
    }
    let keys = pickle.dictionaries[root].compactMap { Self.text($0.key) }
    guard !sets.isEmpty else {
      throw Flaw(
        keys.isEmpty
          ? "its dictionary is empty"
          : "it holds no tensors by name: its keys are \(FileText.list(keys)); \(Self.advice)")
    }
    let isPlain = sets.count == 1 && sets[0].keys.isEmpty
    return (sets, isPlain ? nil : "its keys are \(FileText.list(keys))")
  }

  /// Longer names are passed over: one could stand in a hundred thousand dictionaries.
  private static let longestName = 1024

  private static func text(_ key: PickledValue) -> String? {
    switch key {
    case .text(let text): text.utf8.count <= longestName ? text : nil
    case .int(let number): "\(number)"
    default: nil
    }
  }

  /// Where a tensor lies, after all that the pickle says of it has been held against the file.
  private mutating func stored(_ tensor: PickledTensor) throws -> StoredTensor {
    guard !tensor.isTransformed else {
      throw Flaw("is a negative or conjugate view of others: save its resolve_neg() or resolve_conj()")
    }
    guard let type = tensor.type ?? tensor.storage.type else { throw Flaw("has no type") }
    let shape = Shape(tensor.shape)
    guard let extent = StoredTensor.extent(shape, tensor.strides) else {
      throw Flaw("has shape \(FileText.shape(tensor.shape)) and strides \(FileText.shape(tensor.strides))")
    }
    let bytes = try place(of: tensor.storage.key)
    let strides = StoredTensor.isInOrder(shape, tensor.strides) ? nil : tensor.strides
    // Of a type that is not read nobody knows where it ends: it is not read.
    guard let width = type.byteCount else {
      return StoredTensor(type: type, shape: shape, offset: bytes.lowerBound, strides: strides)
    }
    let (stored, isTooLarge) = tensor.storage.count.multipliedReportingOverflow(
      by: tensor.storage.type == nil ? 1 : tensor.storage.type?.byteCount ?? width)
    guard !isTooLarge, stored <= bytes.count else {
      throw Flaw(
        "is of a storage with \(tensor.storage.count) elements, \(FileText.name(folder + "data/" + tensor.storage.key)) has "
          + "\(bytes.count) bytes at byte \(bytes.lowerBound)")
    }
    guard tensor.offset <= stored / width, extent <= stored / width - tensor.offset else {
      throw Flaw(
        "needs \(extent) elements behind the first \(tensor.offset) of a storage that has \(stored / width), at byte "
          + "\(bytes.lowerBound)")
    }
    return StoredTensor(type: type, shape: shape, offset: bytes.lowerBound + tensor.offset * width, strides: strides)
  }

  private mutating func place(of key: String) throws -> Range<Int> {
    if let place = places[key] { return place }
    do {
      let place = try zip.place(of: folder + "data/" + key)
      places[key] = place
      return place
    } catch let flaw as Flaw { throw Flaw("has no storage: \(flaw.reason)") }
  }
}
