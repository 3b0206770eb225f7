import CNeuralNetworks
import Foundation
import GraphCore
import RuntimeCore
import Synchronization

/// Android's neural networks library, opened once per process and never closed.
final class NeuralNetworks: @unchecked Sendable {
  // What it points to is never written again.
  let functions: PacerNeuralNetworks

  /// A device of the library's.
  struct Device: @unchecked Sendable {
    let pointer: OpaquePointer
    let name: String
    let version: String
    let kind: DriverProfile.Kind
    /// API level whose operations it can have.
    let level: Int
  }
  /// In the library's order; NNAPI's own processor code is among them.
  let devices: [Device]

  /// Names the library's file, in the place of the system's own.
  static let variable = "PACER_NEURAL_NETWORKS"

  /// What is opened first is the library of this process.
  static let path = Mutex(ProcessInfo.processInfo.environment[variable] ?? "libneuralnetworks.so")

  /// The library of this system, or why there is none.
  static let shared = Result<NeuralNetworks, DriverError> { () throws(DriverError) in
    try NeuralNetworks(path.withLock { $0 })
  }

  init(_ path: String) throws(DriverError) {
    var reason: UnsafeMutablePointer<CChar>?
    guard let opened = pacer_nn_open(path, &reason) else {
      defer { free(reason) }
      let words = reason.map { String(cString: $0) } ?? "it cannot be opened"
      throw DriverError(
        .unavailableDevice, driver: DriverProfile.android.name,
        "Android's neural networks library (Android 10 and later) cannot be used: \(words)")
    }
    functions = opened.pointee
    var count: UInt32 = 0
    try Self.check(functions._getDeviceCount(&count), "getDeviceCount")
    var devices: [Device] = []
    for index in 0..<count {
      var pointer: OpaquePointer?
      try Self.check(functions._getDevice(index, &pointer), "getDevice")
      guard let pointer else { continue }
      var (name, version, kind, level) = (
        nil as UnsafePointer<CChar>?, nil as UnsafePointer<CChar>?, Int32(0), Int64(0)
      )
      try Self.check(functions.Device_getName(pointer, &name), "Device_getName")
      try Self.check(functions.Device_getVersion(pointer, &version), "Device_getVersion")
      try Self.check(functions.Device_getType(pointer, &kind), "Device_getType")
      try Self.check(functions.Device_getFeatureLevel(pointer, &level), "Device_getFeatureLevel")
      let kinds = DriverProfile.Kind.allCases
      devices.append(
        Device(
          pointer: pointer, name: name.map { String(cString: $0) } ?? "",
          version: version.map { String(cString: $0) } ?? "",
          kind: kinds.indices.contains(Int(kind)) ? kinds[Int(kind)] : .unknown, level: Int(level)))
    }
    self.devices = devices
  }

  /// Those that a driver means: the one it names, or all.
  func devices(of profile: DriverProfile) throws(DriverError) -> [Device] {
    guard let name = profile.device else { return devices }
    guard let found = devices.first(where: { $0.name == name }) else {
      let known = devices.map(\.name).joined(separator: ", ")
      throw DriverError(.unavailableDevice, driver: profile.name, "this system has \(known), and no device \(name)")
    }
    return [found]
  }

  /// - Throws: where a call's answer is not that it did.
  static func check(_ answer: Int32, _ call: String, driver: String = DriverProfile.android.name) throws(DriverError) {
    guard answer != ResultCode.noError.rawValue else { return }
    let code = ResultCode(rawValue: answer)
    throw DriverError(code ?? .opFailed, driver: driver, call + (code == nil ? " answers \(answer)" : " fails"))
  }
}

/// A model as the library has it, with what it reads of this process's memory.
final class LibraryModel: @unchecked Sendable {
  private let library: NeuralNetworks
  let pointer: OpaquePointer
  let operationCount: Int
  /// Constants, which the library reads where they are for as long as the model is there.
  private var constants: [UnsafeMutableRawBufferPointer] = []

  init(
    _ model: NNAPIModel, of graph: Graph, isRelaxed: Bool, driver: String, _ library: NeuralNetworks
  ) throws {
    let functions = library.functions
    func check(_ answer: Int32, _ call: String) throws(DriverError) {
      try NeuralNetworks.check(answer, call, driver: driver)
    }
    var created: OpaquePointer?
    try check(functions.Model_create(&created), "Model_create")
    guard let created else { throw DriverError(.unexpectedNull, driver: driver, "Model_create makes none") }
    (self.library, pointer, operationCount) = (library, created, model.operations.count)
    for (index, operand) in model.operands.enumerated() {
      let number = Int32(index)
      let dimensions = operand.dimensions.map { UInt32($0) }
      try dimensions.withUnsafeBufferPointer { buffer in
        var type = ANeuralNetworksOperandType(
          type: operand.type.rawValue, dimensionCount: UInt32(buffer.count),
          dimensions: buffer.isEmpty ? nil : buffer.baseAddress, scale: operand.scale, zeroPoint: operand.zeroPoint)
        try check(functions.Model_addOperand(pointer, &type), "Model_addOperand")
      }
      if operand.type == .tensorQuant8SymmPerChannel {
        try operand.channelScales.withUnsafeBufferPointer { scales in
          var parameters = ANeuralNetworksSymmPerChannelQuantParams(
            channelDim: UInt32(operand.channelDimension), scaleCount: UInt32(scales.count), scales: scales.baseAddress)
          try check(
            functions.Model_setOperandSymmPerChannelQuantParams(pointer, number, &parameters),
            "Model_setOperandSymmPerChannelQuantParams")
        }
      }
      guard let value = operand.value else { continue }
      guard let bytes = try value.bytes(of: graph) else {
        try check(functions.Model_setOperandValue(pointer, number, nil, 0), "Model_setOperandValue")
        continue
      }
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
      memory.copyBytes(from: bytes)
      constants.append(memory)
      try check(
        functions.Model_setOperandValue(pointer, number, memory.baseAddress, bytes.count), "Model_setOperandValue")
    }
    func numbers(_ list: [Int]) -> [UInt32] { list.map { UInt32($0) } }
    for operation in model.operations {
      let (inputs, outputs) = (numbers(operation.inputs), numbers(operation.outputs))
      try check(
        functions.Model_addOperation(
          pointer, operation.code.rawValue, UInt32(inputs.count), inputs, UInt32(outputs.count), outputs),
        "Model_addOperation of \(operation.code)")
    }
    let (inputs, outputs) = (numbers(model.inputs), numbers(model.outputs))
    try check(
      functions.Model_identifyInputsAndOutputs(
        pointer, UInt32(inputs.count), inputs, UInt32(outputs.count), outputs), "Model_identifyInputsAndOutputs")
    if isRelaxed {
      try check(
        functions.Model_relaxComputationFloat32toFloat16(pointer, true), "Model_relaxComputationFloat32toFloat16")
    }
    try check(functions.Model_finish(pointer), "Model_finish")
  }

  deinit {
    library.functions.Model_free(pointer)
    for memory in constants { memory.deallocate() }
  }

  /// Whether any of some devices runs each operation.
  func supported(by devices: [NeuralNetworks.Device], driver: String) throws(DriverError) -> [Bool] {
    var supported = [Bool](repeating: false, count: operationCount)
    let pointers: [OpaquePointer] = devices.map(\.pointer)
    try NeuralNetworks.check(
      library.functions.Model_getSupportedOperationsForDevices(pointer, pointers, UInt32(pointers.count), &supported),
      "Model_getSupportedOperationsForDevices", driver: driver)
    return supported
  }
}
