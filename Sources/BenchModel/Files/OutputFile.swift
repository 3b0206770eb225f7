import BenchProtocol
import Foundation

/// Writes a file whole or not at all: beside its place first, then renamed over it, with the mode that it had. A link is
/// written through to what it stands for; a device, a pipe or a socket is opened and written to.
package func writeFile(_ data: Data, to url: URL) throws {
  do { try OutputFile(url.path).write(data) } catch {
    throw UserError(
      "\(url.path) cannot be written: \(reason(error)); what was there before is untouched, another place can be named with "
        + "--output")
  }
}

/// Keeps what a file holds under another name. The file itself stays, so that a link to it and its mode stay too.
package func keepCopy(of url: URL, as other: URL) throws {
  guard let data = FileManager.default.contents(atPath: url.path) else { return }
  try writeFile(data, to: other)
  copyMode(of: url, to: other)
}

/// Who may read one file may read the other, and nobody else.
package func copyMode(of url: URL, to other: URL) {
  var status = stat()
  if stat(url.path, &status) == 0 { chmod(other.path, status.st_mode & 0o7777) }
}

/// What a file, or a pipe, holds.
/// - Throws: ``UserError`` with the reason where it cannot be read.
package func readFile(_ url: URL) throws -> Data {
  var isFolder: ObjCBool = false
  if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue {
    throw UserError("\(url.path) cannot be read: it is a folder")
  }
  let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw UserError("\(url.path) cannot be read: \(SystemError(errno))") }
  let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  do { return try file.readToEnd() ?? Data() } catch { throw UserError("\(url.path) cannot be read: \(reason(error))") }
}

extension URL {
  /// What the reports of a result are called: its name without the extension of a result.
  package var resultStem: URL {
    [Record.fileExtension, "json"].contains(pathExtension.lowercased()) ? deletingPathExtension() : self
  }
}

/// Adds to the end of a file that others write too.
package func appendToFile(_ data: Data, _ url: URL) throws {
  do { try OutputFile.writeThrough(data, url.path, O_APPEND | O_CREAT) } catch {
    throw UserError("\(url.path) cannot be written: \(reason(error))")
  }
}

/// Finds out now, not after minutes of measuring, that a file of this content could not be written. Changes nothing.
package func checkWritable(_ data: Data, to url: URL) throws {
  do { try OutputFile(url.path).rehearse(data) } catch {
    throw UserError("\(url.path) cannot be written: \(reason(error)); choose another place with --output")
  }
}

