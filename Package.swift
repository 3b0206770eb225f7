// swift-tools-version: 6.2
import Foundation
import PackageDescription

// Pacer is optimised in every configuration: `swift run bench-suite` builds for debugging and still records the truth.
// Without whole-module optimisation a generic in another file of the module is not specialised.
let wholeModule = ["-whole-module-optimization", "-num-threads", "1", "-disable-batch-mode"]
// Register tiles are loops over constant bounds: they must be unrolled whole, or their sums live in memory.
let unrolled = ["-Xllvm", "-unroll-threshold=5000"]
let optimised: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-O"] + wholeModule)]

/// A kernel target: the shared kernels for one instruction set. Only here does `-Ounchecked` belong.
func kernels(_ name: String, _ clangFlags: [String]) -> Target {
  .target(
    name: name, dependencies: ["CIntrinsics"],
    swiftSettings: [
      .swiftLanguageMode(.v6),
      .unsafeFlags(["-Ounchecked"] + wholeModule + unrolled + clangFlags.flatMap { ["-Xcc", $0] }),
    ])
}

func module(
  _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: optimised)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, path: "Tests/\(name)Tests", exclude: exclude)
}

// `#if arch` would ask about the machine that builds; a cross build says what it builds for.
#if arch(x86_64)
  let hostArchitecture = "x86_64"
#else
  let hostArchitecture = "other"
#endif
let architecture = ProcessInfo.processInfo.environment["PACER_TARGET_ARCH"] ?? hostArchitecture

