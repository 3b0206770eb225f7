// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Consumer",
  dependencies: [.package(name: "Pacer", path: "../..")],
  targets: [
    // The runtime alone, as an application takes it.
    .executableTarget(name: "RuntimeConsumer", dependencies: [.product(name: "Pacer", package: "Pacer")]),
    // The harness too, as whoever adds to it takes it.
    .executableTarget(name: "Consumer", dependencies: [.product(name: "PacerBench", package: "Pacer")]),
  ]
)
