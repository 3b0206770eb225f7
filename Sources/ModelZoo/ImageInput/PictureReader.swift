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
    guard let data = FileManager.default.contents(atPath: path) else {
      throw PictureError(description: "\(path) cannot be read: no such file, or no permission")
    }
    do {
      if data.starts(with: [0x89, 0x50, 0x4e, 0x47]) { return try png(data) }
      if data.starts(with: [0xff, 0xd8, 0xff]) { return try jpeg(data) }
    } catch let error as PictureError {
      throw PictureError(description: "\(path): \(error.description)")
    }
    throw PictureError(description: "\(path) is neither PNG nor JPEG")
  }

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
      guard code == 0 || tjGetErrorCode(decoder) == Int32(TJERR_WARNING.rawValue) else {
        throw PictureError(description: "damaged JPEG: \(String(cString: tjGetErrorStr2(decoder)))")
      }
    }
    return try data.withUnsafeBytes { raw in
      let bytes = raw.bindMemory(to: UInt8.self)
      var (width, height, subsampling, colours): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
      try check(
        tjDecompressHeader3(decoder, bytes.baseAddress, UInt(bytes.count), &width, &height, &subsampling, &colours))
      try checkSize(Int(width), Int(height))
      var pixels = [UInt8](repeating: 0, count: Int(width) * Int(height) * 3)
      try check(
        tjDecompress2(
          decoder, bytes.baseAddress, UInt(bytes.count), &pixels, width, 0, height, Int32(TJPF_RGB.rawValue),
          TJFLAG_ACCURATEDCT))
      return Picture(width: Int(width), height: Int(height), pixels: pixels)
    }
  }

  private static func checkSize(_ width: Int, _ height: Int) throws {
    guard width > 0, height > 0, width <= largest / height else {
      throw PictureError(description: "a picture of \(width)x\(height) is too large or empty")
    }
  }
}
