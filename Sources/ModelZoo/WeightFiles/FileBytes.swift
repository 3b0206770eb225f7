import Foundation
import GraphCore

/// An open file, of which no more is in memory than was asked for.
///
/// Read at offsets, not mapped: of a mapped file that somebody cuts off meanwhile the process dies, and the pages that were
/// touched count as the process's memory, which is measured.
final class FileBytes: Sendable {
  let path: String
  /// Bytes of the file when it was opened.
  let count: Int
  private let descriptor: Int32

  /// - Throws: `BadFile` where it cannot be opened or is no regular file.
  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
      throw BadFile(path, "it cannot be read: \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw BadFile(path, "it cannot be read: it is no regular file")
    }
    count = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Whether there are so many bytes at a place; neither may be what a file says unless it was asked here.
  func has(_ length: Int, at offset: Int) -> Bool {
    offset >= 0 && length >= 0 && offset <= count && length <= count - offset
  }

  /// - Throws: ``Flaw`` where the file has less there.
  func read(_ length: Int, at offset: Int) throws -> [UInt8] {
    guard has(length, at: offset) else {
      throw Flaw("it has \(count) bytes, and \(length) at byte \(offset) are not among them")
    }
    return try [UInt8](unsafeUninitializedCapacity: length) { buffer, initialised in
      try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
      initialised = length
    }
  }

  /// Fills the buffer.
  /// - Throws: ``Flaw`` where the file has less there.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard has(buffer.count, at: offset) else {
      throw Flaw("it has \(count) bytes, and \(buffer.count) at byte \(offset) are not among them")
    }
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Flaw("it ended at byte \(offset + done) while it was read") }
      done += count
    }
  }
}

/// Reads numbers of a part of a file, one behind the other; each is asked for and none is believed.
struct ByteCursor {
  let bytes: [UInt8]
  /// What the part is called in messages.
  let name: String
  var position = 0

  init(_ bytes: [UInt8], _ name: String, at position: Int = 0) {
    (self.bytes, self.name, self.position) = (bytes, name, position)
  }

  var left: Int { bytes.count - position }

  /// - Throws: ``Flaw`` where there are not so many.
  mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count >= 0, count <= left else {
      throw Flaw("\(name) ends at byte \(bytes.count); byte \(position) begins something of \(count) bytes")
    }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// A little-endian number.
  mutating func number<Number: FixedWidthInteger>(_: Number.Type) throws -> Number {
    try take(MemoryLayout<Number>.size).reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
  }

  /// A number of 64 bits that is to be an offset or a count.
  mutating func size() throws -> Int {
    let place = position
    let number = try number(UInt64.self)
    guard let size = Int(exactly: number) else { throw Flaw("\(name) has the size \(number) at byte \(place)") }
    return size
  }
}
