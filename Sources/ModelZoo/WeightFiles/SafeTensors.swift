import Foundation
import TensorCore

/// Reads the safetensors format: eight bytes of header length, a JSON header, the tensors' bytes.
/// Source: https://github.com/huggingface/safetensors, "Format". Every number in a file is doubted.
public enum SafeTensors {
  public struct FormatError: Error, CustomStringConvertible {
    public let description: String
  }

  /// All tensors of a file, by name. int64 stays; float16, bfloat16 and float64 become float32.
  /// - Throws: ``FormatError`` that names the file and what is wrong with it.
  public static func read(_ path: String) throws -> [String: Tensor] {
    let file = try File(path)
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name) }
    return tensors
  }

  /// An open file, whose tensors are read one by one: no more of it is in memory than was asked for.
  final class File {
    private struct Entry: Decodable {
      var dtype: String
      var shape: [Int]
      var data_offsets: [Int]
    }

    private let path: String
    private let descriptor: Int32
    private let entries: [String: Entry]
    /// Where the tensors begin.
    private let start: Int

    /// In order.
    var names: [String] { entries.keys.sorted() }

    /// Longer headers are refused, as by the format's own reader.
    private static let longestHeader = 100_000_000

    init(_ path: String) throws {
      self.path = path
      descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      var status = stat()
      guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
        throw FormatError(description: "\(path) cannot be read: \(String(cString: strerror(errno)))")
      }
      guard status.st_mode & S_IFMT == S_IFREG else {
        close(descriptor)
        throw FormatError(description: "\(path) cannot be read: it is no regular file")
      }
      let size = Int(status.st_size)
      do {
        let length = try Self.headerLength(descriptor, size: size)
        start = 8 + length
        entries = try Self.header(descriptor, length: length)
        try Self.check(entries, available: size - start)
      } catch let error as FormatError {
        close(descriptor)
        throw Self.invalid(path, error)
      }
    }

    deinit { close(descriptor) }

    private static func invalid(_ path: String, _ error: FormatError) -> FormatError {
      FormatError(description: "\(path) is no valid safetensors file: \(error.description)")
    }

    private static func headerLength(_ descriptor: Int32, size: Int) throws -> Int {
      guard size >= 8, let data = read(descriptor, 0, 8) else {
        throw FormatError(description: "\(size) bytes are too few for a header")
      }
      let length = data.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
      guard length <= UInt64(size - 8) else {
        throw FormatError(description: "the header claims \(length) bytes, the file has \(size - 8) behind its length")
      }
      guard length <= longestHeader else { throw FormatError(description: "a header of \(length) bytes is too long") }
      return Int(length)
    }

    private static func header(_ descriptor: Int32, length: Int) throws -> [String: Entry] {
      guard let data = read(descriptor, 8, length),
        var object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
      else { throw FormatError(description: "the header is not a JSON object of tensors") }
      if let twice = repeatedKey(data) { throw FormatError(description: "tensor \(twice) is there twice") }
      object["__metadata__"] = nil
      do {
        return try JSONDecoder().decode([String: Entry].self, from: JSONSerialization.data(withJSONObject: object))
      } catch {
        throw FormatError(description: "the header is not a JSON object of tensors")
      }
    }

    /// A key that the outermost object of valid JSON has twice: a reader of JSON keeps one of them without a word.
    private static func repeatedKey(_ json: Data) -> String? {
      var (depth, isInside, isEscaped, isKey) = (0, false, false, false)
      var (text, seen) = ([UInt8](), Set<[UInt8]>())
      for byte in json {
        if isInside {
          if !isEscaped && byte == UInt8(ascii: "\"") {
            isInside = false
            if depth == 1 && isKey && !seen.insert(text).inserted { return String(decoding: text, as: UTF8.self) }
          } else {
            text.append(byte)
          }
          isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
          continue
        }
        switch byte {
        case UInt8(ascii: "\""): (isInside, text) = (true, [])
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          isKey = true
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        case UInt8(ascii: ":"): if depth == 1 { isKey = false }
        case UInt8(ascii: ","): if depth == 1 { isKey = true }
        default: break
        }
      }
      return nil
    }

    private static let widths = [
      "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1,
      "U8": 1,
      "BOOL": 1,
    ]

    /// The tensors lie one after the other and fill the file.
    private static func check(_ entries: [String: Entry], available: Int) throws {
      for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
        guard let count = Shape(entry.shape).elementCount, count <= available else {
          throw FormatError(description: "tensor \(name) has shape \(entry.shape)")
        }
        let offsets = entry.data_offsets
        guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= available else {
          throw FormatError(
            description: "tensor \(name) lies at \(offsets), the file has \(available) bytes of tensors")
        }
        guard let width = widths[entry.dtype] else { continue }
        guard offsets[1] - offsets[0] == count * width else {
          throw FormatError(
            description:
              "tensor \(name) of shape \(entry.shape) needs \(count * width) bytes, the file gives \(offsets[1] - offsets[0])"
          )
        }
      }
      var end = 0
      for (name, entry) in entries.sorted(by: {
        ($0.value.data_offsets[0], $0.value.data_offsets[1]) < ($1.value.data_offsets[0], $1.value.data_offsets[1])
      }) {
        guard entry.data_offsets[0] == end else {
          let fault =
            entry.data_offsets[0] < end ? "overlaps the one before it" : "leaves bytes before it that are no tensor's"
          throw FormatError(description: "tensor \(name) \(fault)")
        }
        end = entry.data_offsets[1]
      }
      guard end == available else {
        throw FormatError(description: "\(available - end) bytes at the end of the file are no tensor's")
      }
    }

    private static func read(_ descriptor: Int32, _ offset: Int, _ count: Int) -> Data? {
      var data = Data(count: count)
      return data.withUnsafeMutableBytes { read(descriptor, offset, $0) } ? data : nil
    }

    /// Whether the file had as much there.
    private static func read(_ descriptor: Int32, _ offset: Int, _ bytes: UnsafeMutableRawBufferPointer) -> Bool {
      var done = 0
      while done < bytes.count {
        let count = pread(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      return true
    }

    /// One tensor; what is narrower or wider than float32 becomes float32.
    /// - Throws: ``FormatError`` for a type that is not understood.
    func tensor(_ name: String) throws -> Tensor {
      guard let entry = entries[name] else { throw FormatError(description: "\(path) has no tensor \(name)") }
      guard ["F32", "I64", "F16", "BF16", "F64"].contains(entry.dtype) else {
        throw Self.invalid(
          path, FormatError(description: "tensor \(name) is \(entry.dtype); F32, F16, BF16, F64 and I64 are understood")
        )
      }
      let tensor = try Tensor(
        uninitialized: TensorType(Shape(entry.shape), entry.dtype == "I64" ? .int64 : .float32))
      let offset = start + entry.data_offsets[0]
      let isRead =
        switch entry.dtype {
        case "F16": widen(into: tensor, from: offset, UInt16.self, Self.half)
        case "BF16": widen(into: tensor, from: offset, UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case "F64": widen(into: tensor, from: offset, Double.self) { Float($0) }
        default:
          // Straight to its place: what loading takes is what the tensors take, as with weights that are made.
          Self.read(
            descriptor, offset,
            UnsafeMutableRawBufferPointer(
              start: tensor.storage.pointer, count: entry.data_offsets[1] - entry.data_offsets[0]))
        }
      guard isRead else { throw FormatError(description: "\(path) ended while tensor \(name) was read") }
      return tensor
    }

    private func widen<Element: BitwiseCopyable>(
      into tensor: Tensor, from offset: Int, _: Element.Type, _ value: (Element) -> Float
    ) -> Bool {
      let (floats, size) = (tensor.floats, MemoryLayout<Element>.stride)
      let some = UnsafeMutableBufferPointer<Element>.allocate(capacity: 1 << 14)
      defer { some.deallocate() }
      for first in stride(from: 0, to: floats.count, by: some.count) {
        let count = min(some.count, floats.count - first)
        let bytes = UnsafeMutableRawBufferPointer(start: some.baseAddress, count: count * size)
        guard Self.read(descriptor, offset + first * size, bytes) else { return false }
        for i in 0..<count { floats[first + i] = value(some[i]) }
      }
      return true
    }

    /// The value of an IEEE binary16.
    static func half(_ bits: UInt16) -> Float {
      let (sign, exponent, fraction) = (UInt32(bits >> 15) << 31, UInt32(bits >> 10 & 31), UInt32(bits & 1023))
      switch exponent {
      case 0:
        // Zero, and numbers without a leading one: exact in float32.
        let value = Float(fraction) * 0x1p-24
        return sign == 0 ? value : -value
      case 31: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
      default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
      }
    }
  }
}
