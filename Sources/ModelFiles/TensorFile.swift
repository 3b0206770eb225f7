import Foundation
import GraphCore
import TensorCore

/// A tensor as files hold it: elements in order, little-endian.
public struct TensorFile: Sendable, Equatable {
  /// Empty where the file says none.
  public var name = ""
  public var kind: DType
  public var shape: [Int]
  public var data: Data

  public init(name: String = "", kind: DType, shape: [Int], data: Data) {
    (self.name, self.kind, self.shape, self.data) = (name, kind, shape, data)
  }

  /// From a `.npy` or an ONNX `.pb` file.
  /// - Throws: ``BadFile``, or ``Unsupported`` where its elements are of another type than a ``DType``.
  public init(_ path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw BadFile(path, "it cannot be read: no such file, or no permission")
    }
    do {
      switch (path as NSString).pathExtension {
      case "npy": try self.init(numpy: data)
      case "pb": try self.init(onnx: data)
      default: throw Flaw("a tensor is a .npy or .pb file")
      }
    } catch let flaw as Flaw {
      throw flaw.isUnsupported ? Unsupported("\(path): \(flaw.reason)") : BadFile(path, flaw.reason) as any Error
    }
  }

  /// What is wrong with a file whose name is not known yet.
  struct Flaw: Error {
    var reason: String
    /// Whether the file may be right.
    var isUnsupported = false
    init(_ reason: String, isUnsupported: Bool = false) { (self.reason, self.isUnsupported) = (reason, isUnsupported) }
  }

  /// NumPy's format, versions 1 to 3.
  /// - Throws: ``Flaw``.
  init(numpy data: Data) throws {
    let bytes = [UInt8](data)
    guard bytes.count > 12, bytes.prefix(6).elementsEqual([0x93] + Array("NUMPY".utf8)) else {
      throw Flaw("it does not begin as a .npy file does")
    }
    let isShort = bytes[6] == 1
    let length =
      isShort ? Int(bytes[8]) | Int(bytes[9]) << 8 : (0..<4).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
    let start = (isShort ? 10 : 12) + length
    guard (1...3).contains(bytes[6]), start <= bytes.count else { throw Flaw("its head is cut off") }
    let head = String(decoding: bytes[(isShort ? 10 : 12)..<start], as: UTF8.self)
    guard let descr = head.firstMatch(of: #/'descr':\s*'([<>|=]?)([a-z][0-9]+)'/#),
      let order = head.firstMatch(of: #/'fortran_order':\s*(True|False)/#),
      let shape = head.firstMatch(of: #/'shape':\s*\(([0-9, ]*)\)/#)
    else { throw Flaw("its head names no type, order and shape") }
    guard let kind = DType.allCases.first(where: { $0.numpy == String(descr.2) }) else {
      throw Flaw("its elements are \(descr.2), which is not supported", isUnsupported: true)
    }
    guard descr.1 != ">" || kind.byteCount == 1 else {
      throw Flaw("its elements are big-endian; save them as <\(descr.2)")
    }
    guard order.1 == "False" else { throw Flaw("it is in Fortran's order; save numpy.ascontiguousarray of it") }
    try self.init(
      kind: kind, shape: shape.1.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) },
      bytes: data.dropFirst(start))
  }

  /// An ONNX tensor, as test data of models is kept.
  /// - Throws: ``Flaw``.
  init(onnx data: Data) throws {
    guard let tensor = try? Pacer_Onnx_Tensor(serializedBytes: data) else { throw Flaw("it is no ONNX tensor") }
    try self.init(tensor)
  }

  init(_ tensor: Pacer_Onnx_Tensor) throws {
    guard let kind = DType(onnx: tensor.dataType) else {
      throw Flaw("its elements are of ONNX's type \(tensor.dataType), which is not supported", isUnsupported: true)
    }
    guard tensor.dataLocation == 0 else { throw Flaw("its elements lie in another file") }
    var data = tensor.rawData
    func append<Value>(_ values: [Value]) { values.withUnsafeBytes { data.append(contentsOf: $0) } }
    if data.isEmpty {
      switch kind {
      case .float32: append(tensor.floatData)
      case .float64: append(tensor.doubleData)
      case .int64: append(tensor.int64Data)
      case .int32: append(tensor.int32Data)
      case .uint64: append(tensor.uint64Data)
      case .uint32: append(tensor.uint64Data.map { UInt32(truncatingIfNeeded: $0) })
      case .uint8, .int8, .bool: append(tensor.int32Data.map { UInt8(truncatingIfNeeded: $0) })
      case .uint16, .int16, .float16, .bfloat16: append(tensor.int32Data.map { UInt16(truncatingIfNeeded: $0) })
      }
    }
    try self.init(kind: kind, shape: tensor.dims.map(Int.init), bytes: data)
    name = tensor.name
  }

  private init(kind: DType, shape: [Int], bytes: Data) throws {
    guard let count = Self.byteCount(kind, shape) else { throw Flaw("its shape \(shape) is none") }
    guard bytes.count == count else {
      throw Flaw("its shape \(shape) needs \(count) bytes of \(kind.longName); it has \(bytes.count)")
    }
    self.init(kind: kind, shape: shape, data: Data(bytes))
  }

  /// Nil where the extents are none, or too large to be counted.
  public static func byteCount(_ kind: DType, _ shape: [Int]) -> Int? {
    var count = kind.byteCount
    for extent in shape {
      guard extent >= 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product < 1 << 40 else { return nil }
      count = product
    }
    return count
  }

  /// The elements as the numbers that outputs are compared by.
  public var floats: [Float] {
    func read<Value>(_ type: Value.Type, _ convert: (Value) -> Float) -> [Float] {
      data.withUnsafeBytes { raw in
        (0..<(raw.count / kind.byteCount)).map {
          convert(raw.loadUnaligned(fromByteOffset: $0 * kind.byteCount, as: type))
        }
      }
    }
    return switch kind {
    case .float32: read(Float.self) { $0 }
    case .float64: read(Double.self) { Float($0) }
    case .float16: read(Float16.self) { Float($0) }
    case .bfloat16: read(UInt16.self) { Float(BFloat16(bitPattern: $0)) }
    case .int64: read(Int64.self) { Float($0) }
    case .int32: read(Int32.self) { Float($0) }
    case .int16: read(Int16.self) { Float($0) }
    case .int8: read(Int8.self) { Float($0) }
    case .uint64: read(UInt64.self) { Float($0) }
    case .uint32: read(UInt32.self) { Float($0) }
    case .uint16: read(UInt16.self) { Float($0) }
    case .uint8, .bool: read(UInt8.self) { Float($0) }
    }
  }
}
