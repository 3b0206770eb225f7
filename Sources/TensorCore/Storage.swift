#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A block of memory, 64-byte aligned: owned by an allocator, borrowed from an owner that outlives it, or a part of a file, which can
/// only be read.
///
/// `@unchecked Sendable`: the pointer never changes; who writes through it must be the only user at that time.
public final class Storage: @unchecked Sendable {
  public let pointer: UnsafeMutableRawPointer
  public let byteCount: Int
  private let release: Release

  private enum Release {
    case to(any Allocator)
    case borrowed
    case file(MappedFile)
  }

  /// Bytes that every block's address is a multiple of.
  package static let alignment = 64

  public init(byteCount: Int, allocator: any Allocator) throws {
    self.pointer = try allocator.allocate(byteCount: byteCount)
    self.byteCount = byteCount
    self.release = .to(allocator)
  }

  /// Memory of somebody else, who keeps it alive longer than this object.
  package init(borrowing pointer: UnsafeMutableRawPointer, byteCount: Int) {
    self.pointer = pointer
    self.byteCount = byteCount
    self.release = .borrowed
  }

  /// A part of a file, which it keeps mapped.
  init(of file: MappedFile, _ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    self.pointer = pointer
    self.byteCount = byteCount
    self.release = .file(file)
  }

  /// Whether it is a part of a file.
  package var isMapped: Bool { if case .file = release { true } else { false } }

  deinit {
    if case .to(let allocator) = release { allocator.deallocate(pointer, byteCount: byteCount) }
  }
}
