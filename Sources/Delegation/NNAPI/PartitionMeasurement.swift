import GraphCore
import RuntimeCore
import TensorCore

extension NNAPIBackend {
  /// Measures what each node costs on each device, what an execution costs besides, and what a byte costs that is copied, and finds the
  /// partition that takes the least time by that. Takes seconds, in which nothing else should run.
  /// - Parameters:
  ///   - graph: As it is before `passes`.
  ///   - passes: Those with which it will be prepared.
  ///   - fallback: As of the placer that will prepare it.
  ///   - samples: See ``PassContext``.
  /// - Throws: where a graph cannot be prepared at all. A driver that fails gets no nodes.
  public func measuredPartition(
    of graph: Graph, passes: [any Pass], fallback: (any Backend)?, _ options: PrepareOptions, samples: [[Tensor]] = []
  ) throws -> MeasuredPartition {
    var plain = self
    plain.partition = .nnapi
    let placer = try Placer(plain, fallback: fallback, options)
    let split = passes.firstIndex(where: \.isForTarget) ?? passes.count
    let portable = try Pipeline(Array(passes[..<split]), checksNumbers: false)
      .run(on: graph, for: placer, samples: samples).graph
    let measurement = PartitionMeasurement(graph: portable, passes: Array(passes[split...]), samples: samples)
    let byteNs = try PartitionMeasurement.byteNs()
    func devices() throws -> [MeasuredPartition.Device] {
      try placer.backends.map { backend in
        guard !(backend is InterpreterDevice) else {
          return .init(name: backend.name, isHost: true, executionNs: 0, nodeNs: portable.nodes.map { _ in nil })
        }
        var alone = plain
        alone.sole = backend.name
        if let driver = backend as? any ModelDevice {
          // No other driver's time or failure is to be taken for its own.
          (alone.drivers, alone.isExplicit, alone.timeoutNs) = ([driver.profile], false, nil)
        }
        let placer =
          try backend is any NNAPIDevice ? Placer(alone, fallback: fallback, options) : Placer(backend, options)
        return measurement.device(backend, placer, byteNs: byteNs)
      }
    }
    // What is planned by times that were measured once, of many the smallest, is expected to take less than it does: another measurement
    // tells what it takes, and chooses between the few plans there are then.
    var (first, second) = (try devices(), try devices())
    for index in first.indices {
      guard let failure = first[index].failure ?? second[index].failure else { continue }
      for position in portable.nodes.indices { first[index].nodeNs[position] = nil }
      (second[index].nodeNs, second[index].failure) = (first[index].nodeNs, failure)
    }
    let nnapi = plain.placement.choose(portable, among: placer.backends, options, isFinal: false).map(\.backend)
    // Control flow stays where NNAPI has it.
    let isFixed = portable.nodes.map { $0.op is any ControlOp }
    for node in portable.nodes.indices where isFixed[node] {
      first[nnapi[node]].nodeNs[node] = 0
      second[nnapi[node]].nodeNs[node] = 0
    }
    func model(_ devices: [MeasuredPartition.Device]) -> PartitionModel {
      PartitionModel(portable, devices, byteNs: byteNs)
    }
    let choices = Self.withOneProcessor(first, isFixed)
    /// Every node on one device as far as it takes them, each of the others where it is fastest.
    func start(_ preferred: Int) -> [Int] {
      portable.nodes.indices.map { node in
        if isFixed[node] { return nnapi[node] }
        if choices[preferred].nodeNs[node] != nil { return preferred }
        let able = choices.indices.filter { choices[$0].nodeNs[node] != nil }
        // A processor before a driver: what is left over is to cause no copies of its own.
        return able.min { a, b in
          let (left, right) = (choices[a], choices[b])
          return left.isHost != right.isHost ? left.isHost : left.nodeNs[node]! < right.nodeNs[node]!
        } ?? nnapi[node]
      }
    }
    let starts = choices.indices.map(start)
    let found = model(choices).best(from: starts, isFixed: isFixed)?.placed
    let check = model(second)
    // The simple ones first: another one has to be faster.
    let plans = (starts + [nnapi] + [found].compactMap { $0 }).compactMap { placed in
      check.cost(placed).map { (placed, $0) }
    }
    guard let (placed, cost) = plans.min(by: { $0.1.totalNs < $1.1.totalNs }) else {
      let failures = second.compactMap { device in device.failure.map { "\(device.name): \($0)" } }
      throw Unsupported(
        "no partition of the graph could be measured"
          + (failures.isEmpty ? "" : "; \(failures.joined(separator: "; "))"))
    }
    let unmeasured = isFixed.contains(true) ? isFixed.count { $0 } : nil
    var costs = (own: check.cost(nnapi), planned: cost)
    costs.planned.unmeasuredNodes = unmeasured
    costs.own?.unmeasuredNodes = unmeasured
    return MeasuredPartition(
      graph: portable.structureDigest.hex, devices: second, byteNs: byteNs,
      chosen: placed.map { second[$0].name }, cost: costs.planned, unmeasuredCost: costs.own)
  }

