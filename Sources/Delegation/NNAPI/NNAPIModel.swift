import GraphCore
import TensorCore

/// A model in NNAPI's own words: operands, operations in the order in which they run, and which operands go in and out.
package struct NNAPIModel: Sendable {
  package struct Operand: Sendable {
    package var type: OperandType
    /// As NNAPI has them: of an image in NHWC, its channels last. Of a scalar none.
    package var dimensions: [Int]
    /// What an integer stands for is `scale · (integer - zeroPoint)`; 0 of what is not quantised.
    package var scale: Float = 0
    package var zeroPoint: Int32 = 0
    /// Scales of ``OperandType/tensorQuant8SymmPerChannel``, and the dimension that they go by.
    package var channelScales: [Float] = []
    package var channelDimension = 0
    /// Nil of what is given or computed.
    package var value: Value?

    package init(_ type: OperandType, _ dimensions: [Int] = [], scale: Float = 0, zeroPoint: Int32 = 0) {
      (self.type, self.dimensions, self.scale, self.zeroPoint) = (type, dimensions, scale, zeroPoint)
    }

    var isQuantised: Bool { type == .tensorQuant8Asymm || type == .tensorQuant8AsymmSigned }

    /// Whether one operand is what the other is, whatever they hold.
    func isLike(_ other: Operand) -> Bool {
      type == other.type && dimensions == other.dimensions && scale == other.scale && zeroPoint == other.zeroPoint
        && channelScales == other.channelScales && channelDimension == other.channelDimension
    }
  }

  /// What a constant operand holds, made when the model is: most who ask only want to know which operations there are.
  package enum Value: Sendable {
    case bytes([UInt8])
    /// From the graph's weights.
    case made(@Sendable (Graph) throws -> [UInt8])
    /// An operand that may be left out, and is.
    case omitted

    /// - Parameter graph: the one that the model is of.
    /// - Returns: nil of what is left out.
    package func bytes(of graph: Graph) throws -> [UInt8]? {
      switch self {
      case .bytes(let bytes): bytes
      case .made(let make): try make(graph)
      case .omitted: nil
      }
    }
  }

  package struct Operation: Sendable {
    package var code: OperationCode
    /// Positions of operands.
    package var inputs: [Int]
    package var outputs: [Int]
  }

  package internal(set) var operands: [Operand] = []
  package internal(set) var operations: [Operation] = []
  /// Positions of operands, in the order of the graph's.
  package internal(set) var inputs: [Int] = []
  package internal(set) var outputs: [Int] = []

  /// A whole graph.
  /// - Parameter types: Of inputs and outputs that are others to NNAPI than to the graph, as ``Graph/nnapiType(of:)`` of the graph says
  ///   that it is a part of.
  /// - Throws: ``NotInNNAPI`` naming the first node that NNAPI cannot express, ``GraphError`` where a weight is missing.
  init(_ graph: Graph, types: [ValueID: TensorType] = [:]) throws {
    var writer = NNAPIModelWriter(graph, types: types)
    for id in graph.inputs { try writer.addInput(id) }
    for node in graph.nodes {
      do { try writer.write(node) } catch let error as NotInNNAPI { throw NotInNNAPI("\(node.name): \(error)") }
    }
    for id in graph.outputs { try writer.addOutput(id) }
    self = writer.model
  }

  /// One node of a graph, whose inputs and outputs are those of the model.
  /// - Throws: as for a whole graph.
  init(_ node: Node, in graph: Graph) throws {
    var writer = NNAPIModelWriter(graph)
    for id in Set(node.inputs).sorted() where !graph.isWeight(id) { try writer.addInput(id, isAlone: true) }
    try writer.write(node)
    for id in node.outputs { try writer.addOutput(id, isAlone: true) }
    self = writer.model
  }

  init() {}
}
