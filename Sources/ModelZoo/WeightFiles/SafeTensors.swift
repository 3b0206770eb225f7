import Foundation
import TensorCore

/// Reads the safetensors format: eight bytes of header length, a JSON header, the tensors' bytes.
/// Source: https://github.com/huggingface/safetensors, "Format". Every number in a file is doubted.
public enum SafeTensors {
  public struct FormatError: Error, CustomStringConvertible {
    public let description: String
  }

  private struct Entry: Decodable {
    var dtype: String
    var shape: [Int]
    var data_offsets: [Int]
  }

  /// All tensors of a file, by name. float32 and int64 are understood.
  public static func read(_ path: String) throws -> [String: Tensor] {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) } catch {
      throw FormatError(description: "\(path) cannot be read: no such file, or no permission")
    }
    do { return try parse(data) } catch let error as FormatError {
      throw FormatError(description: "\(path) is no valid safetensors file: \(error.description)")
    }
  }

  static func parse(_ data: Data) throws -> [String: Tensor] {
    func fail(_ text: String) -> FormatError { FormatError(description: text) }
    guard data.count >= 8 else { throw fail("\(data.count) bytes are too few for a header") }
    let length = data.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    guard length <= UInt64(data.count - 8) else {
      throw fail("the header claims \(length) bytes, the file has \(data.count - 8) behind its length")
    }
    let start = data.startIndex + 8 + Int(length)
    let header: [String: Entry]
    do {
      var object = try JSONSerialization.jsonObject(with: data[(data.startIndex + 8)..<start]) as? [String: Any] ?? [:]
      object["__metadata__"] = nil
      header = try JSONDecoder().decode([String: Entry].self, from: JSONSerialization.data(withJSONObject: object))
    } catch { throw fail("the header is not a JSON object of tensors") }

    let available = data.endIndex - start
    var tensors: [String: Tensor] = [:]
    for (name, entry) in header {
      guard let dtype = ["F32": DType.float32, "I64": DType.int64][entry.dtype] else {
        throw fail("tensor \(name) is \(entry.dtype); F32 and I64 are understood")
      }
      var count = 1
      for extent in entry.shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard extent >= 0, !overflow, product <= available else {
          throw fail("tensor \(name) has shape \(entry.shape)")
        }
        count = product
      }
      guard entry.data_offsets.count == 2, entry.data_offsets[0] >= 0, entry.data_offsets[0] <= entry.data_offsets[1],
        entry.data_offsets[1] <= available
      else {
        throw fail("tensor \(name) lies at \(entry.data_offsets), the file has \(available) bytes of tensors")
      }
      let size = entry.data_offsets[1] - entry.data_offsets[0]
      guard size == count * dtype.byteCount else {
        throw fail(
          "tensor \(name) of shape \(entry.shape) needs \(count * dtype.byteCount) bytes, the file gives \(size)")
      }
      let tensor = try Tensor(uninitialized: TensorType(Shape(entry.shape), dtype))
      data.withUnsafeBytes { bytes in
        if size > 0 {
          tensor.storage.pointer.copyMemory(
            from: bytes.baseAddress! + 8 + Int(length) + entry.data_offsets[0], byteCount: size)
        }
      }
      tensors[name] = tensor
    }
    return tensors
  }
}
