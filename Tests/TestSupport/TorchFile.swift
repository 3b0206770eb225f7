import Foundation

/// A value for a pickle, as `torch.save` writes them: just enough to say what a state dict says, and what it should not.
public indirect enum Pickled: Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case text(String)
  case tuple([Pickled])
  case list([Pickled])
  case dictionary([(String, Pickled)])
  case global(String, String)
  /// A function of the same module path and name, called with arguments.
  case call(Pickled, [Pickled])
  case persistent(Pickled)
  /// Opcodes as they are.
  case raw([UInt8])

  /// A tensor of a storage; in elements.
  public static func tensor(
    _ storage: String = "FloatStorage", key: String = "0", count: Int, offset: Int = 0, _ shape: [Int],
    strides: [Int]? = nil
  ) -> Pickled {
    var (steps, step) = ([Int](), 1)
    for extent in shape.reversed() {
      steps.insert(step, at: 0)
      step *= extent
    }
    return .call(
      .global("torch._utils", "_rebuild_tensor_v2"),
      [
        .storage(.global("torch", storage), key: key, count: count), .int(offset), .tuple(shape.map(Pickled.int)),
        .tuple((strides ?? steps).map(Pickled.int)), .bool(false), .ordered([]),
      ])
  }

  public static func storage(_ type: Pickled, key: String, count: Int) -> Pickled {
    .persistent(.tuple([.text("storage"), type, .text(key), .text("cpu"), .int(count)]))
  }

  public static func ordered(_ items: [(String, Pickled)]) -> Pickled {
    let empty = Pickled.call(.global("collections", "OrderedDict"), [])
    return items.isEmpty ? empty : .raw(empty.opcodes + items.setItems)
  }

  public static func parameter(_ tensor: Pickled) -> Pickled {
    .call(.global("torch._utils", "_rebuild_parameter"), [tensor, .bool(true), .ordered([])])
  }

  var opcodes: [UInt8] {
    func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
      withUnsafeBytes(of: number.littleEndian) { [UInt8]($0) }
    }
    switch self {
    case .none: return Array("N".utf8)
    case .bool(let value): return [value ? 0x88 : 0x89]
    case .int(let value):
      if let byte = UInt8(exactly: value) { return Array("K".utf8) + [byte] }
      if let word = Int32(exactly: value) { return Array("J".utf8) + little(word) }
      return [0x8A, 8] + little(Int64(value))
    case .float(let value): return Array("G".utf8) + little(value.bitPattern).reversed()
    case .text(let text): return Array("X".utf8) + little(UInt32(text.utf8.count)) + Array(text.utf8)
    case .tuple(let values): return Array("(".utf8) + values.flatMap(\.opcodes) + Array("t".utf8)
    case .list(let values): return Array("](".utf8) + values.flatMap(\.opcodes) + Array("e".utf8)
    case .dictionary(let items): return Array("}".utf8) + items.setItems
    case .global(let module, let name): return Array("c\(module)\n\(name)\n".utf8)
    case .call(let function, let arguments):
      return function.opcodes + Pickled.tuple(arguments).opcodes + Array("R".utf8)
    case .persistent(let value): return value.opcodes + Array("Q".utf8)
    case .raw(let opcodes): return opcodes
    }
  }

  /// The whole pickle.
  public var pickle: [UInt8] { [0x80, 2] + opcodes + Array(".".utf8) }
}

extension [(String, Pickled)] {
  fileprivate var setItems: [UInt8] {
    Array<UInt8>("(".utf8) + flatMap { Pickled.text($0).opcodes + $1.opcodes } + Array<UInt8>("u".utf8)
  }
}

/// An entry of a zip archive that is stored as it is, or says that it is not.
public struct ZipEntry: Sendable {
  public var name: String
  public var bytes: [UInt8]
  public var method: UInt16 = 0
  public var flags: UInt16 = 0x808

