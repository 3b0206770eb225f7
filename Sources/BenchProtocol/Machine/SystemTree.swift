import Foundation

/// Why something cannot be read here, in a few words.
package struct Unavailable: Error, CustomStringConvertible {
  package var description: String
  package init(_ reason: String) { description = reason }

  /// - Parameter error: the system's number of what went wrong.
  init(_ path: String, _ error: Int32) {
    switch error {
    case EACCES, EPERM: self.init("\(path) is readable by root only")
    default: self.init("\(path) cannot be read: \(String(cString: strerror(error)))")
    }
  }
}

/// The files in which Linux tells of the machine, under a folder that a test may make up. Whatever stands in them,
/// reading them gives a value or nothing.
package struct SystemTree: Sendable {
  /// Environment variable that names another folder than "/".
  package static let variable = "PACER_SYSTEM_ROOT"

  /// The machine's own, or what the environment says instead.
  package static var current: SystemTree {
    SystemTree(root: ProcessInfo.processInfo.environment[variable] ?? "/")
  }

  private let root: String

  package init(root: String = "/") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
  }

  /// A file that stays open and is read again and again.
  package final class File {
    /// As the system calls it.
    package let path: String
    private let descriptor: Int32

    fileprivate init(_ path: String, _ descriptor: Int32) { (self.path, self.descriptor) = (path, descriptor) }
    deinit { close(descriptor) }

    /// What it holds now, at most so many bytes; nil where it cannot be read.
    private func withBytes<Value>(_ capacity: Int, _ body: (UnsafeRawBufferPointer) -> Value?) -> Value? {
      withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
        let count = pread(descriptor, buffer.baseAddress!, capacity, 0)
        return count < 0 ? nil : body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }

    /// The whole number that it holds now; nil where that cannot be read or is none.
    package func number() -> Int? { withBytes(64, SystemTree.number) }

    /// Its text without the space around it.
    package func text() -> String? {
      bytes(ofDescriptor: descriptor).map {
        String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
      }
    }

    fileprivate var isReadable: Bool { withBytes(1) { $0.count } != nil }
  }

  /// - Throws: ``Unavailable``, with the reason, where it is not there or cannot be read.
  package func open(_ path: String) throws(Unavailable) -> File {
    // What is no plain file must not make anybody wait.
    let descriptor = Foundation.open(root + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor >= 0 {
      let file = File(path, descriptor)
      if file.isReadable { return file }
    }
    throw Unavailable(path, errno)
  }

  /// An open file that holds a number.
  package func openNumber(_ path: String) throws(Unavailable) -> File {
    let file = try open(path)
    guard file.number() != nil else { throw Unavailable("\(path) holds no number") }
    return file
  }

  package func text(_ path: String) -> String? { (try? open(path))?.text() }
  package func number(_ path: String) -> Int? { (try? open(path))?.number() }

  /// The numbers of a list such as "0-3,8"; nil where it cannot be read or is none.
  package func list(_ path: String) -> [Int]? { text(path).flatMap(Self.list) }

  /// What lies in a folder, "x2" before "x10"; empty where there is no such folder.
  package func names(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root + folder)) ?? []
    return names.sorted { ($0.count, $0) < ($1.count, $1) }
  }

  /// The numbers of the processors that have a folder.
  package var processors: [Int] {
    names(in: "/sys/devices/system/cpu").compactMap { $0.hasPrefix("cpu") ? Int($0.dropFirst(3)) : nil }
  }

  // MARK: Texts

  private static let largestProcessor = 8191

  package static func list(_ text: String) -> [Int]? {
    var numbers: [Int] = []
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], 0 <= first, first <= last,
        last <= largestProcessor
      else { return nil }
      numbers += first...last
    }
    return numbers
  }

  /// A whole number and nothing else; nil too where it is too large.
  private static func number(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var rest = bytes[...]
    func isSpace(_ byte: UInt8) -> Bool { byte == 0 || byte == 0x20 || 9...13 ~= byte }
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    while let first = rest.first, isSpace(first) { rest.removeFirst() }
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest.removeFirst() }
    guard !rest.isEmpty else { return nil }
    var value = 0
    for byte in rest {
      guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return nil }
      let (ten, isLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, isLarger) = ten.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
      if isLarge || isLarger { return nil }
      value = sum
    }
    return isNegative ? -value : value
  }
}
