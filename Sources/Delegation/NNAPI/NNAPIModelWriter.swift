import GraphCore
import TensorCore

/// Writes a graph's nodes as NNAPI's operations, each behind what it reads.
struct NNAPIModelWriter {
  typealias Operand = NNAPIModel.Operand

  let graph: Graph
  private(set) var model = NNAPIModel()
  /// Operands of values, as they lie in the graph.
  private var known: [ValueID: Int] = [:]
  /// Of values at the ends, where they are not what the graph says.
  private let types: [ValueID: TensorType]

  init(_ graph: Graph, types: [ValueID: TensorType] = [:]) { (self.graph, self.types) = (graph, types) }

  /// What a value is to NNAPI.
  func type(of id: ValueID) -> TensorType { types[id] ?? graph.nnapiType(of: id) }

  func need(_ condition: Bool, _ reason: String) throws { if !condition { throw NotInNNAPI(reason) } }

  // MARK: Operands

  subscript(operand: Int) -> Operand { model.operands[operand] }

  mutating func add(_ operand: Operand) -> Int {
    model.operands.append(operand)
    return model.operands.count - 1
  }

  mutating func constant(_ operand: Operand, _ value: NNAPIModel.Value) -> Int {
    var operand = operand
    operand.value = value
    return add(operand)
  }

  mutating func int(_ value: Int) -> Int { constant(Operand(.int32), .bytes(Int32(clamping: value).littleEndianBytes)) }
  mutating func bool(_ value: Bool) -> Int { constant(Operand(.bool), .bytes([value ? 1 : 0])) }
  mutating func float(_ value: Float) -> Int {
    constant(Operand(.float32), .bytes(value.bitPattern.littleEndianBytes))
  }
  /// A scalar of the width that an operand has.
  mutating func scalar(_ value: Float, like operand: Int) -> Int {
    guard self[operand].type == .tensorFloat16 else { return float(value) }
    return constant(Operand(.float16), .bytes(Float16(value).bitPattern.littleEndianBytes))
  }
  mutating func ints(_ values: [Int], _ dimensions: [Int]? = nil) -> Int {
    constant(
      Operand(.tensorInt32, dimensions ?? [values.count]),
      .bytes(values.flatMap { Int32(clamping: $0).littleEndianBytes }))
  }
  mutating func omitted(_ type: OperandType, _ dimensions: [Int]) -> Int {
    constant(Operand(type, dimensions), .omitted)
  }

  /// One number, which is broadcast to what it meets, in that one's type: of integers in a scale of its own.
  mutating func number(_ value: Float, like operand: Int) throws -> Int {
    let rank = self[operand].dimensions.count
    let dimensions = [Int](repeating: 1, count: max(rank, 1))
    switch self[operand].type {
    case .tensorFloat32:
      return constant(Operand(.tensorFloat32, dimensions), .bytes(value.bitPattern.littleEndianBytes))
    case .tensorFloat16:
      return constant(Operand(.tensorFloat16, dimensions), .bytes(Float16(value).bitPattern.littleEndianBytes))
    case let type where [.tensorQuant8Asymm, .tensorQuant8AsymmSigned].contains(type):
      let zero: Int32 = type == .tensorQuant8Asymm ? 128 : 0
      let integer = zero + (value > 0 ? 100 : value < 0 ? -100 : 0)
      let scale = value == 0 ? self[operand].scale : value.magnitude / 100
      return constant(
        Operand(type, dimensions, scale: scale, zeroPoint: zero), .bytes([UInt8(truncatingIfNeeded: integer)]))
    case let type: throw NotInNNAPI("a number beside a \(type) has no operand")
    }
  }

  /// The operand of a value as it lies.
  /// - Throws: ``NotInNNAPI`` where there is none.
  mutating func operand(_ id: ValueID) throws -> Int {
    if let found = known[id] { return found }
    let type = self.type(of: id)
    var operand = try Self.operand(type)
    if graph.isWeight(id) {
      let order = type.format == .nhwc ? Self.toNHWC : nil
      operand.value = .made { try $0.plain(id).bytes(order: order) }
    }
    let position = add(operand)
    known[id] = position
    return position
  }

