import Foundation
import GraphCore
@testable import ModelZoo
import TensorCore
import TestSupport
import Testing

@Suite struct ModelTests {
  @Test(arguments: [
    ("mobilenet-v2", 3_504_872, 300_774_272, 314, 153), ("resnet-18", 11_689_512, 1_814_073_344, 122, 69),
    ("mobilenet-v3-small", 2_542_856, 56_510_400, 244, 157),
  ])
  func `parameters, MACs and keys are torchvision's`(name: String, parameters: Int, macs: Int, keys: Int, nodes: Int)
    throws
  {
    let model = [ModelDescription.resNet18, .mobileNetV2, .mobileNetV3Small].first { $0.name == name }!
    let graph = try model.build(model.inputShape)
    #expect(graph.parameterCount == parameters)
    #expect(graph.macs == macs)
    #expect(graph.parameters.count == keys)
    #expect(graph.nodes.count == nodes)
  }

  @Test(arguments: ["mobilenet_v2", "resnet18"])
  func `the oracle gives torchvision's logits`(key: String) throws {
    let (graph, input) = try seeded(key == "resnet18" ? .resNet18 : .mobileNetV2)
    let logits = try graph.evaluate([input])[0].values
    #expect(relativeError(logits, try goldenLogits(key)) < 1e-4)
  }

  @Test func `missing, extra and wrongly shaped weights are named`() throws {
    var (graph, _) = try seeded(.resNet18)
    let weight = graph.weights.removeValue(forKey: "fc.bias")
    #expect {
      try graph.verifyWeights()
    } throws: {
      "\($0)" == "weight fc.bias f32[1000] is missing" && ($0 as? MissingWeight)?.name == "fc.bias"
    }
    graph.weights["fc.bias"] = try Tensor(zeros: TensorType([10]))
    #expect(throws: GraphError("weight fc.bias has shape 10, the model needs 1000")) { try graph.verifyWeights() }
    graph.weights["fc.bias"] = weight
    graph.weights["fc.extra"] = weight
    #expect(throws: GraphError("weight fc.extra is not part of resnet-18")) { try graph.verifyWeights() }
  }
}

@Suite struct PictureTests {
  @Test func `what is no picture is refused`() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).png")
    defer { try? FileManager.default.removeItem(at: url) }
    for bytes in [
      [], [1, 2, 3], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0], [0xff, 0xd8, 0xff, 0xe0, 0, 1],
    ] as [[UInt8]] {
      try Data(bytes).write(to: url)
      #expect(throws: PictureError.self) { try ImageInput.load(url.path, side: 224) }
    }
    #expect(throws: PictureError.self) { try ImageInput.load("/nonexistent.png", side: 224) }
  }

  @Test func `an even picture stays even under resizing`() {
    let picture = Picture(width: 7, height: 5, pixels: [UInt8](repeating: 93, count: 105))
    #expect(ImageInput.resize(picture, width: 3, height: 11).pixels.allSatisfy { $0 == 93 })
  }
}

extension GraphError: Equatable {
  public static func == (a: GraphError, b: GraphError) -> Bool { a.description == b.description }
}

@Suite struct ExifTests {
  /// A picture of two by one: red, then green.
  private let picture = Picture(width: 2, height: 1, pixels: [255, 0, 0, 0, 255, 0])

  @Test(arguments: [
    (1, [0, 1], 2), (2, [1, 0], 2), (3, [1, 0], 2), (4, [0, 1], 2), (5, [0, 1], 1), (6, [0, 1], 1), (7, [1, 0], 1),
    (8, [1, 0], 1),
  ])
  func `a picture is turned as its orientation says`(orientation: Int, order: [Int], width: Int) {
    let turned = picture.upright(orientation)
    #expect(turned.width == width && turned.height == 3 - width)
    #expect(turned.pixels == order.flatMap { Array(picture.pixels[(3 * $0)..<(3 * $0 + 3)]) })
  }

  /// A TIFF header with one entry.
  private func tiff(_ orientation: UInt8, isLittle: Bool) -> [UInt8] {
    isLittle
      ? Array("II".utf8) + [42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]
      : Array("MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
  }

  @Test(arguments: [true, false]) func `the tag is read in both orders of bytes, and damage says nothing`(
    isLittle: Bool
  ) {
    for orientation in 1...8 {
      let body = Array("Exif\0\0".utf8) + tiff(UInt8(orientation), isLittle: isLittle)
      let jpeg = Data(
        [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1, 0, UInt8(body.count + 2)] + body + [0xff, 0xda])
      #expect(Exif.orientation(ofJPEG: jpeg) == orientation)
      for length in 0..<jpeg.count { _ = Exif.orientation(ofJPEG: Data(jpeg.prefix(length))) }
      let exif = tiff(UInt8(orientation), isLittle: isLittle)
      let png = Data(
        [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, UInt8(exif.count)] + Array("eXIf".utf8) + exif + [0, 0, 0, 0])
      #expect(Exif.orientation(ofPNG: png) == orientation)
      for length in 8..<png.count { _ = Exif.orientation(ofPNG: Data(png.prefix(length))) }
    }
    #expect(Exif.orientation(ofJPEG: Data([0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff])) == 1)
  }

  @Test func `a crop is what the whole picture would give there`() {
    let noise = Picture(
      width: 37, height: 23, pixels: (0..<37 * 23 * 3).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) })
    for (width, height) in [(64, 48), (19, 11), (300, 5)] {
      let whole = ImageInput.resize(noise, width: width, height: height)
      let (columns, rows) = (width / 3..<width / 2, height / 3..<max(height / 2, height / 3 + 1))
      let part = ImageInput.resize(noise, width: width, height: height, columns: columns, rows: rows)
      for (y, row) in rows.enumerated() {
        for (x, column) in columns.enumerated() {
          let (a, b) = ((y * columns.count + x) * 3, (row * width + column) * 3)
          #expect(part.pixels[a..<a + 3].elementsEqual(whole.pixels[b..<b + 3]))
        }
      }
    }
  }

  @Test func `a format that is not read is named`() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("pacer-\(UUID()).jpg")
    defer { try? FileManager.default.removeItem(at: url) }
    for (bytes, name) in [("RIFF....WEBPVP8 ", "WebP"), ("....ftypheic....", "HEIC"), ("GIF89a..........", "GIF")] {
      try Data(bytes.utf8).write(to: url)
      let error = #expect(throws: PictureError.self) { try ImageInput.load(url.path, side: 32) }
      #expect(error?.description.contains(name) == true)
    }
  }
}