  /// Of several processors' codes the fastest alone runs what it takes: to go from one to the other for each node that seems faster there
  /// would follow the noise of the measurement, and break up what passes fuse.
  private static func withOneProcessor(
    _ devices: [MeasuredPartition.Device], _ isFixed: [Bool]
  ) -> [MeasuredPartition.Device] {
    let hosts = devices.indices.filter { device in
      devices[device].isHost && zip(devices[device].nodeNs, isFixed).contains { $0 != nil && !$1 }
    }
    func isFaster(_ a: Int, _ b: Int) -> Bool {
      let both = zip(devices[a].nodeNs, devices[b].nodeNs).compactMap { a, b in a.flatMap { a in b.map { (a, $0) } } }
      return both.reduce(0) { $0 + $1.0 } < both.reduce(0) { $0 + $1.1 }
    }
    guard let main = hosts.min(by: isFaster) else { return devices }
    var choices = devices
    for host in hosts where host != main {
      for node in isFixed.indices where !isFixed[node] && devices[main].nodeNs[node] != nil {
        choices[host].nodeNs[node] = nil
      }
    }
    return choices
  }
}

/// Times the nodes of a graph on one device after the other.
private struct PartitionMeasurement {
  /// As it is when it is placed.
  let graph: Graph
  /// What is still to be done with it, knowing the device.
  let passes: [any Pass]
  let samples: [[Tensor]]

  /// Nanoseconds of a run, and of that in drivers, where there are any.
  private struct Time {
    var wallNs: Double
    var inDriverNs: Double?
  }

  /// - Parameter placer: gives the device whatever it takes.
  func device(_ backend: any Backend, _ placer: Placer, byteNs: Double) -> MeasuredPartition.Device {
    let isHost = !(backend is any ModelDevice)
    var device = MeasuredPartition.Device(
      name: backend.name, isHost: isHost, executionNs: 0, nodeNs: graph.nodes.map { _ in nil })
    do { try measure(&device, placer, byteNs: byteNs) } catch {
      device.failure = "\(error)"
      device.nodeNs = graph.nodes.map { _ in nil }
    }
    return device
  }

  private func measure(_ device: inout MeasuredPartition.Device, _ placer: Placer, byteNs: Double) throws {
    var placing = graph
    placer.place(&placing)
    let position = placer.backends.firstIndex { $0.name == device.name }!
    let isTaken = placing.nodes.map { ($0.placed ?? 0) == position && !($0.op is any ControlOp) }
    guard isTaken.contains(true) else { return }
    let optimised = try Pipeline(passes, checksNumbers: false).run(on: graph, for: placer, samples: samples).graph
    let whole = try placer.prepare(optimised)
    let (final, places) = (whole.plan.graph, whole.placement)
    let own = final.nodes.indices.filter { places[$0].backend == device.name && !(final.nodes[$0].op is any ControlOp) }

    // Each node alone, of those alike one.
    var times: [String: Time] = [:]
    var outside: [Double] = []
    var alone: [Int: Double] = [:]
    /// Those that ran alone: a view does not run, and how large what is an upper bound is, is known in a whole run alone.
    var timed: [Int] = []
    for index in own {
      let node = final.nodes[index]
      let types = final.inputTypes(of: node)
      alone[index] = 0
      guard places[index].kernel != "view", !types.contains(where: \.isUpperBound) else { continue }
      let key = "\(node.op.name) \(node.op.attributes) \(types) \(node.outputs.map { final[$0].type })"
      if times[key] == nil {
        let executable = try placer.prepare(final.alone(node))
        let time = try Self.time(executable)
        times[key] = time
        if let inDriver = time.inDriverNs {
          let copied = Double(executable.plan.borderCopies.byteCount) * byteNs
          outside.append(max(time.wallNs - inDriver - copied, 0))
        }
      }
      alone[index] = times[key]!.inDriverNs ?? times[key]!.wallNs
      timed.append(index)
    }
    if !outside.isEmpty { device.executionNs = middle(outside) }

    // One behind the other they find other things in caches, and what each execution costs in the driver comes but once. Bodies of
    // control flow take a driver's time, too.
    let together = try Self.time(whole)
    let isPlain = !final.nodes.contains { $0.op is any ControlOp }
    let isWhole = own.count == final.nodes.count
    if isPlain, let total = together.inDriverNs ?? (isWhole ? together.wallNs : nil) {
      let executions = Double(whole.plan.segments.count { $0.backend == position })
      let (sum, count) = (timed.reduce(0) { $0 + alone[$1]! }, Double(timed.count))
      let each = !device.isHost && count > executions ? max(sum - total, 0) / (count - executions) : 0
      device.executionNs += each
      for index in timed { alone[index] = max(alone[index]! - each, 0) }
      let rest = timed.reduce(0) { $0 + alone[$1]! }
      if rest > 0 { for index in timed { alone[index]! *= max(total - executions * each, 0) / rest } }
    }
    share(alone, of: final, among: isTaken, on: &device)
  }