/// A place that a command writes to.
package struct OutputFile {
  /// What a path leads to.
  enum Kind {
    /// A file, or nothing yet, at its own path, without links.
    case regular(path: String, mode: mode_t?)
    /// A device, a pipe, a socket, or a descriptor of this process.
    case stream
  }
  let path: String

  package init(_ path: String) { self.path = path }

  /// Whether it is written to as it is and keeps nothing, such as `/dev/null`.
  package var isStream: Bool { if case .stream = try? kind() { true } else { false } }

  private func kind() throws -> Kind {
    // These lead to what a descriptor has open, which may be a file that somebody else goes on writing to.
    if ["/dev/stdout", "/dev/stderr"].contains(path) || path.hasPrefix("/dev/fd/") || path.hasPrefix("/proc/self/fd/") {
      return .stream
    }
    var path = path
    var status = stat()
    for _ in 0..<40 {
      guard lstat(path, &status) == 0 else {
        guard errno == ENOENT else { throw SystemError(errno) }
        return .regular(path: path, mode: nil)
      }
      switch status.st_mode & S_IFMT {
      case S_IFLNK:
        let target = try FileManager.default.destinationOfSymbolicLink(atPath: path)
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        path = target.hasPrefix("/") ? target : folder + target
      case S_IFREG: return .regular(path: path, mode: status.st_mode & 0o7777)
      case S_IFDIR: throw SystemError(EISDIR)
      default: return .stream
      }
    }
    throw SystemError(ELOOP)
  }

  func write(_ data: Data) throws {
    switch try kind() {
    case .stream: try Self.writeThrough(data, path, O_APPEND)
    case .regular(let path, let mode): try Self.replace(path, mode, with: data, keeps: true)
    }
  }

  func rehearse(_ data: Data) throws {
    guard case .regular(let path, let mode) = try kind() else { return }
    try Self.replace(path, mode, with: data, keeps: false)
  }

  private static func replace(_ path: String, _ mode: mode_t?, with data: Data, keeps: Bool) throws {
    let url = URL(fileURLWithPath: path)
    let folder = url.deletingLastPathComponent()
    try makeFolder(folder)
    let temporary = folder.appendingPathComponent(".pacer-\(getpid())-\(UInt32.random(in: 0 ... .max)).tmp").path
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SystemError(errno) }
    do {
      defer { close(descriptor) }
      try write(data, to: descriptor)
      // A file goes on being read by those who could, and by nobody else.
      if let mode, fchmod(descriptor, mode) != 0 { throw SystemError(errno) }
      var old = stat()
      if mode != nil, stat(path, &old) == 0 { _ = fchown(descriptor, old.st_uid, old.st_gid) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard keeps else {
      unlink(temporary)
      return
    }
    guard rename(temporary, path) == 0 else {
      let error = SystemError(errno)
      unlink(temporary)
      throw error
    }
  }

  /// Opens what is there and writes to it.
  static func writeThrough(_ data: Data, _ path: String, _ flags: Int32) throws {
    // A pipe without a reader would keep us waiting for good: its reader has five seconds to come.
    let wait = Stopwatch()
    var descriptor: Int32
    repeat {
      descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | flags, 0o666)
      if descriptor < 0 && errno == ENXIO { usleep(50_000) }
    } while descriptor < 0 && errno == ENXIO && wait.elapsed < 5
    guard descriptor >= 0 else { throw errno == ENXIO ? UserError("nobody reads this pipe") : SystemError(errno) }
    defer { close(descriptor) }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
    try write(data, to: descriptor)
  }

  /// - Throws: the system's error where not all of it could be written.
  package static func write(_ data: Data, to descriptor: Int32) throws {
    try data.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        #if canImport(Glibc)
          let count = Glibc.write(descriptor, bytes.baseAddress! + sent, bytes.count - sent)
        #else
          let count = Darwin.write(descriptor, bytes.baseAddress! + sent, bytes.count - sent)
        #endif
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { throw SystemError(errno) }
        sent += count
      }
    }
  }
}

/// An error number of the system, in its words.
package struct SystemError: Error, CustomStringConvertible {
  package let number: Int32
  package init(_ number: Int32) { self.number = number }
  package var description: String { String(cString: strerror(number)) }
}

extension JSONEncoder {
  /// The form of every JSON file that people may read or compare.
  package static var readable: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    // A metric that went from 0 to something has a change without end, which is no reason to lose the rest.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }

  /// A value in that form, with the line's end that a text file has.
  package static func text(_ value: some Encodable) throws -> String {
    String(decoding: try readable.encode(value), as: UTF8.self) + "\n"
  }
}

/// Makes a folder and those above it.
package func makeFolder(_ folder: URL) throws {
  var isFolder: ObjCBool = false
  if FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder) {
    guard isFolder.boolValue else {
      throw UserError(
        "\(folder.path) is a file where a folder is needed; move it or choose another folder with --output")
    }
    return
  }
  do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
    throw UserError("folder \(folder.path) cannot be made: \(reason(error))")
  }
}

/// The system's word for an error, without Foundation's wrapping.
package func reason(_ error: any Error) -> String {
  if let error = error as? UserError { return error.description }
  if let error = error as? SystemError { return error.description }
  let error = error as NSError
  if let inner = error.userInfo[NSUnderlyingErrorKey] as? NSError, inner.domain == NSPOSIXErrorDomain {
    return String(cString: strerror(Int32(inner.code)))
  }
  if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(error.code))) }
  switch CocoaError.Code(rawValue: error.code) {
  case .fileNoSuchFile, .fileReadNoSuchFile: return "no such file"
  case .fileWriteOutOfSpace: return "no space left on the device"
  case .fileReadNoPermission, .fileWriteNoPermission: return "permission denied"
  default: return error.localizedDescription
  }
}
