import GraphCore
import TensorCore

/// A file of weights: safetensors, or what `torch.save` writes of a state dict (.pth, .pt). Which of them is decided by what
/// the file holds, not by its name. Every number in a file is doubted, and nothing in it is run.
public final class WeightFile: Sendable {
  /// Tensors by name. A safetensors file has one such set; a checkpoint one for each dictionary that holds tensors.
  struct Tensors: Sendable {
    /// The keys that lead to it in a checkpoint; empty for the outermost.
    var keys: [String]
    var tensors: [String: StoredTensor]

    var path: String { keys.map(FileText.name).joined(separator: ".") }
  }

  let file: FileBytes
  /// At least one; the outer ones first.
  let sets: [Tensors]
  /// What is at hand in a checkpoint, for messages; nil where there is nothing but tensors.
  let contents: String?

  /// Opens a file and reads its directory, and no tensor yet.
  /// - Throws: `BadFile` with what is wrong and where.
  init(_ path: String) throws {
    file = try FileBytes(path)
    do {
      let start = try file.read(min(file.count, 9), at: 0)
      if SafeTensors.isLikely(start, of: file.count) {
        (sets, contents) = ([Tensors(keys: [], tensors: try SafeTensors.read(file))], nil)
      } else if start.starts(with: Array("PK".utf8)) {
        (sets, contents) = try PyTorchArchive.read(file)
      } else if start.count > 1, start[0] == 0x80, (2...5).contains(start[1]) {
        throw Flaw(
          "it is a pickle without an archive around it, as PyTorch wrote them before 1.6: load and save it with a later one, "
            + "torch.save(model.state_dict(), \"new.pth\")")
      } else {
        (sets, contents) = ([Tensors(keys: [], tensors: try SafeTensors.read(file))], nil)
      }
    } catch let flaw as Flaw { throw BadFile(path, flaw.reason) }
  }

  /// All tensors of a file that holds one state dict, by name. Floats become float32, whatever they were stored in; integers
  /// and bools stay what they are.
  /// - Throws: `BadFile` with what is wrong and where; also for a checkpoint with several dictionaries of tensors.
  public static func read(_ path: String) throws -> [String: Tensor] {
    let opened = try WeightFile(path)
    do {
      guard opened.sets.count == 1 else {
        throw Flaw("it has several dictionaries of tensors, \(opened.places): save one of them in a file of its own")
      }
      let stored = opened.sets[0].tensors
      try opened.verifySize(of: stored)
      var tensors: [String: Tensor] = [:]
      for (name, entry) in stored.sorted(by: { $0.key < $1.key }) {
        tensors[name] = try opened.tensor(name, entry, as: entry.type.dtype?.isFloat == true ? .float32 : nil)
      }
      return tensors
    } catch let flaw as Flaw { throw BadFile(path, flaw.reason) }
  }

  /// - Throws: ``Flaw`` that names the tensor.
  func tensor(_ name: String, _ stored: StoredTensor, as wanted: DType?) throws -> Tensor {
    do { return try stored.read(file, as: wanted) } catch let flaw as Flaw {
      throw Flaw("weight \(FileText.name(name)) \(flaw.reason)")
    }
  }

  /// A few bytes can say that one number is a tensor of any size, or that a thousand tensors share one storage: who has no
  /// model that says how much is needed takes no more elements than the file has bytes. Views with wide strides may
  /// together span the file several times over, but not without end.
  private func verifySize(of stored: [String: StoredTensor]) throws {
    var (total, spanned) = (0, 0)
    for (name, entry) in stored {
      total += entry.shape.elementCount ?? file.count
      if let strides = entry.strides { spanned += StoredTensor.extent(entry.shape, strides) ?? 0 }
      guard total <= file.count, spanned / 64 <= file.count else {
        throw Flaw("its tensors, \(FileText.name(name)) among them, have more elements than the file has bytes")
      }
    }
  }

  /// Where the tensors are, for messages.
  var places: String {
    FileText.list(
      sets.map { "\($0.keys.isEmpty ? "the outermost" : $0.path) (\($0.tensors.count))" })
  }
}