  /// Shares times of nodes between those that they were made of: by their work, as nothing better is known.
  private func share(
    _ times: [Int: Double], of final: Graph, among isTaken: [Bool], on device: inout MeasuredPartition.Device
  ) {
    // Passes name what they fuse by its last node. Of nodes with one name all share what those take.
    let positions = Dictionary(graph.nodes.enumerated().map { ($1.name, $0) }) { first, _ in first }
    let finals = Dictionary(final.nodes.enumerated().map { ($1.name, $0) }) { first, _ in first }
    func last(_ node: Int) -> String? {
      var node = node
      while finals[graph.nodes[node].name] == nil {
        guard let next = graph.nodes[node].outputs.flatMap({ graph.users(of: $0) }).first else { return nil }
        node = next
      }
      return graph.nodes[node].name
    }
    var members: [Int: [Int]] = [:]
    for node in graph.nodes.indices where isTaken[node] {
      guard let name = last(node) else {
        // It is gone.
        device.nodeNs[node] = 0
        continue
      }
      // Some it takes before formats are chosen alone, or before another one is put in.
      guard times[finals[name]!] != nil else { continue }
      device.nodeNs[node] = 0
      members[positions[name]!, default: []].append(node)
    }
    func work(_ node: Int) -> Double {
      let elements = graph.nodes[node].outputs.reduce(0) { $0 + graph[$1].type.shape.count }
      return Double(graph.cost(of: graph.nodes[node]).macs + elements)
    }
    for (index, time) in times {
      // What a pass put in, as a conversion, is of what reads it, or of what it reads.
      let near =
        [index] + final.nodes[index].outputs.flatMap { final.users(of: $0) }
        + final.nodes[index].inputs.compactMap { final.producer(of: $0) }
      guard let group = near.lazy.compactMap({ positions[final.nodes[$0].name].flatMap { members[$0] } }).first
      else { continue }
      let all = group.reduce(0) { $0 + work($1) }
      for node in group { device.nodeNs[node]! += all > 0 ? time * work(node) / all : time / Double(group.count) }
    }
  }

  /// Medians of at least three runs, and as many as fit 10 ms, at most 15, after two.
  private static func time(_ executable: Executable) throws -> Time {
    let session = try executable.makeSession()
    for input in session.inputs where input.type.dtype.isFloat {
      let numbers = (0..<input.shape.count).map { Double($0 % 17) / 16 - 0.5 }
      input.write(try Tensor(input.shape, numbers, input.type.dtype).converted(to: input.format))
    }
    var (walls, drivers) = ([Double](), [Double]())
    var spent = 0.0
    for round in 0..<17 {
      let (start, before) = (driverClockNs(), session.delegation?.inDriverNs)
      try session.run()
      let wall = Double(driverClockNs() - start)
      if let failure = session.failure { throw failure }
      if let delegation = session.delegation, delegation.fallbacks > 0 {
        throw Unsupported(delegation.firstFailure ?? "a driver failed")
      }
      guard round >= 2 else { continue }
      walls.append(wall)
      if let before, let after = session.delegation?.inDriverNs { drivers.append(Double(after - before)) }
      spent += wall
      if walls.count >= 3, spent > 10_000_000 { break }
    }
    return Time(wallNs: middle(walls), inDriverNs: drivers.isEmpty ? nil : middle(drivers))
  }

  /// Nanoseconds for each byte that goes from the host's memory to one that is shared, or back.
  static func byteNs() throws -> Double {
    let count = 1 << 20
    let shared = try SharedMemory(byteCount: count)
    let host = try Storage(byteCount: count, allocator: SystemAllocator.shared)
    let times = (0..<20).map { _ in
      let start = driverClockNs()
      shared.pointer.copyMemory(from: host.pointer, byteCount: count)
      host.pointer.copyMemory(from: shared.pointer, byteCount: count)
      return Double(driverClockNs() - start)
    }
    return middle(times) / Double(2 * count)
  }
}

/// The middle of some numbers, of which there is one at least.
private func middle(_ numbers: [Double]) -> Double { numbers.sorted()[numbers.count / 2] }