  public init(_ name: String, _ bytes: [UInt8], method: UInt16 = 0, flags: UInt16 = 0x808) {
    (self.name, self.bytes, self.method, self.flags) = (name, bytes, method, flags)
  }
}

/// A zip archive as PyTorch writes them: sizes in the directory alone, with or without the records of zip64.
/// - Parameter areSizesLong: whether each entry's sizes are in a zip64 field, as those of more than 4 GiB are.
public func zipArchive(_ entries: [ZipEntry], hasLargeRecord: Bool = true, areSizesLong: Bool = false) -> Data {
  var (data, directory) = (Data(), Data())
  func add<Number: FixedWidthInteger>(_ number: Number, to data: inout Data) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }
  for entry in entries {
    let (start, count) = (data.count, entry.bytes.count)
    add(UInt32(0x0403_4B50), to: &data)
    for field in [0, entry.flags, entry.method, 0, 0] { add(field, to: &data) }
    for _ in 0..<3 { add(UInt32(0), to: &data) }
    // Storages begin at multiples of 64 bytes.
    let padding = (64 - (start + 30 + entry.name.utf8.count + 4) % 64) % 64
    for field in [entry.name.utf8.count, padding + 4] { add(UInt16(field), to: &data) }
    data += Array(entry.name.utf8) + [0x46, 0x42, UInt8(padding), 0] + [UInt8](repeating: 0x5A, count: padding)
    data += entry.bytes
    add(UInt32(0x0201_4B50), to: &directory)
    for field in [0, 0, entry.flags, entry.method, 0, 0] { add(field, to: &directory) }
    add(UInt32(0), to: &directory)
    for size in [count, count] { add(areSizesLong ? .max : UInt32(size), to: &directory) }
    for field in [entry.name.utf8.count, areSizesLong ? 28 : 0, 0, 0, 0] { add(UInt16(field), to: &directory) }
    add(UInt32(0), to: &directory)
    add(areSizesLong ? .max : UInt32(start), to: &directory)
    directory += Array(entry.name.utf8)
    if areSizesLong {
      for field in [1, 24] as [UInt16] { add(field, to: &directory) }
      for size in [count, count, start] { add(UInt64(size), to: &directory) }
    }
  }
  let start = data.count
  data += directory
  let end = data.count
  if hasLargeRecord {
    add(UInt32(0x0606_4B50), to: &data)
    add(UInt64(44), to: &data)
    for field in [0x031E, 45] as [UInt16] { add(field, to: &data) }
    for _ in 0..<2 { add(UInt32(0), to: &data) }
    for size in [entries.count, entries.count, directory.count, start] { add(UInt64(size), to: &data) }
    add(UInt32(0x0706_4B50), to: &data)
    add(UInt32(0), to: &data)
    add(UInt64(end), to: &data)
    add(UInt32(1), to: &data)
  }
  add(UInt32(0x0605_4B50), to: &data)
  for field in [0, 0, entries.count, entries.count] { add(UInt16(field), to: &data) }
  for size in [directory.count, start] { add(UInt32(size), to: &data) }
  add(UInt16(0), to: &data)
  return data
}

/// What `torch.save` writes of a value, with its storages by their keys.
public func torchFile(
  _ root: Pickled, _ storages: [String: [UInt8]], order: String? = "little", more: [ZipEntry] = [],
  hasLargeRecord: Bool = true, areSizesLong: Bool = false
) -> Data {
  zipArchive(
    [ZipEntry("model/data.pkl", root.pickle)] + (order.map { [ZipEntry("model/byteorder", Array($0.utf8))] } ?? [])
      + storages.sorted { $0.key < $1.key }.map { ZipEntry("model/data/\($0.key)", $0.value) }
      + [ZipEntry("model/version", Array("3\n".utf8))] + more,
    hasLargeRecord: hasLargeRecord, areSizesLong: areSizesLong)
}

/// Elements as they lie in a file.
public func fileBytes<Element: BitwiseCopyable>(_ elements: [Element]) -> [UInt8] {
  elements.withUnsafeBytes { [UInt8]($0) }
}