let wideKernels =
  architecture == "x86_64"
  ? [
    kernels("x86AVX2Kernels", ["-mavx2", "-mfma"]),
    kernels(
      "x86AVX512Kernels",
      ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma", "-mprefer-vector-width=512"]),
  ] : []

/// What the module Pacer re-exports. Who imports Pacer depends on these by name too: a build follows only the
/// dependencies that are named, and would leave objects behind that know an older layout of a type.
let runtime: [Target.Dependency] = [
  "BackendCPU", "BackendVulkan", "BackendMetal", "Delegation", "GraphPasses", "ModelFiles", "ModelZoo", "RuntimeCore",
  "GraphCore", "TensorCore",
]
/// What the module PacerBench re-exports besides.
let harness: [Target.Dependency] = [
  "BenchProtocol", "BenchStatistics", "BenchModel", "BenchWorker", "BenchRunner", "BenchReport", "BenchCommands",
]

let targets: [Target] = [
  module("TensorCore"),
  module("GraphCore", ["TensorCore"]),
  module("GraphPasses", ["GraphCore", "TensorCore"]),
  module("RuntimeCore", ["GraphCore", "TensorCore", "CIntrinsics"]),
  module("ModelZoo", ["GraphCore", "TensorCore", "CSpng", "CTurboJPEG", "CLabels"]),
  .target(name: "CLabels", exclude: ["imagenet_classes.txt"], cSettings: [.unsafeFlags(["-std=gnu23"])]),
  .systemLibrary(name: "CSpng", pkgConfig: "spng", providers: [.apt(["libspng-dev"])]),
  .systemLibrary(name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),

  .target(name: "CIntrinsics"),
  kernels("BaselineKernels", []),
  module(
    "BackendCPU",
    ["RuntimeCore", "GraphCore", "TensorCore", "CIntrinsics", "BaselineKernels"]
      + wideKernels.map { .target(name: $0.name) }),
  // The shaders are data to it: `#embed` is C23.
  .target(name: "CVulkan", cSettings: [.unsafeFlags(["-std=gnu23"])]),
  module("BackendVulkan", ["RuntimeCore", "GraphCore", "TensorCore", "CVulkan"], exclude: ["Shaders"]),
  module("BackendMetal", ["RuntimeCore"]),
  .target(name: "CDriver"),
  .target(name: "CNeuralNetworks"),
  module(
    "Delegation",
    [
      "BackendCPU", "BackendVulkan", "ModelFiles", "RuntimeCore", "GraphCore", "TensorCore", "CDriver",
      "CNeuralNetworks",
    ]),
  module("Pacer", runtime),
  module(
    "ModelFiles", ["GraphCore", "TensorCore", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
    exclude: ["ONNX/onnx.proto"]),

  // The harness. What is measured links BenchProtocol, BenchStatistics and BenchWorker of it, and nothing else.
  .target(name: "CAllocationCounter"),
  .target(name: "CMeasure", cSettings: [.unsafeFlags(["-O2"])]),
  module("BenchStatistics"),
  module("BenchProtocol", ["RuntimeCore", "TensorCore", "CMeasure"]),
  module(
    "BenchModel",
    [
      "BenchProtocol", "BenchStatistics", "Delegation", "ModelFiles", "RuntimeCore", "TensorCore",
      .product(name: "Yams", package: "Yams"),
    ]),
  module("BenchWorker", ["BenchProtocol", "BenchStatistics", "CMeasure", "Pacer"] + runtime),
  module(
    "BenchRunner",
    [
      "BenchProtocol", "BenchStatistics", "BenchModel", "RuntimeCore", "TensorCore", "CMeasure",
      .product(name: "Subprocess", package: "swift-subprocess"),
    ]),
  // Pages need nothing beside them: what they are styled and sorted with is in the program.
  module(
    "BenchReport", ["BenchProtocol", "BenchStatistics", "BenchModel", "RuntimeCore"],
    resources: ["colours.css", "chart.css", "page.css", "page.js"].map { .embedInCode("Document/Page/\($0)") }),
  module(
    "BenchCommands",
    [
      "BenchProtocol", "BenchStatistics", "BenchModel", "BenchWorker", "BenchRunner", "BenchReport", "CMeasure",
      "Pacer",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ] + runtime),
  module("PacerBench", harness + ["Pacer"] + runtime),
  .executableTarget(
    name: "pacer-worker",
    dependencies: ["BenchWorker", "BenchProtocol", "CAllocationCounter", "CMeasure", "Pacer", "pacer-driver"] + runtime,
    swiftSettings: optimised),
  // What drivers run in: whoever delegates starts it.
  .executableTarget(name: "pacer-driver", dependencies: ["Delegation"], swiftSettings: optimised),
  // It starts pacer-worker, and links none of it: the dependency has it built.
  .executableTarget(name: "bench-suite", dependencies: ["BenchCommands", "pacer-worker"], swiftSettings: optimised),

  .target(
    name: "TestSupport",
    dependencies: ["BackendCPU", "RuntimeCore", "ModelZoo", "GraphCore", "TensorCore", "BenchStatistics"],
    path: "Tests/TestSupport",
    exclude: ["Golden"], swiftSettings: optimised),
  tests("TensorCore", ["TensorCore"]),
  tests("GraphCore", ["GraphCore", "TensorCore", "ModelZoo", "TestSupport", "BenchStatistics"]),
  tests("RuntimeCore", runtime + ["Pacer", "TestSupport", "BenchStatistics"]),
  tests("GraphPasses", runtime + ["Pacer", "TestSupport"]),
  tests("ModelFiles", ["Pacer", "TestSupport", "BenchStatistics"] + runtime, exclude: ["Cases"]),
  tests("ModelZoo", ["ModelZoo", "GraphCore", "TensorCore", "TestSupport"], exclude: ["Fixtures"]),
  tests("Bench", harness + ["PacerBench", "Pacer", "TestSupport"] + runtime),
  tests("CommandLine", ["bench-suite", "ModelZoo", "GraphCore", "TensorCore", "TestSupport"]),
  tests("BackendCPU", runtime + ["TestSupport", "Pacer"]),
  tests(
    "Delegation", runtime + ["TestSupport", "Pacer", "BenchStatistics", "CDriver", "pacer-driver"],
    exclude: ["NeuralNetworks"]),
  tests("BackendVulkan", runtime + ["TestSupport", "Pacer"]),
]

let package = Package(
  name: "Pacer",
  products: [
    .library(name: "Pacer", targets: ["Pacer"]),
    .library(name: "PacerBench", targets: ["PacerBench"]),
    .executable(name: "pacer-worker", targets: ["pacer-worker"]),
    .executable(name: "pacer-driver", targets: ["pacer-driver"]),
    .executable(name: "bench-suite", targets: ["bench-suite"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
  ],
  targets: targets + wideKernels
)
