import Foundation
import GraphCore
import TensorCore

extension ONNXFile {
  /// A tensor with its elements, wherever they are.
  /// - Throws: ``BadFile`` or ``Unsupported``.
  func tensor(_ proto: Pacer_Onnx_Tensor) throws -> Tensor {
    let name = proto.name.isEmpty ? "a tensor" : "tensor \(proto.name)"
    if let wide = Self.bytes(ofHalves: proto) { return try tensor(wide) }
    guard let dtype = DType(onnx: proto.dataType) else {
      throw Unsupported("\(path): \(name) is of ONNX's type \(proto.dataType), which is not read")
    }
    let shape = Shape(proto.dims.map(Int.init))
    let type = TensorType(shape, dtype)
    if let fault = type.fault { throw BadFile(path, "\(name) cannot be: \(fault)") }
    if proto.dataLocation == 1 { return try external(proto, type, name) }
    let read: TensorFile
    do { read = try TensorFile(proto) } catch let flaw as TensorFile.Flaw {
      throw BadFile(path, "\(name): \(flaw.reason)")
    }
    return try Tensor(read)
  }

  /// A tensor of which the elements that are not 0 are listed, each with its place or its index along every axis: all of it.
  func tensor(_ proto: Pacer_Onnx_SparseTensor) throws -> Tensor {
    let (values, indices) = (try tensor(proto.values), try tensor(proto.indices))
    let type = TensorType(Shape(proto.dims.map(Int.init)), values.type.dtype)
    let (count, rank, size) = (values.shape.count, type.shape.rank, type.dtype.byteCount)
    guard type.fault == nil, type.shape.count <= 1 << 28, indices.type.dtype == .int64,
      indices.shape == [count] || indices.shape == [count, rank]
    else { throw BadFile(path, "a sparse tensor \(type) with indices \(indices.type)") }
    let (places, strides) = (try indices.indices, type.shape.strides)
    let whole = try Tensor(zeros: type)
    for index in 0..<count {
      let place =
        indices.shape.rank == 1
        ? places[index] : zip(places[index * rank..<(index + 1) * rank], strides).reduce(0) { $0 &+ $1.0 &* $1.1 }
      guard (0..<type.shape.count).contains(place) else { throw BadFile(path, "an element at \(place) of \(type)") }
      (whole.storage.pointer + place * size).copyMemory(from: values.storage.pointer + index * size, byteCount: size)
    }
    withExtendedLifetime(values) {}
    return whole
  }

  /// Integers of four bits (uint4 and int4), two to a byte, the lower half first, as those of eight; nil of others.
  private static func bytes(ofHalves proto: Pacer_Onnx_Tensor) -> Pacer_Onnx_Tensor? {
    guard proto.dataType == 21 || proto.dataType == 22, proto.dataLocation == 0,
      let count = Shape(proto.dims.map(Int.init)).elementCount, count <= 1 << 30
    else { return nil }
    let isSigned = proto.dataType == 22
    var wide = proto
    wide.dataType = (isSigned ? DType.int8 : .uint8).onnx
    let packed = proto.rawData.isEmpty ? proto.int32Data.map { UInt8(truncatingIfNeeded: $0) } : [UInt8](proto.rawData)
    guard packed.count == (count + 1) / 2 else { return nil }
    wide.rawData = Data(
      (0..<count).map { index in
        let half = index % 2 == 0 ? packed[index / 2] & 15 : packed[index / 2] >> 4
        return isSigned && half > 7 ? half | 0xF0 : half
      })
    wide.int32Data = []
    return wide
  }

  private func external(_ proto: Pacer_Onnx_Tensor, _ type: TensorType, _ name: String) throws -> Tensor {
    var location = ""
    var (offset, length) = (0, type.byteCount)
    for entry in proto.externalData {
      switch entry.key {
      case "location": location = entry.value
      case "offset", "length":
        guard let number = Int(entry.value), number >= 0 else {
          throw BadFile(path, "\(name): its \(entry.key) is \"\(entry.value)\"")
        }
        if entry.key == "offset" { offset = number } else { length = number }
      default: break
      }
    }
    guard externalFiles.contains(location) else { throw BadFile(path, "\(name): its elements lie in no file") }
    guard length == type.byteCount else {
      throw BadFile(path, "\(name): \(type) has \(type.byteCount) bytes; its entry says \(length)")
    }
    let url = URL(fileURLWithPath: path).deletingLastPathComponent().appendingPathComponent(location)
    guard let data = try? Data(contentsOf: url, options: .alwaysMapped) else {
      throw BadFile(url.path, "it cannot be read: no such file, or no permission; \(path) keeps weights in it")
    }
    guard offset <= data.count, data.count - offset >= length else {
      throw BadFile(url.path, "it is cut short: \(name) lies at \(offset)..<\(offset + length) of \(data.count) bytes")
    }
    let tensor = try Tensor(uninitialized: type)
    data.withUnsafeBytes { bytes in
      // Of an empty file there is no address.
      guard let base = bytes.baseAddress, length > 0 else { return }
      tensor.storage.pointer.copyMemory(from: base + offset, byteCount: length)
    }
    return tensor
  }

  /// The function of the model's own that a node calls; nil where it calls none.
  func function(_ node: Pacer_Onnx_Node) -> Pacer_Onnx_Function? {
    model.functions.first { $0.name == node.opType && $0.domain == node.domain && $0.overload == node.overload }
  }
}

extension Tensor {
  /// The elements of a file. Bools that are neither 0 nor 1 are 1.
  package init(_ file: TensorFile) throws {
    try self.init(uninitialized: TensorType(Shape(file.shape), file.kind))
    let target = UnsafeMutableRawBufferPointer(start: storage.pointer, count: type.byteCount)
    file.data.withUnsafeBytes { target.copyMemory(from: $0) }
    if file.kind == .bool { for i in target.indices where target[i] > 1 { target[i] = 1 } }
    withExtendedLifetime(self) {}
  }
}
