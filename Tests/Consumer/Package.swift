// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Consumer",
  dependencies: [.package(name: "Pacer", path: "../..")],
  targets: [
    .executableTarget(name: "Consumer", dependencies: [.product(name: "Pacer", package: "Pacer")])
  ]
)
