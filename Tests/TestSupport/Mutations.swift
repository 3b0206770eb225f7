import BenchStatistics
import Foundation

/// Damaged copies of a file, for tests of what reads it: the same ones for the same seed.
///
/// Every reader of a file from outside is tried with them: it gives an error of its own or something sound, and neither crashes,
/// hangs nor asks for more memory than the file is worth.
public struct Mutations: Sequence {
  public struct Mutation: Sendable {
    /// What was done, for messages.
    public var description: String
    public var data: Data
  }

  /// How many to try: `usual`, or what the environment says in `PACER_FUZZ` for a longer search.
  public static func count(_ usual: Int = 300) -> Int {
    ProcessInfo.processInfo.environment["PACER_FUZZ"].flatMap(Int.init) ?? usual
  }

  private let original: [UInt8]
  private let structure: [Range<Int>]
  private let seed: UInt64
  private let count: Int

  /// - Parameters:
  ///   - structure: where the file says what it holds, in bytes. Four of five mutations go there: elsewhere are numbers, of which
  ///     any are sound. Empty for the whole file.
  ///   - count: of mutations; see ``count(_:)``.
  public init(of data: Data, structure: [Range<Int>] = [], seed: UInt64, count: Int = Mutations.count()) {
    original = [UInt8](data)
    self.structure = structure.filter { !$0.isEmpty && $0.upperBound <= data.count }
    (self.seed, self.count) = (seed, count)
  }

  public func makeIterator() -> AnyIterator<Mutation> {
    var (random, left) = (SeededGenerator(seed: seed), count)
    return AnyIterator {
      guard left > 0 else { return nil }
      left -= 1
      var (bytes, words) = (original, [String]())
      // Most damage is done once; several together get past checks that one alone does not.
      for _ in 0..<(random.below(4) == 0 ? 2 + random.below(4) : 1) { words.append(mutate(&bytes, &random)) }
      return Mutation(
        description: "mutation \(count - left) of seed \(seed): " + words.joined(separator: ", "), data: Data(bytes))
    }
  }

  // MARK: One change

  private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) -> String {
    guard !bytes.isEmpty else { return "nothing left" }
    switch random.below(10) {
    case 0, 1:
      let (place, bit) = (place(bytes, &random), random.below(8))
      bytes[place] ^= 1 << UInt8(bit)
      return "bit \(bit) of byte \(place) flipped"
    case 2:
      let (place, value) = (place(bytes, &random), UInt8(truncatingIfNeeded: random.next()))
      bytes[place] = value
      return "byte \(place) set to \(value)"
    case 3, 4, 5: return overwrite(&bytes, &random)
    case 6:
      let place = place(bytes, &random)
      bytes.removeSubrange(place...)
      return "cut off at \(place)"
    case 7:
      let block = block(bytes, &random)
      bytes.removeSubrange(block)
      return "\(block) removed"
    case 8:
      let (block, place) = (block(bytes, &random), place(bytes, &random))
      bytes.insert(contentsOf: Array(bytes[block]), at: place)
      return "\(block) inserted at \(place)"
    default:
      let (block, place) = (block(bytes, &random), place(bytes, &random))
      let end = Swift.min(place + block.count, bytes.count)
      bytes.replaceSubrange(place..<end, with: Array(bytes[block]))
      return "\(block) written over \(place)..<\(end)"
    }
  }

  /// A number of 1 to 8 bytes, as lengths, offsets and counts are, becomes the least that goes wrong where nobody looks.
  private func overwrite(_ bytes: inout [UInt8], _ random: inout SeededGenerator) -> String {
    let (place, width) = (place(bytes, &random), 1 << random.below(4))
    let size = UInt64(bytes.count)
    let values: [UInt64] = [
      0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 40, 1 << 62,
      UInt64(Int64.max), 1 << 63, .max, .max - 7, size, size - 1, size + 1, size - UInt64(place), size / 2,
    ]
    let (value, isLittle) = (values[random.below(values.count)], random.below(4) != 0)
    for i in 0..<Swift.min(width, bytes.count - place) {
      bytes[place + i] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (isLittle ? i : width - 1 - i)))
    }
    return "\(width) bytes at \(place) set to \(value)\(isLittle ? "" : ", big-endian")"
  }

  private func place(_ bytes: [UInt8], _ random: inout SeededGenerator) -> Int {
    guard !structure.isEmpty, random.below(5) != 0 else { return random.below(bytes.count) }
    let range = structure[random.below(structure.count)]
    return Swift.min(range.lowerBound + random.below(range.count), bytes.count - 1)
  }

  /// Rather short than long: some are a field, few are half of the file.
  private func block(_ bytes: [UInt8], _ random: inout SeededGenerator) -> Range<Int> {
    let (start, longest) = (place(bytes, &random), 1 << (1 + random.below(12)))
    return start..<Swift.min(start + 1 + random.below(longest), bytes.count)
  }
}

extension SeededGenerator {
  /// 0 up to a limit, which it does not reach.
  fileprivate mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
