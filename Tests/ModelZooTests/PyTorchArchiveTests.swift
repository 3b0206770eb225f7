import Foundation
import GraphCore
@testable import ModelZoo
import TensorCore
import TestSupport
import Testing

/// A file that PyTorch wrote; Fixtures/make.py says how.
func fixture(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)").path
}

@Suite struct PyTorchArchiveTests {
  private let six = fileBytes([0, 1, 2, 3, 4, 5] as [Float])

  private func read(_ data: Data) throws -> [String: Tensor] { try withFile(data) { try WeightFile.read($0) } }

  /// The error that a file gives.
  private func fault(_ data: Data) throws -> String {
    try withFile(data) { path in
      do {
        _ = try WeightFile.read(path)
        return "none"
      } catch let error as BadFile {
        #expect(error.path == path)
        return error.reason
      }
    }
  }

  // MARK: PyTorch's own

  @Test func `views, parameters and types of a real file`() throws {
    let tensors = try WeightFile.read(fixture("views.pth"))
    let expected: [String: ([Int], [Float])] = [
      "transposed": ([6, 4], (0..<6).flatMap { row in (0..<4).map { Float(6 * $0 + row) } }),
      "middle": ([4], [5, 6, 7, 8]),
      "column": ([4], [2, 8, 14, 20]), "channels_last": ([1, 2, 3, 4], (0..<24).map(Float.init)),
      "parameter": ([2, 2], [1, -2, 3.5, 0.25]), "half": ([3], [1.5, -0.25, 65504]),
      "bfloat": ([3], [1.5, -0.25, Float(BFloat16(3e38 as Float))]), "double": ([2], [0.1, -.infinity]),
      "none": ([0, 3], []),
      "long": ([], [7]), "expanded": ([2, 3], [1, 1, 1, 1, 1, 1]),
    ]
    #expect(Set(tensors.keys) == Set(expected.keys))
    for (name, (shape, values)) in expected {
      #expect(tensors[name]?.shape.extents == shape && tensors[name]?.values == values, "\(name)")
      #expect(tensors[name]?.type.dtype == (name == "long" ? .int64 : .float32), "\(name)")
    }
  }

  @Test func `every type of a real file`() throws {
    let tensors = try WeightFile.read(fixture("kinds.pth"))
    #expect(tensors.count == 18)
    for (name, tensor) in tensors {
      if name.contains("float") {
        #expect(tensor.type.dtype == .float32 && tensor.values == [0.5, 1, 2, 4], "\(name)")
      } else if name == "bool" {
        #expect(tensor.type.dtype == .bool && tensor.values == [1, 1, 1, 1])
      } else {
        #expect("\(tensor.type.dtype)" == name && tensor.values == [0, 1, 2, 4], "\(name)")
      }
    }
  }

