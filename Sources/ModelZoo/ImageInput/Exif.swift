import Foundation

/// What a picture's file says besides its pixels, as far as it changes them. Whatever is damaged in it says nothing.
enum Exif {
  /// How the picture is to be turned, 1 to 8; 1 is as it lies.
  static func orientation(ofJPEG data: Data) -> Int {
    segments(data).lazy.compactMap { marker, body in
      marker == 0xe1 && body.starts(with: Array("Exif\0\0".utf8)) ? orientation(Data(body.dropFirst(6))) : nil
    }.first ?? 1
  }

  static func orientation(ofPNG data: Data) -> Int {
    var position = 8
    while let length = number(data, position, 4, isLittle: false), position + 12 + length <= data.count {
      let kind = data[(data.startIndex + position + 4)..<(data.startIndex + position + 8)]
      if kind.elementsEqual("eXIf".utf8) {
        let start = data.startIndex + position + 8
        return orientation(Data(data[start..<(start + length)])) ?? 1
      }
      position += 12 + length
    }
    return 1
  }

  /// Whether a JPEG was written by one of Adobe's programs, which invert inks.
  static func isAdobe(_ data: Data) -> Bool {
    segments(data).contains { marker, body in marker == 0xee && body.starts(with: Array("Adobe".utf8)) }
  }

  /// The marked parts before the picture itself.
  private static func segments(_ data: Data) -> [(marker: UInt8, body: Data)] {
    var result: [(UInt8, Data)] = []
    var position = 2
    while position + 4 <= data.count {
      let start = data.startIndex + position
      guard data[start] == 0xff else { break }
      let marker = data[start + 1]
      // A filler.
      if marker == 0xff {
        position += 1
        continue
      }
      guard marker != 0xda, let length = number(data, position + 2, 2, isLittle: false), length >= 2,
        position + 2 + length <= data.count
      else { break }
      result.append((marker, Data(data[(start + 4)..<(start + 2 + length)])))
      position += 2 + length
    }
    return result
  }

  /// The tag 0x0112 of the first directory of a TIFF header.
  private static func orientation(_ tiff: Data) -> Int? {
    let isLittle = tiff.starts(with: Array("II".utf8))
    guard isLittle || tiff.starts(with: Array("MM".utf8)), let directory = number(tiff, 4, 4, isLittle: isLittle),
      let count = number(tiff, directory, 2, isLittle: isLittle)
    else { return nil }
    for entry in 0..<count {
      let place = directory + 2 + 12 * entry
      guard let tag = number(tiff, place, 2, isLittle: isLittle) else { return nil }
      guard tag == 0x0112 else { continue }
      return number(tiff, place + 8, 2, isLittle: isLittle).flatMap { (1...8).contains($0) ? $0 : nil }
    }
    return nil
  }

  private static func number(_ data: Data, _ position: Int, _ count: Int, isLittle: Bool) -> Int? {
    guard position >= 0, position + count <= data.count else { return nil }
    let bytes = data[(data.startIndex + position)..<(data.startIndex + position + count)]
    return (isLittle ? Array(bytes.reversed()) : Array(bytes)).reduce(0) { $0 << 8 | Int($1) }
  }
}

extension Picture {
  /// Turned and mirrored as an Exif orientation says.
  func upright(_ orientation: Int) -> Picture {
    guard (2...8).contains(orientation) else { return self }
    let isTurned = orientation > 4
    let (newWidth, newHeight) = isTurned ? (height, width) : (width, height)
    var result = Picture(width: newWidth, height: newHeight, pixels: [UInt8](repeating: 0, count: pixels.count))
    for y in 0..<newHeight {
      for x in 0..<newWidth {
        let (fromX, fromY) =
          switch orientation {
          case 2: (width - 1 - x, y)
          case 3: (width - 1 - x, height - 1 - y)
          case 4: (x, height - 1 - y)
          case 5: (y, x)
          case 6: (y, height - 1 - x)
          case 7: (width - 1 - y, height - 1 - x)
          default: (width - 1 - y, x)
          }
        for c in 0..<3 { result.pixels[(y * newWidth + x) * 3 + c] = pixels[(fromY * width + fromX) * 3 + c] }
      }
    }
    return result
  }
}
