#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file as memory that can be read: the system brings in the pages that are touched, and shares them with every process that
/// reads the file. It is unmapped with the last that keeps this object.
///
/// What is written to the file from elsewhere is seen here, and what lies behind an end that was cut off ends the process with
/// SIGBUS when it is read. Writing through it ends the process with SIGSEGV.
///
/// `@unchecked Sendable`: nothing of it ever changes.
package final class MappedFile: @unchecked Sendable {
  /// The first byte; at the beginning of a page.
  private let start: UnsafeMutableRawPointer
  package let byteCount: Int

  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// - Throws: ``Failure`` where it is no regular file, is empty, or cannot be read.
  package init(_ path: String) throws {
    // What is no regular file must not be waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Failure(description: "it cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Failure(description: "it cannot be read: it is no regular file")
    }
    byteCount = Int(status.st_size)
    guard byteCount > 0 else { throw Failure(description: "it is empty") }
    guard let start = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw Failure(description: "it cannot be mapped: \(String(cString: strerror(errno)))")
    }
    self.start = start
  }

  deinit { munmap(start, byteCount) }

  /// Where a part of it lies; nil where it has no such part.
  package func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer? {
    guard offset >= 0, count >= 0, offset <= byteCount, count <= byteCount - offset else { return nil }
    return UnsafeRawBufferPointer(start: start + offset, count: count)
  }

  /// The same as memory of tensors, which keeps the mapping; nil also where it is not aligned as theirs.
  package func storage(at offset: Int, count: Int) -> Storage? {
    guard offset % Storage.alignment == 0, bytes(at: offset, count: count) != nil else { return nil }
    return Storage(of: self, start + offset, byteCount: count)
  }
}