  /// What a tensor is as an operand, without what it holds.
  static func operand(_ type: TensorType) throws -> Operand {
    guard let own = OperandType(type) else {
      throw NotInNNAPI(
        "NNAPI has no tensors of \(type.dtype.rawValue)"
          + (type.quantization?.axis != nil ? " with a scale by channel" : ""))
    }
    if type.shape.rank > 4 { throw NotInNNAPI("NNAPI's tensors have at most 4 axes, not \(type.shape.rank)") }
    if type.shape.count == 0 { throw NotInNNAPI("NNAPI has no tensors without elements") }
    if type.isUpperBound { throw NotInNNAPI("its extents are known only when it has run") }
    var operand = Operand(own, dimensions(type.shape, isNHWC: type.format == .nhwc))
    if own == .tensorQuant8SymmPerChannel {
      operand.channelScales = type.quantization!.scales
      operand.channelDimension = dimension(type.quantization!.axis ?? 0, of: type)
    } else if let quantization = type.quantization {
      operand.scale = quantization.axis == nil ? quantization.scales[0] : 0
      operand.zeroPoint = quantization.zeroPoints[0]
    }
    return operand
  }

  static let toNHWC = [0, 2, 3, 1]
  static let toNCHW = [0, 3, 1, 2]

  /// A tensor of no axes has one there.
  static func dimensions(_ shape: Shape, isNHWC: Bool) -> [Int] {
    shape.rank == 0 ? [1] : isNHWC && shape.rank == 4 ? toNHWC.map { shape[$0] } : shape.extents
  }

  /// Where an axis lies of a tensor of some type.
  static func dimension(_ axis: Int, of type: TensorType) -> Int {
    type.format == .nhwc && type.shape.rank == 4 ? toNHWC.firstIndex(of: axis)! : axis
  }

  /// An operand beside another one that it is broadcast to, of no more axes: laid as that one is.
  mutating func operand(_ id: ValueID, beside type: TensorType) throws -> Int {
    let own = graph[id].type
    let isNHWC = type.format == .nhwc && type.shape.rank == 4
    guard isNHWC != (own.format == .nhwc && own.shape.rank == 4) else { return try operand(id) }
    guard own.shape.rank > 1 || isNHWC && own.shape.count > 1 else { return try operand(id) }
    let whole = Shape([Int](repeating: 1, count: 4 - own.shape.rank) + own.shape.extents)
    let order = isNHWC ? Self.toNHWC : Self.toNCHW
    let target = isNHWC ? Self.toNHWC.map { whole[$0] } : whole.extents
    var result = try Self.operand(self.type(of: id))
    (result.dimensions, result.value) = (target, nil)
    if graph.isWeight(id) {
      let permuted = isNHWC ? order : nil
      return constant(result, .made { try $0.plain(id).bytes(whole, order: permuted) })
    }
    let given = try operand(id)
    // One pixel or one channel lies alike both ways.
    guard !own.liesAlike else { return reshape(given, target) }
    let image = own.shape.rank == 4 ? given : reshape(given, isNHWC ? whole.extents : order.map { whole[$0] })
    return emit(.transpose, [image, ints(order)], result)
  }

  /// A weight, in the order and the type that an operation wants; one that is computed is brought there.
  /// - Parameters:
  ///   - order: Of its axes; nil for as they are.
  ///   - type: What its numbers are to be; nil for what they are.
  mutating func weight(_ id: ValueID, order: [Int]? = nil, as type: OperandType? = nil) throws -> Int {
    let own = self.type(of: id)
    if graph.isWeight(id) {
      let isFloat = type == .tensorFloat32 || type == .tensorFloat16
      let target: TensorType =
        isFloat
        ? TensorType(own.shape, type == .tensorFloat16 ? .float16 : .float32)
        : TensorType(
          own.shape, own.dtype, quantization: own.quantization)
      var operand = try Self.operand(target)
      if let order {
        operand.dimensions = order.map { own.shape[$0] }
        operand.channelDimension = order.firstIndex(of: operand.channelDimension) ?? 0
      }
      return constant(
        operand,
        .made { graph in
          let plain = try graph.plain(id)
          return try (isFloat ? plain.widened().rounded(to: target.dtype) : plain).bytes(order: order)
        })
    }
    let given = try operand(id)
    try need(own.format == .nchw, "its weight is computed in \(own.format)")
    if let type, self[given].type != type {
      throw NotInNNAPI("its weight is computed as \(self[given].type), not as \(type)")
    }
    guard let order else { return given }
    var operand = self[given]
    operand.dimensions = order.map { own.shape[$0] }
    return emit(.transpose, [given, ints(order)], operand)
  }

  // MARK: Operations

  /// Adds an operation with one result, which it returns.
  mutating func emit(_ code: OperationCode, _ inputs: [Int], _ result: Operand) -> Int {
    emit(code, inputs, [result])[0]
  }

