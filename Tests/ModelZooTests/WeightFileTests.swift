import Foundation
import GraphCore
@testable import ModelZoo
import TensorCore
import TestSupport
import Testing

/// A file for as long as it is needed.
func withFile<Result>(_ data: Data, _ body: (String) throws -> Result) throws -> Result {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID())")
  try data.write(to: url)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(url.path)
}

/// A safetensors file of these tensors, in order: name, type, shape, bytes.
func safetensors(_ tensors: [(name: String, dtype: String, shape: [Int], bytes: [UInt8])]) throws -> Data {
  var (header, body) = ([String: Any](), Data())
  for (name, dtype, shape, bytes) in tensors {
    header[name] = ["dtype": dtype, "shape": shape, "data_offsets": [body.count, body.count + bytes.count]]
    body += bytes
  }
  let text = try JSONSerialization.data(withJSONObject: header, options: .sortedKeys)
  return fileBytes([UInt64(text.count)]) + text + body
}

/// A model of one linear layer and a batch norm's worth of weights, as `nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))` names
/// them.
func smallModel() -> Graph {
  var graph = Graph(name: "net")
  graph.addParameter("0.weight", TensorType([3, 2]))
  for name in ["0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"] {
    graph.addParameter(name, TensorType([3]))
  }
  graph.addParameter("1.num_batches_tracked", TensorType([], .int64), isRead: false)
  return graph
}

@Suite struct SafeTensorsTests {
  private func file(_ header: String, _ payload: [UInt8], length: UInt64? = nil) -> Data {
    var data = Data()
    withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { data.append(contentsOf: $0) }
    return data + Data(header.utf8) + Data(payload)
  }

  private func parse(_ data: Data) throws -> [String: Tensor] {
    try withFile(data) { try WeightFile.read($0) }
  }