  @Test func `a checkpoint's state dict, from a parallel training`() throws {
    var graph = smallModel()
    try graph.readWeights(fixture("checkpoint.pth"))
    #expect(
      graph.weights["0.weight"]?.values == [0, 1, 2, 3, 4, 5] && graph.weights["1.bias"]?.values == [30, 31, 32])
    #expect(graph.weights["1.num_batches_tracked"]?.integers == [60] && graph.weights.count == 7)
    #expect(throws: BadFile.self) { try WeightFile.read(fixture("checkpoint.pth")) }
  }

  // MARK: State dicts

  @Test(arguments: [true, false], [true, false]) func `archives with and without records of 64 bits`(
    hasRecord: Bool, areLong: Bool
  ) throws {
    let data = torchFile(
      .ordered([
        ("a", .tensor(count: 6, [2, 3])), ("b", .parameter(.tensor(count: 6, offset: 1, [2, 2], strides: [1, 2]))),
      ]),
      ["0": six], hasLargeRecord: hasRecord, areSizesLong: areLong)
    let tensors = try read(data)
    #expect(tensors["a"]?.values == [0, 1, 2, 3, 4, 5] && tensors["b"]?.values == [1, 3, 2, 4])
  }

  @Test func `a file is known by what it holds`() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).safetensors")
    try torchFile(.dictionary([("a", .tensor(count: 6, [6]))]), ["0": six]).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    #expect(try WeightFile.read(url.path)["a"]?.values == [0, 1, 2, 3, 4, 5])
  }

  /// Weights of ``smallModel()`` on one storage, under a prefix.
  private func state(_ prefix: String = "", without missing: String = "") -> Pickled {
    var items: [(String, Pickled)] = [("0.weight", .tensor(count: 6, [3, 2]))]
    for name in ["0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"] where name != missing {
      items.append((name, .tensor(count: 6, offset: 1, [3])))
    }
    return .ordered(items.map { (prefix + $0.0, $0.1) })
  }

  @Test func `the dictionary with the weights is found among others`() throws {
    let momentum = Pickled.dictionary([
      ("state", .dictionary([("0", .dictionary([("m", .tensor(count: 6, [3, 2]))]))]))
    ])
    for root: Pickled in [
      state(), state("module."), .dictionary([("model", state()), ("optimizer", momentum), ("epoch", .int(3))]),
      .dictionary([("best", .tensor(count: 6, [])), ("state_dict", state("module.")), ("rate", .float(0.1))]),
      .dictionary([("a", .dictionary([("b", .dictionary([("c", state())]))])), ("l", .list([.none, .text("x")]))]),
    ] {
      var graph = smallModel()
      try withFile(torchFile(root, ["0": six])) { try graph.readWeights($0) }
      #expect(graph.weights["0.weight"]?.values == [0, 1, 2, 3, 4, 5] && graph.weights["1.bias"]?.values == [1, 2, 3])
    }
  }

  @Test func `what is not there, or twice, is said with the keys that are`() throws {
    let cases: [(Pickled, [String])] = [
      (.dictionary([("model", state()), ("ema", state("module."))]), ["2 sets of weights", "model.", "ema.module."]),
      (
        .dictionary([("net", state(without: "0.bias")), ("epoch", .int(1))]),
        ["0.bias", "missing under net", "net, epoch"]
      ),
      (state(without: "1.running_var"), ["1.running_var", "missing", "1.running_mean"]),
      (state("module.", without: "0.bias"), ["weight module.0.bias", "missing"]),
      (state("module.", without: "1.running_var"), ["weight module.1.running_var", "missing"]),
      (.dictionary([("epoch", .int(1)), ("name", .text("x"))]), ["no tensors", "epoch, name", "state_dict()"]),
      (.ordered([]), ["empty"]), (.tensor(count: 6, [6]), ["no dictionary", "state_dict()"]),
    ]
    for (root, words) in cases {
      var graph = smallModel()
      let error = #expect(throws: BadFile.self) {
        try withFile(torchFile(root, ["0": six])) { try graph.readWeights($0) }
      }
      for word in words { #expect(error?.reason.contains(word) == true, "\(error?.reason ?? "") lacks \(word)") }
    }
  }

  // MARK: Faults

  @Test func `nothing is run, and what would be is named`() throws {
    let globals: [(Pickled, String)] = [
      (
        .call(.global("os", "system"), [.text("touch /tmp/x")]), "names os.system: only state dicts of tensors are read"
      ),
      (.call(.global("builtins", "eval"), [.text("1")]), "builtins.eval"),
      (.raw(Pickled.text("posix").stackGlobal("system")), "posix.system"),
      (.global("torch", "load"), "torch.load"), (.global("torch.nn.modules.linear", "Linear"), "Linear"),
      (.call(.global("torch._utils", "_rebuild_sparse_tensor"), []), "_rebuild_sparse_tensor"),
      (.global("a\u{1B}[31m", String(repeating: "b", count: 400)), "a\u{FFFD}[31m.bbb"),
    ]
    for (value, words) in globals {
      let fault = try fault(torchFile(.dictionary([("a", .tensor(count: 6, [6])), ("b", value)]), ["0": six]))
      #expect(fault.contains(words) && fault.contains("model/data.pkl at byte") && fault.count < 500, "\(fault)")
    }
  }

  @Test func `other archives and older files say what to do`() throws {
    let state = Pickled.dictionary([("a", .tensor(count: 6, [6]))])
    let cases: [(Data, [String])] = [
      (torchFile(state, ["0": six], more: [ZipEntry("model/constants.pkl", [])]), ["TorchScript", "state_dict()"]),
      (
        torchFile(state, ["0": six], more: [ZipEntry("model/code/a.py", [1, 2], method: 8)]),
        ["TorchScript", "state_dict()"]
      ),
      (torchFile(state, ["0": six], order: "big"), ["big-endian"]),
      (
        Data([0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]),
        ["1.6", "state_dict()"]
      ),
      (zipArchive([ZipEntry("a.npy", [1])]), ["a.npy", "no data.pkl", "state_dict()"]),
      (
        zipArchive([ZipEntry("m/data.pkl", state.pickle), ZipEntry("m/data/0", six, method: 8)]),
        ["m/data/0 is compressed"]
      ),
      (
        zipArchive([ZipEntry("m/data.pkl", state.pickle), ZipEntry("m/data/0", six, flags: 1)]),
        ["m/data/0 is encrypted"]
      ),
      (zipArchive([ZipEntry("m/data.pkl", state.pickle)]), ["tensor a", "no m/data/0"]),
      (zipArchive([ZipEntry("m/data.pkl", []), ZipEntry("m/data.pkl", [])]), ["there twice"]),
      (torchFile(state, ["0": six]).dropLast(30), ["cut off"]), (Data("PK".utf8), ["cut off"]),
      (Data("solid".utf8), ["neither"]), (Data(), ["neither"]),
    ]
    for (data, words) in cases {
      let fault = try fault(Data(data))
      for word in words { #expect(fault.contains(word), "\(fault) lacks \(word)") }
    }
  }

  @Test func `no tensor reaches beyond its storage`() throws {
    let tensors: [(Pickled, String)] = [
      (.tensor(count: 6, [7]), "needs 7"), (.tensor(count: 6, offset: 4, [3]), "behind the first 4"),
      (.tensor(count: 6, [2, 3], strides: [3, 2]), "needs 8"), (.tensor(count: 600, [6]), "a storage with 600"),
      (.tensor("DoubleStorage", count: 6, [6]), "a storage with 6"), (.tensor(count: .max, [6]), "a storage"),
      (.tensor(count: 6, offset: .max, [1]), "behind the first"),
      (.tensor(count: 6, [.max, 1], strides: [1, 1]), "shape"),
      (.tensor(count: 6, [2, 2], strides: [.max, .max]), "shape"), (.tensor(count: 6, [-1]), "no size"),
      (.tensor(count: 6, [2], strides: [-1]), "no size"), (.tensor(count: 6, [2, 3], strides: [1]), "1 strides"),
      (.tensor(count: 6, [Int](repeating: 1, count: 9)), "9 extents"),
      (.tensor(count: 6, [1 << 20, 1 << 18], strides: [0, 0]), "more elements than the file has bytes"),
      (.tensor("ComplexFloatStorage", count: 3, [3]), "weight a is complex64"),
    ]
    for (tensor, words) in tensors {
      let fault = try fault(torchFile(.dictionary([("a", tensor)]), ["0": six]))
      #expect(fault.contains(words), "\(fault) lacks \(words)")
    }
    // Nobody steps along an axis of one element.
    let still = Pickled.tensor(count: 6, [2, 1, 2, 1], strides: [1, .max, 3, .max])
    #expect(try read(torchFile(.dictionary([("a", still)]), ["0": six]))["a"]?.values == [0, 3, 1, 4])
    let many = Pickled.dictionary((0..<1000).map { ("\($0)", .tensor(count: 6, [1000], strides: [0])) })
    #expect(try fault(torchFile(many, ["0": six])).contains("more elements"))
    let bytes = [UInt8](repeating: 0, count: 1 << 20)
    let wide = Pickled.dictionary(
      (0..<300).map { ("\($0)", .tensor("ByteStorage", count: 1 << 20, [2], strides: [(1 << 20) - 1])) })
    #expect(try fault(torchFile(wide, ["0": bytes])).contains("more elements"))
  }

  @Test func `pickles that never end, nest or contain themselves`() throws {
    let deep = [UInt8](repeating: 0x5D, count: 1) + [UInt8](repeating: 0x85, count: 200_000)
    let lists = (0..<100_000).flatMap { _ in Array("}".utf8) } + [UInt8](repeating: 0x85, count: 100_000)
    let cyclic =
      Array("}q\u{0}".utf8) + Pickled.text("a").opcodes(then: "h\u{0}s") + Pickled.text("b").opcodes(then: "h\u{0}s")
    let cases: [([UInt8], String)] = [
      (deep, "no dictionary"), (lists, "no dictionary"), (cyclic, "no tensors"),
      ([UInt8](repeating: 0x4E, count: 1_100_000), "opcodes"),
      (Array("X".utf8) + [0xFF, 0xFF, 0xFF, 0x7F], "ends at byte"),
      ([0x8D] + [UInt8](repeating: 0xFF, count: 8), "size"),
      (Array("0".utf8), "empty stack"), (Array("t".utf8), "no beginning"), (Array("h\u{7}".utf8), "recalls value 7"),
      (Array("I1\n".utf8), "opcode 73 (I)"), (Array("(K\u{1}s".utf8), "stack with fewer"),
      (Array("NR".utf8), "no tuple"),
    ]
    for (opcodes, words) in cases {
      let fault = try fault(torchFile(.raw(opcodes), [:]))
      #expect(fault.contains(words), "\(fault.prefix(300)) lacks \(words)")
    }
  }
}

extension Pickled {
  fileprivate func opcodes(then more: String) -> [UInt8] { Array(pickle.dropFirst(2).dropLast()) + Array(more.utf8) }
  fileprivate func stackGlobal(_ name: String) -> [UInt8] {
    opcodes(then: "") + Pickled.text(name).opcodes(then: "") + [0x93]
  }
}
