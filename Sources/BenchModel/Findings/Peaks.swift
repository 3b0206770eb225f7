import BenchProtocol

/// What a machine can do at most, as its own worker measured it.
public struct Peaks: Codable, Sendable {
  public struct Memory: Codable, Sendable {
    /// `L1`, `L2`, `L3`, `memory`.
    public var name: String
    public var bytes: Double
    /// Bytes read and written a second by a copy that stays in it.
    public var rate: Double

    package init(name: String, bytes: Double, rate: Double) {
      (self.name, self.bytes, self.rate) = (name, bytes, rate)
    }
  }

  public var isa: String?
  public var threads: Int
  /// Operations a second by type; a multiply-add is two.
  public var arithmetic: [String: Double] = [:]
  public var memory: [Memory] = []

  package init(isa: String? = nil, threads: Int, arithmetic: [String: Double] = [:], memory: [Memory] = []) {
    (self.isa, self.threads, self.arithmetic, self.memory) = (isa, threads, arithmetic, memory)
  }

  /// Whether a kernel multiplies integers, by its name.
  package static func multipliesIntegers(_ kernel: String) -> Bool { kernel.contains("-dots-") }

  /// Operations a second of what multiplies integers, or else computes in a precision: int8 rows hold floats too, and models that came
  /// with integers are int8 in any.
  package func arithmetic(integers: Bool, _ precision: Precision) -> Double? {
    arithmetic[integers ? Precision.int8.rawValue : precision == .int8 ? Precision.fp32.rawValue : precision.rawValue]
  }

  /// The smallest memory that holds so many bytes.
  public func memory(holding bytes: Double) -> Memory? { memory.first { $0.bytes >= bytes } ?? memory.last }

  /// All of them in one phrase.
  package var words: String {
    let arithmetic = arithmetic.sorted { $0.key < $1.key }.map { name, rate in
      "\(Format.significant(rate / 1e9)) G\(name == "fp32" ? "FLOP" : "OP")/s (\(name))"
    }
    return (arithmetic + memory.map { "\(Format.significant($0.rate / 1e9)) GB/s in \($0.name)" })
      .joined(separator: ", ")
  }
}
