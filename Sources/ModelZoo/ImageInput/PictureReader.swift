import CSpng
import CTurboJPEG
import Foundation

public struct PictureError: Error, CustomStringConvertible {
  public let description: String
}

/// PNG and JPEG files as ``Picture``; what a file is, its first bytes say, not its name.
package enum PictureReader {
  /// More pixels than this are refused: 100 million, over ten times a camera's.
  static let largest = 100_000_000

  package static func read(_ path: String) throws -> Picture {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let data = FileManager.default.contents(atPath: path)
    else {
      throw PictureError(description: "\(path) cannot be read: no such file, no permission, or no regular file")
    }
    do {
      if data.starts(with: [0x89, 0x50, 0x4e, 0x47]) { return try png(data).upright(Exif.orientation(ofPNG: data)) }
      if data.starts(with: [0xff, 0xd8, 0xff]) { return try jpeg(data).upright(Exif.orientation(ofJPEG: data)) }
    } catch let error as PictureError {
      throw PictureError(description: "\(path): \(error.description)")
    }
    let other = formats.first { format in data.dropFirst(format.at).starts(with: format.mark.utf8) }?.name
    throw PictureError(
      description: other.map { "\(path) is a \($0) picture: PNG and JPEG are read, so convert it first" }
        ?? "\(path) is neither PNG nor JPEG")
  }

  /// What others are known by.
  private static let formats: [(name: String, at: Int, mark: String)] = [
    ("WebP", 8, "WEBP"), ("HEIC or AVIF", 4, "ftyp"), ("GIF", 0, "GIF8"), ("BMP", 0, "BM"), ("TIFF", 0, "II*"),
    ("TIFF", 0, "MM\u{0}*"), ("JPEG 2000", 4, "jP  "), ("JPEG XL", 4, "JXL "),
  ]

  private static func png(_ data: Data) throws -> Picture {
    guard let context = spng_ctx_new(0) else { throw PictureError(description: "no memory for the PNG reader") }
    defer { spng_ctx_free(context) }
    func check(_ code: Int32) throws {
      guard code == 0 else { throw PictureError(description: "damaged PNG: \(String(cString: spng_strerror(code)))") }
    }
    return try data.withUnsafeBytes { bytes in
      try check(spng_set_png_buffer(context, bytes.baseAddress, bytes.count))
      var header = spng_ihdr()
      try check(spng_get_ihdr(context, &header))
      let (width, height) = (Int(header.width), Int(header.height))
      try checkSize(width, height)
      var size = 0
      try check(spng_decoded_image_size(context, Int32(SPNG_FMT_RGB8.rawValue), &size))
      guard size == width * height * 3 else { throw PictureError(description: "damaged PNG: odd size") }
      var pixels = [UInt8](repeating: 0, count: size)
      try check(spng_decode_image(context, &pixels, size, Int32(SPNG_FMT_RGB8.rawValue), 0))
      return Picture(width: width, height: height, pixels: pixels)
    }
  }

  private static func jpeg(_ data: Data) throws -> Picture {
    guard let decoder = tjInitDecompress() else { throw PictureError(description: "no memory for the JPEG reader") }
    defer { tjDestroy(decoder) }
    func check(_ code: Int32) throws {
      guard code != 0 else { return }
      let words = String(cString: tjGetErrorStr2(decoder))
      // A warning is of something odd that does no harm, but for a file that ends too early.
      let isHarmless = tjGetErrorCode(decoder) == Int32(TJERR_WARNING.rawValue) && !words.contains("Premature end")
      if !isHarmless { throw PictureError(description: "damaged JPEG: \(words)") }
    }
    return try data.withUnsafeBytes { raw in
      let bytes = raw.bindMemory(to: UInt8.self)
      var (width, height, subsampling, colours): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
      try check(
        tjDecompressHeader3(decoder, bytes.baseAddress, UInt(bytes.count), &width, &height, &subsampling, &colours))
      try checkSize(Int(width), Int(height))
      let isInk = [TJCS_CMYK, TJCS_YCCK].contains { Int32($0.rawValue) == colours }
      let channels = isInk ? 4 : 3
      var pixels = [UInt8](repeating: 0, count: Int(width) * Int(height) * channels)
      let format = isInk ? TJPF_CMYK : TJPF_RGB
      try check(
        tjDecompress2(
          decoder, bytes.baseAddress, UInt(bytes.count), &pixels, width, 0, height, Int32(format.rawValue),
          TJFLAG_ACCURATEDCT))
      if isInk { pixels = rgb(fromInk: pixels, isInverted: Exif.isAdobe(data)) }
      return Picture(width: Int(width), height: Int(height), pixels: pixels)
    }
  }

  /// Cyan, magenta, yellow and black as light. Files of Adobe's programs hold how much is left of the light, others how much
  /// ink there is.
  private static func rgb(fromInk pixels: [UInt8], isInverted: Bool) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: pixels.count / 4 * 3)
    for pixel in 0..<pixels.count / 4 {
      func light(_ channel: Int) -> Int {
        Int(isInverted ? pixels[pixel * 4 + channel] : 255 - pixels[pixel * 4 + channel])
      }
      for channel in 0..<3 { result[pixel * 3 + channel] = UInt8((light(channel) * light(3) + 127) / 255) }
    }
    return result
  }

  private static func checkSize(_ width: Int, _ height: Int) throws {
    guard width > 0, height > 0 else { throw PictureError(description: "damaged: it has no size") }
    guard width <= largest / height else {
      throw PictureError(description: "a picture of \(width)x\(height) is too large")
    }
  }
}