  @Test func `a good file is read`() throws {
    let data = file(
      #"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, [0, 0, 128, 63, 0, 0, 0, 64])
    #expect(try parse(data)["x"]?.values == [1, 2])
  }

  @Test(arguments: ["PK", "\u{80}\u{2}"]) func `a header may be as long as another format begins`(start: String) throws
  {
    let entry = #"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    let length = start.unicodeScalars.reversed().reduce(0) { $0 << 8 | Int($1.value) }
    let data = file(entry + String(repeating: " ", count: length - entry.utf8.count), [0, 0, 128, 63])
    #expect(try parse(data)["x"]?.values == [1])
  }

  @Test func `every lie is found and named`() throws {
    let entry = { (text: String) in "{\"x\":{\(text)}}" }
    let bad: [(Data, String)] = [
      (Data([1, 2, 3]), "too few"),
      (file("{}", [], length: 1 << 60), "claims"),
      (file("not json", []), "not a JSON object"),
      (file(entry(#""dtype":"F32","shape":[2],"data_offsets":[0,80]"#), [UInt8](repeating: 0, count: 8)), "lies at"),
      (file(entry(#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#), [UInt8](repeating: 0, count: 8)), "lies at"),
      (file(entry(#""dtype":"F32","shape":[3],"data_offsets":[0,8]"#), [UInt8](repeating: 0, count: 8)), "needs 12"),
      (file(entry(#""dtype":"F32","shape":[-1],"data_offsets":[0,8]"#), [UInt8](repeating: 0, count: 8)), "shape"),
      (
        file(
          entry(#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]"#), [UInt8](repeating: 0, count: 8)
        ), "shape"
      ),
      (
        file(entry(#""dtype":"F4","shape":[16],"data_offsets":[0,8]"#), [UInt8](repeating: 0, count: 8)),
        "weight x is F4"
      ),
      (
        file(entry(#""dtype":"F32","shape":[2],"data_offsets":[4,12]"#), [UInt8](repeating: 0, count: 12)),
        "no tensor's"
      ),
      (
        file(entry(#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#), [UInt8](repeating: 0, count: 12)), "no tensor's"
      ),
      (
        file(
          #"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
          [UInt8](repeating: 0, count: 8)), "twice"
      ),
      (
        file(
          #"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
          [UInt8](repeating: 0, count: 4)), "overlaps"
      ),
    ]
    for (data, word) in bad {
      let error = #expect(throws: BadFile.self) { try parse(data) }
      #expect(error?.description.contains(word) == true, "\(error?.description ?? "") lacks \(word)")
    }
  }

  @Test func `every type of the format is read`() throws {
    let data = try safetensors([
      ("F64", "F64", [2], fileBytes([1.5, -2] as [Double])), ("F32", "F32", [2], fileBytes([1.5, -2] as [Float])),
      ("F16", "F16", [2], fileBytes([1.5, -2] as [Float16])),
      ("BF16", "BF16", [2], fileBytes([0x3FC0, 0xC000] as [UInt16])),
      ("F8_E4M3", "F8_E4M3", [2], [0x3C, 0xC0]), ("F8_E5M2", "F8_E5M2", [2], [0x3E, 0xC0]),
      ("F8_E8M0", "F8_E8M0", [2], [127, 130]), ("I64", "I64", [1], fileBytes([Int64.min])),
      ("I32", "I32", [1], fileBytes([Int32.min])), ("I16", "I16", [1], fileBytes([Int16.min])),
      ("I8", "I8", [1], fileBytes([Int8.min])), ("U64", "U64", [1], fileBytes([UInt64.max])),
      ("U32", "U32", [1], fileBytes([UInt32.max])), ("U16", "U16", [1], fileBytes([UInt16.max])),
      ("U8", "U8", [1], [255]), ("BOOL", "BOOL", [3], [0, 1, 7]),
    ])
    let tensors = try parse(data)
    for name in ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"] {
      #expect(tensors[name]?.type.dtype == .float32 && tensors[name]?.values == [1.5, -2], "\(name)")
    }
    #expect(tensors["F8_E8M0"]?.values == [1, 8])
    let integers: [(String, DType, Int64)] = [
      ("I64", .int64, .min), ("I32", .int32, Int64(Int32.min)), ("I16", .int16, -32768), ("I8", .int8, -128),
      ("U64", .uint64, -1), ("U32", .uint32, 0xFFFF_FFFF), ("U16", .uint16, 0xFFFF), ("U8", .uint8, 255),
    ]
    for (name, dtype, value) in integers {
      #expect(tensors[name]?.type.dtype == dtype && tensors[name]?.integers == [value], "\(name)")
    }
    #expect(tensors["BOOL"]?.elements(as: Bool.self).elementsEqual([false, true, true]) == true)
  }

  @Test func `floats of eight bits are what they stand for`() {
    // Sums of the finite magnitudes, NaNs, infinities and the largest, as ml_dtypes has them.
    let kinds: [(Float8, Double, Int, Int, Float)] = [
      (.e4m3fn, 10815.75, 2, 0, 448), (.e5m2, 720_895.9995117188, 6, 2, 57344), (.e4m3fnuz, 5887.875, 1, 0, 240),
      (.e5m2fnuz, 720_895.9997558594, 1, 0, 57344), (.e8m0fnu, 3.402823669209385e38, 1, 0, 0x1p127),
    ]
    for (kind, sum, nans, infinities, largest) in kinds {
      let values = kind.values
      let finite = values.filter(\.isFinite)
      #expect(abs(finite.reduce(0) { $0 + Double($1.magnitude) } / sum - 1) < 1e-12, "\(kind)")
      #expect(values.count { $0.isNaN } == nans && values.count { $0.isInfinite } == infinities, "\(kind)")
      #expect(finite.max() == largest, "\(kind)")
      if kind != .e8m0fnu { #expect((1..<127).allSatisfy { values[$0].isNaN || values[$0] == -values[$0 + 128] }) }
    }
    #expect(Float8.e4m3fn.values[0x38] == 1 && Float8.e4m3fn.values[1] == 0x1p-9 && Float8.e5m2.values[1] == 0x1p-16)
    #expect(Float8.e8m0fnu.values[0] == 0x1p-127)
  }

  @Test func `a model takes what it needs, and says what does not fit`() throws {
    let plain: [(name: String, dtype: String, shape: [Int], bytes: [UInt8])] = [
      ("0.bias", "F16", [3], fileBytes([0, 1, 2] as [Float16])),
      ("0.weight", "F64", [3, 2], fileBytes([0, 1, 2, 3, 4, 5.5])),
      ("1.bias", "F8_E5M2", [3], [0x3C, 0x40, 0x44]), ("1.num_batches_tracked", "F32", [], fileBytes([1 as Float])),
      ("1.running_mean", "F32", [3], fileBytes([0, 1, 2] as [Float])),
      ("1.running_var", "F32", [3], fileBytes([0, 1, 2] as [Float])),
      ("1.weight", "BF16", [3], fileBytes([0, 0x3F80, 0x4000] as [UInt16])),
    ]
    var graph = smallModel()
    try withFile(try safetensors(plain)) { try graph.readWeights($0) }
    #expect(graph.weights["0.weight"]?.values == [0, 1, 2, 3, 4, 5.5] && graph.weights["1.bias"]?.values == [1, 2, 4])
    #expect(graph.weights.count == 6 && graph.weights.values.allSatisfy { $0.type.dtype == .float32 })
    let changes: [((name: String, dtype: String, shape: [Int], bytes: [UInt8]), String)] = [
      (("0.bias", "I32", [3], fileBytes([0, 1, 2] as [Int32])), "weight 0.bias is i32, the model needs f32"),
      (("0.bias", "F4", [4], [0, 0]), "weight 0.bias has shape [4], the model needs 3"),
      (("0.bias", "F6_E2M3", [3], [0, 0]), "weight 0.bias is F6_E2M3"),
      (("2.bias", "F32", [1], [0, 0, 0, 0]), "0.bias"),
      (("0.bias", "F32", [1, 3], fileBytes([0, 1, 2] as [Float])), "weight 0.bias has shape [1, 3]"),
    ]
    for (entry, words) in changes {
      let error = #expect(throws: BadFile.self) {
        try withFile(try safetensors([entry] + plain.dropFirst())) { try graph.readWeights($0) }
      }
      #expect(error?.reason.contains(words) == true, "\(error?.reason ?? "")")
    }
  }
}
