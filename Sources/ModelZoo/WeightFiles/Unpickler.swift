import TensorCore

/// Reads the pickle of a state dict, and runs nothing: a global is a name out of a short list, and what a pickle would have
/// called becomes a description of a tensor. Nothing here follows values into each other, so that depth costs nothing; memory
/// is bounded by the number of opcodes, whatever the file says.
///
/// Source: CPython's Lib/pickletools.py; which opcodes and names state dicts have, torch/_weights_only_unpickler.py.
struct Unpickler {
  /// More are refused: at some 35 a tensor, enough for 28 000 of them. The most that so many opcodes took was 150 MB, for
  /// 300 000 tensors of eight axes on one storage.
  static let mostOpcodes = 1_000_000
  /// Longer pickles are refused; MobileNetV2's has 40 KB.
  static let longest = 32 << 20
  /// Longer names of storages are refused; PyTorch numbers them.
  private static let longestKey = 256

  private var cursor: ByteCursor
  /// Of the pickle in the file.
  private let start: Int
  /// Of the opcode being read, from the beginning of the pickle.
  private var place = 0
  private var stack: [PickledValue] = []
  /// Where the parts of the stack begin that are to become one value.
  private var marks: [Int] = []
  private var memo: [Int: PickledValue] = [:]
  /// The first is the empty one.
  private var tuples: [[PickledValue]] = [[]]
  private var storages: [PickledStorage] = []
  private var pickle = Pickle(root: .none, dictionaries: [], tensors: [])

  private init(_ bytes: [UInt8], _ name: String, _ start: Int) {
    (cursor, self.start) = (ByteCursor(bytes, name), start)
  }

  /// - Parameters:
  ///   - name: of the pickle, for messages.
  ///   - start: where it begins in the file, for them too.
  /// - Throws: ``Flaw`` with the place.
  static func read(_ bytes: [UInt8], _ name: String, at start: Int) throws -> Pickle {
    var unpickler = Unpickler(bytes, name, start)
    for _ in 0..<mostOpcodes {
      unpickler.place = unpickler.cursor.position
      let opcode = try unpickler.cursor.number(UInt8.self)
      if opcode == UInt8(ascii: ".") {
        unpickler.pickle.root = try unpickler.pop()
        return unpickler.pickle
      }
      try unpickler.step(opcode)
    }
    throw Flaw("\(name) has more than \(mostOpcodes) opcodes, which no state dict needs")
  }

  private func flaw(_ reason: String) -> Flaw {
    Flaw("\(cursor.name) at byte \(place) (\(start + place) of the file) \(reason)")
  }

  // MARK: Opcodes

