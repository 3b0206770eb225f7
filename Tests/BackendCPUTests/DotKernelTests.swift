import BackendCPU
import BenchStatistics
import GraphCore
import GraphPasses
import RuntimeCore
import TensorCore
import Testing

/// Kernels of bytes give what the ops' own loops give, to the bit, on every instruction set.
@Suite struct DotKernelTests {
  /// Bytes that stand for numbers; with extreme ones alone where `isExtreme`.
  private func bytes(
    _ shape: Shape, _ stored: StoredType, isExtreme: Bool, isSmall: Bool = false, _ draw: inout SeededGenerator
  ) throws -> Tensor {
    let weights: ClosedRange<Int64> = isSmall ? -64...64 : -128...127
    let range: ClosedRange<Int64> = stored.dtype == .uint8 ? 0...255 : stored.dtype == .int8 ? weights : -9999...9999
    return try Tensor(
      quantized: shape,
      (0..<shape.count).map { _ in
        isExtreme && stored.dtype != .int32
          ? (Bool.random(using: &draw) ? range.lowerBound : range.upperBound) : Int64.random(in: range, using: &draw)
      }, stored)
  }

  /// A convolution or linear layer of bytes on random ones: zero points at both ends and between, weights per channel and per tensor,
  /// results as bytes and as numbers. Weights of some rounds are within ±64, of which some kernels add up two products in 16 bits.
  private func quantised(_ opCase: OpCase, round: Int) throws -> (graph: Graph, arguments: [Tensor])? {
    guard let op = opCase.op as? any FusingOp, op is Conv2D || op is Linear else { return nil }
    var draw = SeededGenerator(seed: UInt64(round + 1))
    let outputs = opCase.inputs[1][0]
    let zero: Int32 = [0, 255, 117][round % 3]
    let input = StoredType(.uint8, scale: 0.02, zeroPoint: zero)
    let isPerChannel = round % 2 == 0
    let scales = (0..<outputs).map { 0.002 + 0.0001 * Float($0) }
    let weight =
      isPerChannel
      ? StoredType(dtype: .int8, quantization: Quantization(scales: scales, axis: 0)) : StoredType(.int8, scale: 0.003)
    let products = Node.scales(input.quantization!, weight.quantization!, outputs: isPerChannel ? outputs : 1)
    let bias = StoredType(
      dtype: .int32,
      quantization: isPerChannel
        ? Quantization(scales: products, axis: 0) : Quantization(scale: products[0], zeroPoint: 0))
    let result = StoredType(.uint8, scale: round % 4 == 1 ? 0.0007 : 0.11, zeroPoint: [128, 0, 255][round % 3])
    let residual = StoredType(.uint8, scale: 0.07, zeroPoint: 33)
    var graph = Graph(name: opCase.name)
    var (ids, arguments): ([ValueID], [Tensor]) = ([], [])
    for (index, shape) in opCase.inputs.enumerated() {
      let tensor = try bytes(
        shape, [input, weight, bias, residual][index], isExtreme: round % 5 == 4, isSmall: round % 4 >= 2, &draw)
      if op.parameterInputs.contains(index) {
        ids.append(graph.addConstant("p\(index)", tensor))
      } else {
        ids.append(graph.addInput("x\(index)", tensor.type))
        arguments.append(tensor)
      }
    }
    graph.setOutputs([try graph.addNode("op", op, ids, stored: round % 4 == 3 ? nil : result)])
    return (graph, arguments)
  }

