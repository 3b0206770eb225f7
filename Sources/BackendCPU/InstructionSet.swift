import BaselineKernels
import CIntrinsics

#if arch(x86_64)
  import x86AVX2Kernels
  import x86AVX512Kernels
#endif
#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A set of vector instructions that Pacer has kernels for.
public enum InstructionSet: String, Sendable, CaseIterable {
  /// What every x86-64 processor has; on another architecture, no vectors of Pacer's own.
  case sse2
  case avx2
  case avx512

  /// Those this process may use, slowest first: what the machine has, up to what `PACER_ISA` names. Under emulation: what
  /// the emulated processor has.
  public static let available: [InstructionSet] = {
    guard let name = cap, let highest = InstructionSet(name: name) else { return present }
    return present.filter { allCases.firstIndex(of: $0)! <= allCases.firstIndex(of: highest)! }
  }()

  /// The environment's cap, for this process and all it starts; nil without one.
  private static let cap: String? = getenv("PACER_ISA").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }

  /// What is wrong with the cap; nil where nothing is.
  public static let capError: String? = cap.flatMap { name in
    InstructionSet(name: name) == nil
      ? "PACER_ISA=\(name): unknown instruction set; known: \(allCases.map(\.rawValue).joined(separator: ", "))" : nil
  }

  /// Of a name as people write it; version 0.8 called the first one "baseline".
  init?(name: String) { self.init(rawValue: name == "baseline" ? "sse2" : name) }

  /// Those this machine can run, slowest first.
  private static let present: [InstructionSet] = {
    #if arch(x86_64)
      guard pacer_cpuid(0, 0).eax >= 7 else { return [.sse2] }
      let basic = pacer_cpuid(1, 0)
      let extended = pacer_cpuid(7, 0)
      let (fma, osxsave, avx) = (basic.ecx >> 12 & 1, basic.ecx >> 27 & 1, basic.ecx >> 28 & 1)
      guard osxsave & avx & fma == 1, extended.ebx >> 5 & 1 == 1 else { return [.sse2] }
      let saved = pacer_xgetbv()
      guard saved & 0b110 == 0b110 else { return [.sse2] }
      let foundation = extended.ebx >> 16 & extended.ebx >> 30 & extended.ebx >> 31 & 1
      let vnni = extended.ecx >> 11 & 1
      return foundation & vnni == 1 && saved & 0b1110_0110 == 0b1110_0110
        ? [.sse2, .avx2, .avx512] : [.sse2, .avx2]
    #else
      return [.sse2]
    #endif
  }()

  public static var best: InstructionSet { available.last! }

  /// The processor's name in its own words.
  public static let processorName: String = {
    #if arch(x86_64)
      guard pacer_cpuid(0x8000_0000, 0).eax >= 0x8000_0004 else { return "x86-64" }
      var bytes: [UInt8] = []
      for leaf: UInt32 in 0x8000_0002...0x8000_0004 {
        let r = pacer_cpuid(leaf, 0)
        for word in [r.eax, r.ebx, r.ecx, r.edx] {
          for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
      }
      let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      return text.split(separator: " ").joined(separator: " ")
    #else
      return "unknown"
    #endif
  }()

  package var kernels: PacerKernelTable {
    switch self {
    case .sse2: return makeBaselineKernels()
    #if arch(x86_64)
      case .avx2: return makeAVX2Kernels()
      case .avx512: return makeAVX512Kernels()
    #else
      case .avx2, .avx512: return makeBaselineKernels()
    #endif
    }
  }
}