  private mutating func step(_ opcode: UInt8) throws {
    switch opcode {
    case 0x80:
      let version = try cursor.number(UInt8.self)
      guard (2...5).contains(version) else { throw flaw("is of pickle protocol \(version); 2 to 5 are read") }
    case 0x95: _ = try cursor.take(8)  // a frame's length
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): _ = try popToMark()
    case UInt8(ascii: "2"): stack.append(try top())
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.bool(true))
    case 0x89: stack.append(.bool(false))
    case UInt8(ascii: "K"): stack.append(.int(Int(try cursor.number(UInt8.self))))
    case UInt8(ascii: "M"): stack.append(.int(Int(try cursor.number(UInt16.self))))
    case UInt8(ascii: "J"): stack.append(.int(Int(try cursor.number(Int32.self))))
    case 0x8A: try appendLong(Int(cursor.number(UInt8.self)))
    case 0x8B: try appendLong(Int(cursor.number(UInt32.self)))
    case UInt8(ascii: "G"):
      _ = try cursor.take(8)
      stack.append(.other)
    case 0x8C, UInt8(ascii: "U"): try appendText(Int(cursor.number(UInt8.self)))
    case UInt8(ascii: "X"), UInt8(ascii: "T"): try appendText(Int(cursor.number(UInt32.self)))
    case 0x8D: try appendText(cursor.size())
    case UInt8(ascii: "C"): try skipBytes(Int(cursor.number(UInt8.self)))
    case UInt8(ascii: "B"): try skipBytes(Int(cursor.number(UInt32.self)))
    case 0x8E, 0x96: try skipBytes(cursor.size())
    case UInt8(ascii: ")"): stack.append(.tuple(0))
    case 0x85...0x87: try appendTuple(popLast(Int(opcode) - 0x84))
    case UInt8(ascii: "t"): try appendTuple(popToMark())
    case UInt8(ascii: "]"): stack.append(.list)
    case UInt8(ascii: "a"):
      _ = try pop()
      try expectList()
    case UInt8(ascii: "e"):
      _ = try popToMark()
      try expectList()
    case UInt8(ascii: "l"):
      _ = try popToMark()
      stack.append(.list)
    case UInt8(ascii: "}"): appendDictionary([])
    case UInt8(ascii: "d"):
      let items = try popToMark()
      appendDictionary(try pairs(items))
    case UInt8(ascii: "s"): try insert(popLast(2))
    case UInt8(ascii: "u"): try insert(popToMark())
    case UInt8(ascii: "q"): try remember(Int(cursor.number(UInt8.self)))
    case UInt8(ascii: "r"): try remember(Int(cursor.number(UInt32.self)))
    case 0x94: try remember(memo.count)
    case UInt8(ascii: "h"): try recall(Int(cursor.number(UInt8.self)))
    case UInt8(ascii: "j"): try recall(Int(cursor.number(UInt32.self)))
    case UInt8(ascii: "c"): try appendGlobal(module: line(), name: line())
    case 0x93:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else {
        throw flaw("names a global by something else than text")
      }
      try appendGlobal(module: module, name: name)
    case UInt8(ascii: "R"): try call()
    case UInt8(ascii: "b"): try build()
    case UInt8(ascii: "Q"): try appendStorage(pop())
    default:
      let character = (33...126).contains(opcode) ? " (\(Character(UnicodeScalar(opcode))))" : ""
      throw flaw("has the opcode \(opcode)\(character), which state dicts of tensors do not have")
    }
  }

  // MARK: Stack

  private func top() throws -> PickledValue {
    guard let value = stack.last, stack.count > (marks.last ?? 0) else {
      throw flaw("takes a value from an empty stack")
    }
    return value
  }

  private mutating func pop() throws -> PickledValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func popLast(_ count: Int) throws -> [PickledValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw flaw("takes \(count) values from a stack with fewer") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws -> [PickledValue] {
    guard let mark = marks.popLast() else { throw flaw("ends what has no beginning") }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private mutating func remember(_ index: Int) throws { memo[index] = try top() }

  private mutating func recall(_ index: Int) throws {
    guard let value = memo[index] else { throw flaw("recalls value \(index), which it has not had") }
    stack.append(value)
  }

  // MARK: Values

  private mutating func appendLong(_ count: Int) throws {
    let bytes = try cursor.take(count)
    guard count <= 8 else { return stack.append(.other) }
    let negative = (bytes.last ?? 0) & 0x80 != 0
    stack.append(.int(bytes.reversed().reduce(negative ? -1 : 0) { $0 << 8 | Int($1) }))
  }

  private mutating func appendText(_ count: Int) throws {
    stack.append(.text(String(decoding: try cursor.take(count), as: UTF8.self)))
  }

  private mutating func skipBytes(_ count: Int) throws {
    _ = try cursor.take(count)
    stack.append(.other)
  }

  private mutating func appendTuple(_ values: [PickledValue]) {
    stack.append(.tuple(tuples.count))
    tuples.append(values)
  }

  private func expectList() throws {
    guard case .list = try top() else { throw flaw("appends to what is no list") }
  }

  private mutating func appendDictionary(_ pairs: [(key: PickledValue, value: PickledValue)]) {
    stack.append(.dictionary(pickle.dictionaries.count))
    pickle.dictionaries.append(pairs)
  }

  private func pairs(_ values: [PickledValue]) throws -> [(key: PickledValue, value: PickledValue)] {
    guard values.count % 2 == 0 else { throw flaw("has a key without a value") }
    return stride(from: 0, to: values.count, by: 2).map { (values[$0], values[$0 + 1]) }
  }

  private mutating func insert(_ items: [PickledValue]) throws {
    guard case .dictionary(let index) = try top() else { throw flaw("sets items of what is no dictionary") }
    pickle.dictionaries[index] += try pairs(items)
  }

  // MARK: Globals and what is made with them

  /// Up to the end of the line; no name in question is longer.
  private mutating func line() throws -> String {
    var bytes: [UInt8] = []
    while bytes.count < 512 {
      let byte = try cursor.number(UInt8.self)
      if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
    throw flaw("has a name of more than \(bytes.count) bytes")
  }

  private mutating func appendGlobal(module: String, name: String) throws {
    guard let global = PickledGlobal(module: module, name: name) else {
      throw flaw(
        "names \(FileText.name("\(module).\(name)")): only state dicts of tensors are read, no code is run; "
          + "save what model.state_dict() gives, and nothing else")
    }
    stack.append(.global(global))
  }

  private func arguments(_ value: PickledValue) throws -> [PickledValue] {
    guard case .tuple(let index) = value else { throw flaw("has no tuple where one is needed") }
    return tuples[index]
  }

  private func size(_ value: PickledValue) throws -> Int {
    guard case .int(let size) = value, size >= 0 else { throw flaw("has no size where one is needed") }
    return size
  }

  private mutating func call() throws {
    let value = try pop()
    let arguments = try arguments(value)
    guard case .global(let global) = try pop() else { throw flaw("calls what is no function") }
    switch global {
    case .orderedDictionary where arguments.isEmpty: appendDictionary([])
    case .tensor where (6...7).contains(arguments.count):
      try appendTensor(arguments, type: nil, metadata: arguments.dropFirst(6).first)
    case .typedTensor where (7...8).contains(arguments.count):
      guard case .global(.type(let type)) = arguments[6] else { throw flaw("makes a tensor of no type") }
      try appendTensor(arguments, type: type, metadata: arguments.dropFirst(7).first)
    case .parameter where arguments.count == 3, .parameterWithState where arguments.count == 4:
      guard case .tensor = arguments[0] else { throw flaw("makes a parameter of what is no tensor") }
      stack.append(arguments[0])
    default: throw flaw("makes something of \(arguments.count) arguments that is no dictionary, tensor or parameter")
    }
  }

  /// Storage, offset, shape, strides, whether it has a gradient, hooks.
  private mutating func appendTensor(
    _ arguments: [PickledValue], type: FileElement?, metadata: PickledValue?
  ) throws {
    guard case .storage(let storage) = arguments[0] else { throw flaw("makes a tensor of what is no storage") }
    let (shape, strides) = (try self.arguments(arguments[2]), try self.arguments(arguments[3]))
    guard shape.count == strides.count, shape.count <= TensorType.highestRank else {
      throw flaw("makes a tensor of \(shape.count) extents and \(strides.count) strides")
    }
    var isTransformed = false
    if case .dictionary(let index) = metadata { isTransformed = !pickle.dictionaries[index].isEmpty }
    stack.append(.tensor(pickle.tensors.count))
    pickle.tensors.append(
      PickledTensor(
        storage: storages[storage], type: type, offset: try size(arguments[1]), shape: try shape.map(size),
        strides: try strides.map(size), isTransformed: isTransformed))
  }

  /// What is outside of the pickle: ("storage", class, key, device, elements).
  private mutating func appendStorage(_ value: PickledValue) throws {
    let parts = try arguments(value)
    guard parts.count == 5, parts[0] == .text("storage"), case .global(.storage(let type)) = parts[1],
      case .text(let key) = parts[2], key.utf8.count <= Self.longestKey
    else { throw flaw("refers to what is no storage") }
    stack.append(.storage(storages.count))
    storages.append(PickledStorage(type: type, key: key, count: try size(parts[4])))
  }

  /// Attributes of a dictionary, such as the versions of modules: nothing asks for them.
  private mutating func build() throws {
    _ = try pop()
    guard case .dictionary = try top() else { throw flaw("gives attributes to what is no dictionary") }
  }
}
