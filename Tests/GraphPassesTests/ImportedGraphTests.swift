import BackendCPU
import GraphCore
import GraphPasses
import RuntimeCore
import TensorCore
import Testing

/// What files hold in pieces, before and after the passes that put it together.
@Suite struct ImportedGraphTests {
  private func run(_ pass: any Pass, on graph: Graph) throws -> (text: String, rewrites: Int) {
    let result = try Pipeline([pass]).run(on: graph, for: PlainTarget())
    return (result.graph.description, result.reports[0].rewrites)
  }

  private func convolution(_ graph: inout Graph, bias: Bool) throws -> ValueID {
    let x = graph.addInput("x", TensorType([1, 2, 4, 4]))
    let weight = graph.addConstant("w", try Tensor([3, 2, 1, 1], [1, 2, 3, 4, 5, 6]))
    let biases = bias ? [graph.addConstant("b", try Tensor([3], [1, 2, 3]))] : []
    return try graph.addNode("conv", Conv2D(), [x, weight] + biases)
  }

  @Test func `factors and sums by channel go into a convolution's weights`() throws {
    var graph = Graph(name: "affine")
    let conv = try convolution(&graph, bias: false)
    let scaled = try graph.addNode(
      "scaled", Binary(.multiply), [conv, graph.addConstant("s", try Tensor([3, 1, 1], [2, 3, 4]))])
    let shifted = try graph.addNode(
      "shifted", Binary(.subtract), [scaled, graph.addConstant("t", try Tensor([], [5]))])
    // A number less the sum is none of it.
    graph.setOutputs([
      try graph.addNode("end", Binary(.subtract), [graph.addConstant("o", try Tensor([], [1])), shifted])
    ])
    let (text, rewrites) = try run(FoldBatchNorm(), on: graph)
    #expect(rewrites == 2)
    #expect(
      text == """
        graph affine
          input %x : f32[1x2x4x4]
          %conv = conv2d(%x, #w<f32[3x2x1x1]>, #conv.bias<f32[3]>) : f32[1x3x4x4]
          %end = subtract(#o<f32[]>, %conv) : f32[1x3x4x4]
          return %end

        """)
  }

  @Test func `what differs from pixel to pixel, or is read elsewhere, stays`() throws {
    for isShared in [false, true] {
      var graph = Graph(name: "kept")
      let conv = try convolution(&graph, bias: true)
      let other = try Tensor(isShared ? [1, 3, 1, 1] : [1, 1, 4, 4], (0..<(isShared ? 3 : 16)).map(Float.init))
      let sum = try graph.addNode("sum", Binary(.add), [conv, graph.addConstant("c", other)])
      graph.setOutputs(isShared ? [sum, conv] : [sum])
      #expect(try run(FoldBatchNorm(), on: graph).rewrites == 0)
    }
  }

  /// `x · relu6(x + 3) / 6` as exporters wrote it, the factor here or there; and the others.
  @Test(arguments: ["divided", "scaled", "gate", "gated", "silu", "gelu"])
  func `a function in pieces becomes one op, fused where it can be`(form: String) throws {
    var graph = Graph(name: "pieces")
    let x = try convolution(&graph, bias: true)
    func number(_ value: Float) throws -> ValueID { graph.addConstant("n\(value)", try Tensor([], [value])) }
    func add(_ op: any Op, _ inputs: [ValueID]) throws -> ValueID {
      try graph.addNode("n\(graph.nodes.count)", op, inputs)
    }
    func clamp() throws -> ValueID {
      try add(Activation(.relu6), [add(Binary(.add), [x, number(3)])])
    }
    let result: ValueID
    switch form {
    case "divided": result = try add(Binary(.divide), [add(Binary(.multiply), [x, clamp()]), number(6)])
    case "scaled": result = try add(Binary(.multiply), [number(1 / 6), add(Binary(.multiply), [clamp(), x])])
    case "gate": result = try add(Binary(.divide), [clamp(), number(6)])
    case "gated": result = try add(Binary(.multiply), [add(Binary(.divide), [clamp(), number(6)]), x])
    case "silu": result = try add(Binary(.multiply), [x, add(Activation(.sigmoid), [x])])
    default:
      let inner = try add(Binary(.multiply), [x, number(0.70710678)])
      let sum = try add(Binary(.add), [add(Unary(.erf), [inner]), number(1)])
      result = try add(Binary(.multiply), [add(Binary(.multiply), [x, sum]), number(0.5)])
    }
    graph.setOutputs([result])
    let names = [
      "divided": "hard-swish", "scaled": "hard-swish", "gate": "hard-sigmoid", "gated": "hard-swish", "silu": "silu",
    ]
    let fused = try Pipeline([FuseActivation()]).run(on: graph, for: PlainTarget()).graph
    if let name = names[form] {
      #expect(fused.nodes.count == 1)
      #expect((fused.nodes[0].op as? Conv2D)?.epilogue?.description == name)
    } else {
      #expect(fused.nodes.map(\.op.name) == ["conv2d", "gelu"])
    }
  }

  @Test(arguments: [
    "power", "product", "several axes", "other axis", "shared", "no square", "of another", "other mean",
  ])
  func `a layer norm in pieces becomes one, with its factors and sums`(form: String) throws {
    var graph = Graph(name: "pieces")
    let x = graph.addInput("x", TensorType([2, 3, 4]))
    let y = graph.addInput("y", TensorType([2, 3, 4]))
    func add(_ name: String, _ op: any Op, _ inputs: [ValueID]) throws -> ValueID {
      try graph.addNode(name, op, inputs)
    }
    func number(_ name: String, _ value: Float) throws -> ValueID { graph.addConstant(name, try Tensor([], [value])) }
    let axes = ["several axes": [1, 2], "other axis": [1]][form] ?? [2]
    let mean = try add("mean", Reduce(.mean, axes: axes), [x])
    let centred = try add("centred", Binary(.subtract), [form == "of another" ? y : x, mean])
    // Centred otherwise than what is divided.
    let spread =
      form == "other mean"
      ? try add("spread", Binary(.subtract), [x, add("all", Reduce(.mean, axes: [1, 2]), [x])]) : centred
    let square =
      form == "product"
      ? try add("square", Binary(.multiply), [spread, spread])
      : try add("square", Binary(.power), [spread, number("two", form == "no square" ? 3 : 2)])
    let variance = try add("variance", Reduce(.mean, axes: axes), [square])
    let root = try add("root", Unary(.squareRoot), [add("sum", Binary(.add), [variance, number("eps", 1e-6)])])
    let normal = try add("normal", Binary(.divide), [centred, root])
    let shape = Shape(form == "several axes" ? [3, 4] : [4])
    let values = (0..<shape.count).map { Float($0) + 1 }
    let scaled = try add(
      "scaled", Binary(.multiply), [graph.addConstant("scale", try Tensor(shape, values)), normal])
    let end = try add("end", Binary(.add), [scaled, graph.addConstant("bias", try Tensor(shape, values))])
    graph.setOutputs(form == "shared" ? [end, normal] : [end])

    let (text, _) = try run(FuseActivation(), on: graph)
    switch form {
    case "power", "product", "several axes":
      let (axis, type) = form == "several axes" ? (1, "3x4") : (2, "4")
      #expect(
        text == """
          graph pieces
            input %x : f32[2x3x4]
            input %y : f32[2x3x4]
            %end = layer_norm(%x, #scale<f32[\(type)]>, #bias<f32[\(type)]>) {axis=\(axis) eps=1e-06} : f32[2x3x4]
            return %end

          """)
    case "shared":
      #expect(text.contains("%normal = layer_norm(%x) {axis=2 eps=1e-06}") && text.contains("%end = add("), "\(text)")
    default: #expect(!text.contains("layer_norm"), "\(text)")
    }
  }

  @Test(arguments: [(2, 2, 0, 0), (3, 2, 1, 1), (3, 1, 0, 0), (4, 3, 1, 0), (1, 2, 0, 1)])
  func `a transposed convolution is one convolution whose channels are spread`(
    kernel: Int, stride: Int, padding: Int, extra: Int
  ) throws {
    var graph = Graph(name: "transposed")
    let x = graph.addInput("x", TensorType([2, 3, 5, 4]))
    let values = (0..<3 * 2 * kernel * kernel).map { Float($0 * 7 % 11) - 5 }
    let weight = graph.addConstant("w", try Tensor([3, 2, kernel, kernel], values))
    let bias = graph.addConstant("b", try Tensor([2], [1, -2]))
    graph.setOutputs([
      try graph.addNode(
        "up",
        ConvTranspose2D(
          stride: Pair(stride, stride), padding: Padding(padding, padding), outputPadding: Pair(extra, extra),
          epilogue: .relu), [x, weight, bias])
    ])
    // The pipeline holds the result against the op's own loops.
    let (text, rewrites) = try run(SplitTransposed(), on: graph)
    let isPossible = extra + kernel <= stride * ((kernel + stride - 1) / stride) || padding > 0
    #expect(rewrites == (isPossible ? 1 : 0), "\(text)")
    #expect(text.contains("conv_transpose2d") == !isPossible)
  }

  @Test func `channels-last converts an image when it is bytes`() throws {
    func text(readTwice: Bool) throws -> String {
      var graph = Graph(name: "bytes")
      let x = graph.addInput("x", TensorType([1, 2, 4, 4]))
      let narrow = try graph.addNode("narrow", Requantize(), [x], stored: StoredType(.uint8, scale: 0.5))
      let pooled = try graph.addNode("pooled", MaxPool2D(Window(kernel: Pair(2, 2))), [narrow])
      graph.setOutputs(
        readTwice ? [pooled, try graph.addNode("max", MaxPool2D(Window(kernel: Pair(4, 4))), [x])] : [pooled])
      return try run(ChannelsLast(), on: graph).0
    }
    let once = try text(readTwice: false)
    #expect(
      once.contains("%narrow = requantize(%x)") && once.contains("%narrow.nhwc = convert_format(%narrow)"), "\(once)")
    #expect(!once.contains("%x.nhwc"), "\(once)")
    let twice = try text(readTwice: true)
    #expect(twice.contains("%x.nhwc = convert_format(%x)") && !twice.contains("%narrow.nhwc"), "\(twice)")
  }

  @Test func `channels-last leaves alone what lies alike`() throws {
    var graph = Graph(name: "alike")
    let conv = try convolution(&graph, bias: true)
    let scaled = try graph.addNode(
      "scaled", Binary(.multiply), [conv, graph.addConstant("s", try Tensor([3, 1, 1], [2, 3, 4]))])
    graph.setOutputs([try graph.addNode("plus", Binary(.add), [scaled, graph.addConstant("t", try Tensor([], [5]))])])
    let (text, _) = try run(ChannelsLast(), on: graph)
    #expect(
      text == """
        graph alike
          input %x : f32[1x2x4x4]
          %x.nhwc = convert_format(%x) {to=nhwc} : f32[1x2x4x4] nhwc
          %conv = conv2d(%x.nhwc, #w<f32[3x2x1x1]>, #b<f32[3]>) : f32[1x3x4x4] nhwc
          %scaled = multiply(%conv, #s<f32[3x1x1]>) : f32[1x3x4x4] nhwc
          %plus = add(%scaled, #t<f32[]>) : f32[1x3x4x4] nhwc
          %plus.nchw = convert_format(%plus) {to=nchw} : f32[1x3x4x4]
          return %plus.nchw

        """)
  }
}