  mutating func emit(_ code: OperationCode, _ inputs: [Int], _ results: [Operand]) -> [Int] {
    let outputs = results.map { result in
      var result = result
      result.value = nil
      return add(result)
    }
    model.operations.append(NNAPIModel.Operation(code: code, inputs: inputs, outputs: outputs))
    return outputs
  }

  mutating func reshape(_ operand: Int, _ dimensions: [Int]) -> Int {
    var result = self[operand]
    result.dimensions = dimensions
    return emit(.reshape, [operand, ints(dimensions)], result)
  }

  /// A result in the type that it is to have: floats of another width, or integers that stand for other numbers.
  mutating func converted(_ operand: Int, to wanted: Operand) throws -> Int {
    let given = self[operand]
    guard !given.isLike(wanted) else { return operand }
    func isFloat(_ operand: Operand) -> Bool { operand.type == .tensorFloat32 || operand.type == .tensorFloat16 }
    try need(given.dimensions == wanted.dimensions, "it would be \(given.dimensions) there, not \(wanted.dimensions)")
    guard isFloat(given) || given.isQuantised,
      isFloat(wanted) || wanted.isQuantised
    else { throw NotInNNAPI("nothing makes \(wanted.type) of \(given.type)") }
    if isFloat(given), isFloat(wanted) { return emit(.cast, [operand], wanted) }
    let number =
      given.isQuantised
      ? emit(.dequantize, [operand], Operand(isFloat(wanted) ? wanted.type : .tensorFloat32, given.dimensions))
      : operand
    return wanted.isQuantised ? emit(.quantize, [number], wanted) : number
  }

  /// A result that may be a float as another one: computed in 16 bits where everything is.
  mutating func float32(_ operand: Int) throws -> Int {
    guard self[operand].type == .tensorFloat16 else { return operand }
    return try converted(operand, to: Operand(.tensorFloat32, self[operand].dimensions))
  }

  mutating func set(_ operand: Int, of id: ValueID) { known[id] = operand }

  // MARK: Ends

  /// - Parameter isAlone: whether it is what it is to NNAPI at the ends too.
  mutating func addInput(_ id: ValueID, isAlone: Bool = false) throws {
    let inner = try Self.operand(type(of: id))
    let given = add(isAlone ? inner : try Self.operand(graph[id].type))
    model.inputs.append(given)
    known[id] = try converted(given, to: inner)
  }

  mutating func addOutput(_ id: ValueID, isAlone: Bool = false) throws {
    var result = try operand(id)
    if !isAlone { result = try converted(result, to: Self.operand(graph[id].type)) }
    // What has come in, is known, or has gone out is copied.
    if model.inputs.contains(result) || model.outputs.contains(result) || self[result].value != nil {
      result = reshape(result, self[result].dimensions)
    }
    model.outputs.append(result)
  }
}

extension Graph {
  /// Whether what a value holds is known before a run.
  func isWeight(_ id: ValueID) -> Bool {
    switch self[id].source {
    case .constant, .parameter: true
    case .input, .node: false
    }
  }

  /// A weight as it lies in NCHW.
  /// - Throws: ``MissingWeight``.
  func plain(_ id: ValueID) throws -> Tensor {
    guard let tensor = data(of: id) else { throw MissingWeight(self[id].name) }
    return try tensor.converted(to: .nchw)
  }
}

extension FixedWidthInteger {
  var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}

extension Tensor {
  /// Its elements, one behind the other, with its axes in another order.
  /// - Parameter shape: Of the same elements; nil for its own.
  func bytes(_ shape: Shape? = nil, order: [Int]? = nil) throws -> [UInt8] {
    let (shape, width) = (shape ?? self.shape, type.dtype.byteCount)
    let all = UnsafeRawBufferPointer(start: storage.pointer, count: type.byteCount)
    guard let order else { return withExtendedLifetime(self) { Array(all) } }
    var strides = [Int](repeating: width, count: shape.rank)
    for axis in stride(from: shape.rank - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    let (extents, steps) = (order.map { shape[$0] }, order.map { strides[$0] })
    return withExtendedLifetime(self) {
      [UInt8](unsafeUninitializedCapacity: all.count) { target, count in
        var place = [Int](repeating: 0, count: extents.count)
        var source = 0
        count = 0
        while count < all.count {
          for byte in 0..<width { target[count + byte] = all[source + byte] }
          count += width
          for axis in extents.indices.reversed() {
            place[axis] += 1
            source += steps[axis]
            if place[axis] < extents[axis] { break }
            source -= place[axis] * steps[axis]
            place[axis] = 0
          }
        }
      }
    }
  }
}