  @Test(arguments: InstructionSet.available)
  func `convolutions and linear layers of bytes`(_ set: InstructionSet) throws {
    var kernels = Set<String>()
    var packedSmall = 0
    for (index, opCase) in opCases.enumerated() {
      for round in [index % 15, (index * 7 + 3) % 15] {
        guard let (graph, arguments) = try quantised(opCase, round: round) else { continue }
        let expected = try graph.evaluate(arguments)[0]
        for passes: [any Pass] in [[ChannelsLast()], [ChannelsLast(), PrepackWeights()]] {
          for threads in [1, 2] {
            let backend = CPUBackend(instructionSet: set)
            let options = PrepareOptions(threads: threads)
            let rewritten = try Pipeline(passes).run(on: graph, for: backend.target(options)).graph
            for value in rewritten.values {
              if case .dots(let layout) = value.type.format, layout.isSmall { packedSmall += 1 }
            }
            let executable = try backend.prepare(rewritten, options)
            let session = try executable.makeSession()
            for (input, argument) in zip(session.inputs, arguments) { input.write(argument) }
            for _ in 0..<2 { try session.run() }
            kernels.formUnion(executable.placement.map(\.kernel))
            let found = session.outputs[0].actual
            #expect(found.type == expected.type)
            let differences =
              expected.type.quantization == nil
              ? zip(found.values, expected.values).count { $0 != $1 }
              : zip(try found.allIntegers(), try expected.allIntegers()).count { $0 != $1 }
            #expect(
              differences == 0,
              "\(opCase.name), round \(round), \(threads) threads, \(passes.count) passes: \(differences) of \(expected.shape.count) differ on \(executable.placement.map(\.kernel))"
            )
          }
        }
      }
    }
    // Where the set has something for them.
    #expect((packedSmall > 0) == (set == .avx2))
    for name in ["pointwise-dots-nhwc-", "conv-dots-nhwc-", "depthwise-dots-nhwc-", "linear-dots-"] {
      #expect(kernels.contains(name + set.rawValue), "\(kernels.sorted())")
    }
  }

  @Test(arguments: InstructionSet.available)
  func `linear layers whose ranges are found as they run`(_ set: InstructionSet) throws {
    var draw = SeededGenerator(seed: 5)
    var kernels = Set<String>()
    let shapes: [(Shape, Int)] = [
      ([1, 3], 1), ([2, 7], 5), ([1, 64], 10), ([5, 130], 33), ([17, 8], 100), ([2, 3, 12], 16), ([7, 1031], 67),
    ]
    for (index, (shape, outputs)) in shapes.enumerated() {
      let depth = shape.extents.last!
      for kind in 0..<10 {
        let numbers = (0..<shape.count).map { place -> Float in
          let number = Float.random(in: -3...3, using: &draw)
          switch kind {
          case 0: return number
          case 1: return abs(number)
          case 2: return -abs(number)
          case 3: return 0
          case 4: return place % 5 == 3 ? .nan : number
          // Every integer is the least or the largest one.
          case 5: return number < 0 ? -127 : 128
          case 6: return number * 0.01 * .leastNormalMagnitude
          // A range that float32 does not hold, an infinite number, a scale of nothing.
          case 7: return number * 1e38
          case 8: return place == 2 ? .infinity : number
          default: return place == 1 ? .leastNonzeroMagnitude : 0
          }
        }
        let isPerChannel = (index + kind) % 2 == 0
        let stored =
          isPerChannel
          ? StoredType(
            dtype: .int8, quantization: Quantization(scales: (0..<outputs).map { 0.002 + 0.0001 * Float($0) }, axis: 0))
          : StoredType(.int8, scale: 0.003)
        var graph = Graph(name: "dynamic")
        var ids = [graph.addInput("x", TensorType(shape))]
        ids.append(
          graph.addConstant(
            "w", try bytes([outputs, depth], stored, isExtreme: kind == 5, isSmall: index % 2 == 0, &draw)))
        if kind % 3 != 2 {
          let bias = (0..<outputs).map { _ in Float.random(in: -1...1, using: &draw) }
          ids.append(graph.addConstant("b", try Tensor([outputs], bias)))
        }
        let epilogue: Epilogue? =
          kind > 6 ? nil : [nil, .relu6, .clamp(Clamp(min: -1, max: 0.5)), .silu][(index + kind) % 4]
        graph.setOutputs([try graph.addNode("op", DynamicLinear(epilogue: epilogue), ids)])
        let argument = try Tensor(shape, numbers)
        let expected = try graph.evaluate([argument])[0]
        // Of more than limits kernels give the next number.
        let tolerance: Float = epilogue == .silu ? 1e-6 : 0
        try eachWay(graph, argument, on: set) { way, found, placed in
          kernels.formUnion(placed)
          let differences = zip(found[0].values, expected.values).count { a, b in
            !(a == b || a.isNaN && b.isNaN || abs(a - b) <= tolerance * max(1, abs(b)))
          }
          #expect(
            found[0].type == expected.type && differences == 0,
            "\(shape) to \(outputs), kind \(kind), \(way): \(differences) differ")
        }
      }
    }
    #expect(kernels == ["dynamic-linear-dots-" + set.rawValue])
  }

  @Test(arguments: InstructionSet.available)
  func `LSTMs whose ranges are found as they run`(_ set: InstructionSet) throws {
    var draw = SeededGenerator(seed: 6)
    func tensor(_ shape: Shape, _ range: ClosedRange<Float> = -1...1) throws -> Tensor {
      try Tensor(shape, (0..<shape.count).map { _ in Float.random(in: range, using: &draw) })
    }
    let directions: [Recurrent.Direction] = [.forward, .reverse, .bidirectional]
    let sizes: [(steps: Int, batch: Int, width: Int, hidden: Int)] = [
      (1, 1, 3, 1), (5, 2, 7, 10), (4, 1, 40, 33), (3, 3, 64, 16),
    ]
    for (index, size) in sizes.enumerated() {
      for (number, direction) in directions.enumerated() {
        let (d, rows) = (direction.count, 4 * size.hidden)
        let given: Recurrent.Given = [[], .bias, [.bias, .hidden, .cell]][(index + number) % 3]
        func weight(_ depth: Int) throws -> Tensor {
          let scales = (0..<d * rows).map { 0.004 + 0.0001 * Float($0 % 9) }
          let each = StoredType(dtype: .int8, quantization: Quantization(scales: scales, axis: 0))
          let stored = number == 1 ? StoredType(.int8, scale: 0.006) : each
          return try bytes([d * rows, depth], stored, isExtreme: false, &draw)
        }
        var graph = Graph(name: "lstm")
        let x = try tensor([size.steps, size.batch, size.width], -2...3)
        var ids = [
          graph.addInput("x", x.type), graph.addConstant("w", try weight(size.width)),
          graph.addConstant("r", try weight(size.hidden)),
        ]
        if given.contains(.bias) { ids.append(graph.addConstant("b", try tensor([d, 2 * rows]))) }
        for name in ["h", "c"] where given.contains(.hidden) {
          ids.append(graph.addConstant(name, try tensor([d, size.batch, size.hidden])))
        }
        let op = DynamicRecurrent(Recurrent(.lstm(couplesGates: false), direction: direction, given: given))
        graph.setOutputs(try graph.addNodes("lstm", op, ids, stored: nil))
        let expected = try graph.evaluate([x])
        try eachWay(graph, x, on: set) { way, outputs, placed in
          #expect(placed == ["dynamic-lstm-dots-" + set.rawValue])
          for (found, expected) in zip(outputs, expected) {
            let differences = zip(found.values, expected.values).count { $0 != $1 }
            #expect(
              found.type == expected.type && differences == 0,
              "\(size), \(direction), \(way): \(differences) differ")
          }
        }
      }
    }
  }

  /// What a graph gives with its weights as they are and packed, on one thread and two, the second time that it runs.
  private func eachWay(
    _ graph: Graph, _ argument: Tensor, on set: InstructionSet,
    _ body: (_ way: String, _ outputs: [Tensor], _ kernels: [String]) throws -> Void
  ) throws {
    for passes: [any Pass] in [[], [PrepackWeights()]] {
      for threads in [1, 2] {
        let backend = CPUBackend(instructionSet: set)
        let options = PrepareOptions(threads: threads)
        let rewritten = try Pipeline(passes).run(on: graph, for: backend.target(options)).graph
        let session = try backend.prepare(rewritten, options).makeSession()
        for _ in 0..<2 { try session.run(with: [argument]) }
        try body(
          "\(passes.count) passes, \(threads) threads", session.outputs.map(\.actual),
          session.executable.placement.map(\.kernel))
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func `numbers to bytes, back, and functions of bytes`(_ set: InstructionSet) throws {
    let backend = CPUBackend(instructionSet: set)
    let numbers = (0..<5003).map { Float($0 - 2500) * 0.013 } + [.infinity, -.infinity, .nan, -0.0, 0.05, 0.15]
    let stored: [StoredType?] = [
      StoredType(.uint8, scale: 0.1, zeroPoint: 40), StoredType(.int8, scale: 0.1, zeroPoint: -7),
      StoredType(.int8, scale: 3), StoredType(.uint8, scale: 0.01, zeroPoint: 255), nil,
    ]
    let ops: [any Op] = [Requantize(), Activation(.hardSwish), Activation(.silu), Activation(.relu6), Unary(.negate)]
    for from in stored {
      for to in stored {
        for op in ops {
          var graph = Graph(name: "bytes")
          let x = graph.addInput("x", TensorType([numbers.count]))
          let narrow = try graph.addNode("in", Requantize(), [x], stored: from)
          graph.setOutputs([
            try graph.addNode("out", Requantize(), [try graph.addNode("op", op, [narrow], stored: to)])
          ])
          let argument = try Tensor([numbers.count], numbers)
          let expected = try graph.evaluate([argument])[0].values
          let executable = try backend.prepare(graph, PrepareOptions())
          let session = try executable.makeSession()
          session.inputs[0].write(argument)
          try session.run()
          // What is computed in float32 may round in another order.
          let isExact = from != nil && to != nil || op is Requantize
          let wrong = zip(session.outputs[0].values, expected).filter { a, b in
            a != b && !(a.isNaN && b.isNaN) && (isExact || (a - b).magnitude > 0.0501 * max(1, b.magnitude))
          }
          #expect(wrong.isEmpty, "\(from as Any) \(op) \(to as Any): \(wrong.prefix(3))")
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func `what lies between two bytes becomes the one that a division gives`(_ set: InstructionSet) throws {
    var draw = SeededGenerator(seed: 9)
    // The last three are no good for an inverse.
    let drawn = (0..<40).map { _ in Float.random(in: 1..<2, using: &draw) * Float.random(in: 0.001...3, using: &draw) }
    for scale in drawn + [1, 0.1, Float(2).nextDown, 0x1p-64, 0x1p64, 0x1p-65, 0x1p-130, 1e30] {
      let middles = (-300..<300).map { (Float($0) + 0.5) * scale }
      let numbers =
        middles.flatMap { [$0, $0.nextUp, $0.nextDown] } + [
          .infinity, -.infinity, .nan, 3e38, -3e38, .leastNonzeroMagnitude,
        ]
      var graph = Graph(name: "bytes")
      let x = graph.addInput("x", TensorType([numbers.count]))
      graph.setOutputs([
        try graph.addNode("in", Requantize(), [x], stored: StoredType(.uint8, scale: scale, zeroPoint: 101))
      ])
      let argument = try Tensor([numbers.count], numbers)
      let executable = try CPUBackend(instructionSet: set).prepare(graph, PrepareOptions())
      let session = try executable.makeSession()
      session.inputs[0].write(argument)
      try session.run()
      #expect(executable.placement.map(\.kernel) == ["quantize-" + set.rawValue])
      #expect(try session.outputs[0].actual.allIntegers() == graph.evaluate([argument])[0].allIntegers(), "\(scale)")
    }
  }

  @Test(arguments: InstructionSet.available)
  func `images of bytes to channels-last and back`(_ set: InstructionSet) throws {
    var draw = SeededGenerator(seed: 8)
    let stored = StoredType(.uint8, scale: 0.03, zeroPoint: 201)
    for shape: Shape in [[2, 3, 5, 7], [1, 3, 33, 17], [1, 37, 9, 10], [3, 1, 4, 4]] {
      for threads in [1, 2] {
        var graph = Graph(name: "formats")
        let argument = try bytes(shape, stored, isExtreme: false, &draw)
        let last = try graph.addNode("last", ConvertFormat(to: .nhwc), [graph.addInput("x", argument.type)])
        graph.setOutputs([last, try graph.addNode("first", ConvertFormat(to: .nchw), [last])])
        let executable = try CPUBackend(instructionSet: set).prepare(graph, PrepareOptions(threads: threads))
        let session = try executable.makeSession()
        session.inputs[0].write(argument)
        try session.run()
        #expect(executable.placement.map(\.kernel) == ["to-nhwc", "to-nchw"])
        let (integers, (channels, pixels)) = (try argument.allIntegers(), (shape[1], shape[2] * shape[3]))
        #expect(try session.outputs[1].actual.allIntegers() == integers)
        let found = session.outputs[0].storage.pointer.assumingMemoryBound(to: UInt8.self)
        let places = integers.indices.map { place in
          let (image, rest) = place.quotientAndRemainder(dividingBy: channels * pixels)
          return image * channels * pixels + rest % pixels * channels + rest / pixels
        }
        #expect(integers.indices.allSatisfy { Int64(found[places[$0]]) == integers[$0] }, "\(shape)")
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func `a format that is stored as bytes as it changes is rounded`(_ set: InstructionSet) throws {
    var graph = Graph(name: "stored")
    let x = graph.addInput("x", TensorType([1, 3, 8, 8]))
    let last = try graph.addNode(
      "last", ConvertFormat(to: .nhwc), [x], stored: StoredType(.uint8, scale: 0.1, zeroPoint: 7))
    graph.setOutputs([try graph.addNode("first", ConvertFormat(to: .nchw), [last])])
    let argument = try Tensor([1, 3, 8, 8], (0..<192).map { Float($0) * 0.17 - 3 })
    let session = try CPUBackend(instructionSet: set).prepare(graph, PrepareOptions()).makeSession()
    session.inputs[0].write(argument)
    try session.run()
    #expect(try session.outputs[0].actual.allIntegers() == graph.evaluate([argument])[0].allIntegers())
  }

  @Test(arguments: InstructionSet.available)
  func `a residual within limits that no byte comes near`(_ set: InstructionSet) throws {
    var draw = SeededGenerator(seed: 4)
    let input = StoredType(.uint8, scale: 0.02, zeroPoint: 9)
    let limits = [(-Float.infinity, Float(-1e30)), (1e30, .infinity), (-1e30, 1e30), (-.infinity, .infinity)]
    for (low, high) in limits {
      for scale: Float in [1e-9, 0.1, 1e9] {
        var graph = Graph(name: "limits")
        let arguments = [
          try bytes([1, 8, 3, 3], input, isExtreme: false, &draw),
          try bytes([1, 32, 3, 3], input, isExtreme: false, &draw),
        ]
        let weight = graph.addConstant(
          "w", try bytes([32, 8, 1, 1], StoredType(.int8, scale: 0.01), isExtreme: false, &draw))
        let bias = graph.addConstant(
          "b", try bytes([32], StoredType(.int32, scale: 0.02 * 0.01), isExtreme: false, &draw))
        let ids = arguments.enumerated().map { graph.addInput("x\($0)", $1.type) }
        graph.setOutputs([
          try graph.addNode(
            "conv", Conv2D(epilogue: .clamp(Clamp(min: low, max: high))), [ids[0], weight, bias, ids[1]],
            stored: StoredType(.uint8, scale: scale, zeroPoint: 100))
        ])
        let backend = CPUBackend(instructionSet: set)
        let rewritten = try Pipeline([ChannelsLast()]).run(on: graph, for: backend.target(PrepareOptions())).graph
        let session = try backend.prepare(rewritten, PrepareOptions()).makeSession()
        try session.run(with: arguments)
        #expect(
          try session.outputs[0].actual.allIntegers() == graph.evaluate(arguments)[0].allIntegers(),
          "\(low) to \(high), scale \(scale)")
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func `means and maxima of bytes`(_ set: InstructionSet) throws {
    let backend = CPUBackend(instructionSet: set)
    var draw = SeededGenerator(seed: 3)
    let input = StoredType(.uint8, scale: 0.03, zeroPoint: 201)
    let result = StoredType(.uint8, scale: 0.011, zeroPoint: 12)
    let window = Window(kernel: Pair(3, 2), stride: Pair(2, 1), padding: Padding(1, 1))
    let ops: [(any Op, StoredType?)] = [
      (GlobalAveragePool(), result), (GlobalAveragePool(), nil), (AveragePool2D(window), result),
      (AveragePool2D(window, countsPadding: true), result), (AveragePool2D(window), nil), (MaxPool2D(window), input),
    ]
    for (op, stored) in ops {
      for shape: Shape in [[2, 37, 7, 9], [1, 3, 5, 4], [1, 64, 1, 1]] {
        var graph = Graph(name: "pool")
        let argument = try bytes(shape, input, isExtreme: false, &draw)
        let x = graph.addInput("x", argument.type)
        graph.setOutputs([try graph.addNode("pool", op, [x], stored: stored)])
        let expected = try graph.evaluate([argument])[0]
        let rewritten = try Pipeline([ChannelsLast()]).run(on: graph, for: backend.target(PrepareOptions())).graph
        let executable = try backend.prepare(rewritten, PrepareOptions())
        let session = try executable.makeSession()
        session.inputs[0].write(argument)
        try session.run()
        #expect(executable.placement.contains { $0.kernel == "pool-bytes-" + set.rawValue })
        #expect(session.outputs[0].actual.values == expected.values, "\(op) of \(shape)")
      }
    }
  }
}
