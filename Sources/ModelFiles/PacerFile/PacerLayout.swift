import Foundation
import GraphCore
import TensorCore

/// How a `.pacer` file is laid out, everything little-endian:
///
///     0    magic, 8 bytes
///     8    format version, 4 bytes; then 4 bytes of zeros
///     16   bytes of the index, 8 bytes; then its digest, 8 bytes
///     32   bytes of the whole file, 8 bytes; then where its tensors begin, 8 bytes
///     48   the index, JSON (``Index``); behind it each variant's graph, JSON (``StoredVariant``)
///     …    tensors, the first at the beginning of a page, each at a multiple of 64 bytes
///
/// Places of graphs are counted from the end of the index, those of tensors from where these begin.
///
/// Attributes of ops are coded under the names of their properties: whoever renames or adds one raises the version, as does
/// who changes how a format packs weights.
enum PacerLayout {
  /// With line ends and the end of a text, as PNG has them: what changes texts on the way would change these first.
  static let magic: [UInt8] = Array("PACER\r\n\u{1a}".utf8)
  static let version: UInt32 = 3
  static let headLength = 48
  static let pageSize = 4096

  /// What the file begins with.
  struct Head {
    var version = PacerLayout.version
    var indexLength: UInt64
    var indexDigest: UInt64
    var fileLength: UInt64
    var tensorOffset: UInt64

    init(index: Data, fileLength: Int, tensorOffset: Int) {
      indexLength = UInt64(index.count)
      indexDigest = index.withUnsafeBytes(PacerLayout.digest).value
      (self.fileLength, self.tensorOffset) = (UInt64(fileLength), UInt64(tensorOffset))
    }

    /// Nil where the bytes are too few or begin otherwise.
    init?(_ bytes: UnsafeRawBufferPointer) {
      guard bytes.count >= PacerLayout.headLength,
        bytes.prefix(PacerLayout.magic.count).elementsEqual(PacerLayout.magic)
      else { return nil }
      func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type = Number.self) -> Number {
        Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
      }
      version = number(at: 8)
      (indexLength, indexDigest) = (number(at: 16), number(at: 24))
      (fileLength, tensorOffset) = (number(at: 32), number(at: 40))
    }

    var data: Data {
      var data = Data(PacerLayout.magic)
      func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
      }
      append(version)
      append(0 as UInt32)
      for number in [indexLength, indexDigest, fileLength, tensorOffset] { append(number) }
      return data
    }
  }

  static func digest(_ bytes: UnsafeRawBufferPointer) -> Digest {
    var digest = Digest()
    digest.combine(bytes)
    return digest
  }

  /// A part of the file, its offset from where such parts begin.
  struct Stretch: Codable {
    var offset: Int
    var length: Int
    /// Sixteen hexadecimal digits of its bytes' digest.
    var digest: String
  }

  /// What the file holds, and where.
  struct Index: Codable {
    var name: String
    /// Of Pacer, that wrote it.
    var release: String
    /// Passes that know a target, as they are to run where a variant is made at load.
    var targetPasses: [String]
    var variants: [Variant]
    /// Inputs that come with the model, by name.
    var inputs: [String]
    /// Those of the inputs.
    var tensors: Tensors
  }

  struct Variant: Codable {
    /// Nil of the portable one.
    var instructionSet: String?
    var passes: [PacerFile.AppliedPass]
    /// Bytes of its tensors.
    var weightBytes: Int
    var graph: Stretch
  }

  /// Tensors in columns, as long as each other: whatever is coded by itself takes time when a file is loaded.
  struct Tensors: Codable {
    var types: [TensorType] = []
    /// Where their elements lie.
    var offsets: [Int] = []
    /// Sixteen hexadecimal digits of their bytes each.
    var digests: [String] = []
  }

  /// A variant's tensors and graphs. The last graph is the model, the others are what its nodes and theirs run.
  struct StoredVariant: Encodable {
    var tensors: Tensors
    var graphs: [StoredGraph]
  }

  static func encoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    // The same content is the same bytes.
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }

  static func decoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }
}
