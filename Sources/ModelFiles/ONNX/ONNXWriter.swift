import Foundation
import GraphCore
import SwiftProtobuf
import TensorCore

/// A graph as an ONNX model, for engines that read that: imported, built in, or rewritten by passes.
///
/// Memory formats say nothing there: every tensor is written in NCHW order. What an op of ours is in ONNX stands in the tables
/// under `Writing`, by the op.
public enum ONNXWriter {
  /// The bytes of a `.onnx` file with the weights in it. Its operator set is the oldest that has all operators it needs, 13 at
  /// least.
  /// - Throws: ``Unsupported`` naming the first node that ONNX has no word for, or where the weights are too large for a file;
  ///   ``MissingWeight``.
  public static func write(_ graph: Graph) throws -> Data {
    // Protocol buffers count bytes in 31 bits; a mebibyte is left for what is no weight.
    guard graph.weightBytes < 1 << 31 - 1 << 20 else {
      throw Unsupported(
        "\(graph.name) has \(graph.weightBytes >> 20) MiB of weights: an ONNX file holds less than 2048 MiB with its weights in it"
      )
    }
    let file = ONNXFileWriter()
    let written = try ONNXGraphWriter(graph.withExplicitQuantization(), in: file).write()
    var set = Pacer_Onnx_OperatorSet()
    set.version = Int64(file.operatorSet)
    var model = Pacer_Onnx_Model()
    model.irVersion = file.irVersion
    model.producerName = "pacer"
    model.opsetImport = [set]
    model.graph = written
    return try model.serializedData()
  }
}

/// What the graphs of one file share: names, and what they need of a reader.
final class ONNXFileWriter {
  /// The newest of the operators that are used, as the version of the set that brought it.
  var operatorSet = 13
  private var names: Set<String> = []
  /// In the order in which they were given out.
  private var given: [String] = []

  /// The version of the format that goes with the operator set.
  var irVersion: Int64 {
    switch operatorSet {
    case ..<19: 8
    case ..<21: 9
    case ..<23: 10
    case 23: 11
    case 24: 12
    case ..<28: 13
    default: 14
    }
  }

  /// A name that nothing else has.
  func fresh(_ wanted: String) -> String {
    let wanted = wanted.isEmpty ? "value" : wanted
    var (name, number) = (wanted, 1)
    while !names.insert(name).inserted {
      number += 1
      name = "\(wanted)_\(number)"
    }
    given.append(name)
    return name
  }

  var mark: (operatorSet: Int, names: Int) { (operatorSet, given.count) }
  /// Takes back what was given out since.
  func goBack(to mark: (operatorSet: Int, names: Int)) {
    operatorSet = mark.operatorSet
    names.subtract(given[mark.names...])
    given.removeSubrange(mark.names...)
  }
}
