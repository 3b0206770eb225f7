import CDriver
import Foundation

/// One end of a connection between a client and a driver. Each message is whole; the other end's is seen to be gone.
///
/// `@unchecked Sendable`: who uses it sees to it that nobody else does at that time.
final class DriverChannel: @unchecked Sendable {
  /// The other end is gone: its process ended.
  struct Closed: Error {}
  struct TimedOut: Error {}

  /// Longer is no message.
  static let longest = 1 << 17
  let descriptor: Int32
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: longest, alignment: 16)

  /// - Parameter descriptor: closed with this object.
  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit {
    close(descriptor)
    buffer.deallocate()
  }

  static func pair() throws -> (own: DriverChannel, other: Descriptor) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &ends) {
      pacer_channel($0.assumingMemoryBound(to: Int32.self).baseAddress!)
    }
    guard result == 0 else { throw SystemFailure("a channel to a driver") }
    return (DriverChannel(ends.0), Descriptor(ends.1))
  }

  func send(_ bytes: UnsafeRawBufferPointer, with passed: Descriptor? = nil) throws {
    guard pacer_send(descriptor, bytes.baseAddress, bytes.count, passed?.number ?? -1) == 0 else {
      if [EPIPE, ECONNRESET, ENOTCONN].contains(errno) { throw Closed() }
      throw SystemFailure("a message of \(bytes.count) bytes")
    }
  }

  func send(_ message: some Encodable, with passed: Descriptor? = nil) throws {
    try JSONEncoder().encode(message).withUnsafeBytes { try send($0, with: passed) }
  }

  /// - Parameters:
  ///   - timeout: milliseconds; nil for as long as it takes.
  ///   - read: what becomes of the message, whose bytes are there for the time of the call.
  /// - Throws: ``Closed``, ``TimedOut``.
  func receive<Result>(
    timeout: Int? = nil, _ read: (UnsafeRawBufferPointer, Descriptor?) throws -> Result
  ) throws -> Result {
    var passed: Int32 = -1
    let count = pacer_receive(descriptor, buffer.baseAddress, buffer.count, &passed, Int64(timeout ?? -1))
    let came = passed >= 0 ? Descriptor(passed) : nil
    if count == 0 { throw Closed() }
    guard count > 0 else {
      if errno == ETIMEDOUT { throw TimedOut() }
      throw SystemFailure("receiving a message")
    }
    return try read(UnsafeRawBufferPointer(rebasing: buffer[..<count]), came)
  }
}

/// An open file, closed with this object.
final class Descriptor: Sendable {
  let number: Int32
  init(_ number: Int32) { self.number = number }
  deinit { close(number) }
}

/// A call of the system failed.
struct SystemFailure: Error, CustomStringConvertible {
  let description: String
  /// With the reason of the last call.
  init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// Memory that a client and a driver share.
///
/// `@unchecked Sendable`: the pointer never changes; who writes through it is the only user at that time.
final class SharedMemory: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
  let byteCount: Int
  let descriptor: Descriptor

  init(byteCount: Int) throws {
    self.byteCount = max(byteCount, 64)
    let number = pacer_shared_memory("pacer", self.byteCount)
    guard number >= 0 else { throw SystemFailure("\(byteCount) bytes of shared memory") }
    descriptor = Descriptor(number)
    pointer = try Self.map(descriptor, self.byteCount)
  }

  /// That of somebody else.
  init(_ descriptor: Descriptor, byteCount: Int) throws {
    var status = stat()
    guard fstat(descriptor.number, &status) == 0, byteCount >= 0, Int(status.st_size) >= max(byteCount, 64) else {
      throw DriverError(.badData, "shared memory has not the \(byteCount) bytes that it should have")
    }
    (self.descriptor, self.byteCount) = (descriptor, max(byteCount, 64))
    pointer = try Self.map(descriptor, self.byteCount)
  }

  private static func map(_ descriptor: Descriptor, _ byteCount: Int) throws -> UnsafeMutableRawPointer {
    let start = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.number, 0)
    guard let start, start != MAP_FAILED else { throw SystemFailure("mapping shared memory") }
    return start
  }

  deinit { munmap(pointer, byteCount) }
}

/// The clock of deadlines, which all processes of a machine share.
func driverClockNs() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
