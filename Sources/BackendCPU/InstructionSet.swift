import BaselineKernels
import CIntrinsics

#if canImport(x86AVX2Kernels)
  import x86AVX2Kernels
#endif
#if canImport(x86AVX512Kernels)
  import x86AVX512Kernels
#endif
#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A set of vector instructions that Pacer chooses kernels for, and for those of the architecture it is built for has them.
public enum InstructionSet: String, Sendable, CaseIterable {
  /// Part of x86-64 itself.
  case sse2
  case avx2
  case avx512
  /// Part of arm64 itself.
  case neon

  /// Those this process may use, slowest first: what the machine has, up to what `PACER_ISA` names. Under emulation: what
  /// the emulated processor has.
  public static let available: [InstructionSet] = {
    guard let name = cap, let highest = InstructionSet(name: name).flatMap(compiled.firstIndex(of:)) else {
      return present
    }
    return present.filter { compiled.firstIndex(of: $0)! <= highest }
  }()

  /// The environment's cap, for this process and all it starts; nil without one.
  private static let cap: String? = getenv("PACER_ISA").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }

  /// What is wrong with the cap; nil where nothing is.
  public static let capError: String? = cap.flatMap { name in
    compiled.contains { $0 == InstructionSet(name: name) }
      ? nil
      : "PACER_ISA=\(name): unknown instruction set; known: \(compiled.map(\.rawValue).joined(separator: ", "))"
  }

  /// Of a name as people write it; version 0.8 called the first one "baseline".
  init?(name: String) {
    if name == "baseline" { self = Self.compiled[0] } else { self.init(rawValue: name) }
  }

  /// Those this machine can run, slowest first.
  private static let present: [InstructionSet] = {
    let found = pacer_vector_sets()
    let sets = allCases.filter { set in
      switch set {
      case .sse2: found & PacerSSE2 != 0
      case .avx2: found & PacerAVX2 != 0
      case .avx512: found & PacerAVX512 != 0
      case .neon: found & PacerNEON != 0
      }
    }
    return sets.isEmpty ? [compiled[0]] : sets
  }()

  public static var best: InstructionSet { available.last! }

  /// Why kernels of the set do not run here; nil where they do.
  var absence: String? {
    if Self.available.contains(self) { return nil }
    if let cap = Self.cap, Self.present.contains(self) {
      return "no \(rawValue) on this machine under PACER_ISA=\(cap)"
    }
    return "this machine has no \(rawValue) (it has \(Self.best.rawValue))"
  }

  /// The processor's name in its own words.
  public static let processorName: String = {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 16) { words in
      pacer_processor_name(words.baseAddress!)
      let text = String(decoding: UnsafeRawBufferPointer(words).prefix { $0 != 0 }, as: UTF8.self)
      return text.split(separator: " ").joined(separator: " ")
    }
  }()

  /// Sizes that kernels are chosen and weights packed by, and the kernels where this machine can run them.
  package var table: PacerKernelTable { Self.runnable[self] ?? described }

  /// Those that this program has kernels for.
  package static let compiled: [InstructionSet] = {
    var sets = [InstructionSet(rawValue: String(cString: makeBaselineKernels().name))!]
    #if canImport(x86AVX2Kernels)
      sets.append(.avx2)
    #endif
    #if canImport(x86AVX512Kernels)
      sets.append(.avx512)
    #endif
    return sets
  }()

  /// The kernels of this machine's sets: even what makes the table of another may be compiled to instructions that are missing.
  private static let runnable: [InstructionSet: PacerKernelTable] = {
    var tables: [InstructionSet: PacerKernelTable] = [:]
    for set in present {
      switch set {
      #if canImport(x86AVX2Kernels)
        case .avx2: tables[set] = makeAVX2Kernels()
      #endif
      #if canImport(x86AVX512Kernels)
        case .avx512: tables[set] = makeAVX512Kernels()
      #endif
      default: tables[set] = makeBaselineKernels()
      }
    }
    return tables
  }()

  /// The same sizes without kernels, for a processor that this program is not for: the register tiles of `Vector.swift` of the
  /// set's module.
  package var described: PacerKernelTable {
    var table = PacerKernelTable()
    table.name = UnsafeRawPointer(staticName.utf8Start).assumingMemoryBound(to: CChar.self)
    switch self {
    case .sse2, .neon:
      (table.lanes, table.filterTiles) = (4, 2)
      (table.gemmRows, table.gemmWidth, table.streamRows, table.streamWidth) = (5, 8, 5, 8)
      (table.planeBlock, table.planePanel, table.dotRows) = (4, 8, 3)
      table.widensDots = 1
    case .avx2:
      (table.lanes, table.filterTiles) = (8, 2)
      (table.gemmRows, table.gemmWidth, table.streamRows, table.streamWidth) = (6, 16, 6, 16)
      (table.planeBlock, table.planePanel, table.dotRows) = (4, 24, 3)
      (table.widensDots, table.addsSmallDots) = (1, 1)
    case .avx512:
      (table.lanes, table.filterTiles) = (16, 4)
      (table.gemmRows, table.gemmWidth, table.streamRows, table.streamWidth) = (14, 32, 6, 64)
      (table.planeBlock, table.planePanel, table.dotRows) = (8, 48, 14)
    }
    return table
  }

  private var staticName: StaticString {
    switch self {
    case .sse2: "sse2"
    case .avx2: "avx2"
    case .avx512: "avx512"
    case .neon: "neon"
    }
  }
}
