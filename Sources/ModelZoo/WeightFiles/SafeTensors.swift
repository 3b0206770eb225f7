import Foundation
import TensorCore

/// Reads the safetensors format: eight bytes of header length, a JSON header, the tensors' bytes.
/// Source: https://github.com/huggingface/safetensors, "Format". Every number in a file is doubted.
enum SafeTensors {
  private struct Entry: Decodable {
    var dtype: String
    var shape: [Int]
    var data_offsets: [Int]
  }

  /// Longer headers are refused, as by the format's own reader.
  private static let longestHeader = 100_000_000

  /// Whether a file that begins so is one, right or damaged: the length of its header may begin with any two bytes, those of
  /// an archive or a pickle too.
  static func isLikely(_ start: [UInt8], of count: Int) -> Bool {
    var cursor = ByteCursor(start, "")
    guard let length = try? cursor.number(UInt64.self), let first = try? cursor.number(UInt8.self) else { return false }
    return length <= UInt64(count) && first == UInt8(ascii: "{")
  }

  /// Where each tensor lies. One of a type that is not read is there too: it may be one that nobody needs.
  /// - Throws: ``Flaw``.
  static func read(_ file: FileBytes) throws -> [String: StoredTensor] {
    let start: Int
    do { start = try headerLength(file) + 8 } catch let flaw as Flaw {
      throw Flaw("it is neither a safetensors file nor one that torch.save wrote: \(flaw.reason)")
    }
    do {
      let entries = try header(file.read(start - 8, at: 8))
      try check(entries, available: file.count - start)
      return entries.mapValues {
        StoredTensor(
          type: FileElement(safetensors: $0.dtype), shape: Shape($0.shape), offset: start + $0.data_offsets[0])
      }
    } catch let flaw as Flaw { throw Flaw("it is no valid safetensors file: \(flaw.reason)") }
  }

  private static func headerLength(_ file: FileBytes) throws -> Int {
    guard file.count >= 8 else { throw Flaw("\(file.count) bytes are too few for a header") }
    var cursor = ByteCursor(try file.read(8, at: 0), "the header")
    let length = try cursor.number(UInt64.self)
    guard length <= UInt64(file.count - 8) else {
      throw Flaw("the header claims \(length) bytes, the file has \(file.count - 8) behind its length")
    }
    guard length <= longestHeader else { throw Flaw("a header of \(length) bytes is too long") }
    return Int(length)
  }

  private static func header(_ bytes: [UInt8]) throws -> [String: Entry] {
    guard var object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
      throw Flaw("the header is not a JSON object of tensors")
    }
    if let twice = repeatedKey(bytes) { throw Flaw("tensor \(FileText.name(twice)) is there twice") }
    object["__metadata__"] = nil
    do {
      return try JSONDecoder().decode([String: Entry].self, from: JSONSerialization.data(withJSONObject: object))
    } catch {
      throw Flaw("the header is not a JSON object of tensors")
    }
  }

  /// A key that the outermost object of valid JSON has twice: a reader of JSON keeps one of them without a word.
  private static func repeatedKey(_ json: [UInt8]) -> String? {
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

  /// The tensors lie one after the other and fill the file.
  private static func check(_ entries: [String: Entry], available: Int) throws {
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      let (shown, width) = (FileText.name(name), FileElement(safetensors: entry.dtype).byteCount)
      let offsets = entry.data_offsets
      guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= available else {
        throw Flaw("tensor \(shown) lies at \(offsets.prefix(3)), the file has \(available) bytes of tensors")
      }
      // Of what is not read, several elements may share a byte.
      guard let count = Shape(entry.shape).elementCount, count <= available || width == nil else {
        throw Flaw("tensor \(shown) has shape \(FileText.shape(entry.shape))")
      }
      guard let width else { continue }
      guard offsets[1] - offsets[0] == count * width else {
        throw Flaw(
          "tensor \(shown) of shape \(FileText.shape(entry.shape)) needs \(count * width) bytes, the file gives \(offsets[1] - offsets[0])"
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
        throw Flaw("tensor \(FileText.name(name)) \(fault)")
      }
      end = entry.data_offsets[1]
    }
    guard end == available else {
      throw Flaw("\(available - end) bytes at the end of the file are no tensor's")
    }
  }
}
