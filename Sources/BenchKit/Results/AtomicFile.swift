import Foundation

/// Writes a file whole or not at all: beside its place first, then renamed over it.
package func writeAtomically(_ data: Data, to url: URL) throws {
  let folder = url.deletingLastPathComponent()
  try makeFolder(folder)
  let temporary = folder.appendingPathComponent(".\(url.lastPathComponent).\(getpid()).tmp")
  do {
    try data.write(to: temporary)
    guard rename(temporary.path, url.path) == 0 else { throw UserError(String(cString: strerror(errno))) }
  } catch {
    unlink(temporary.path)
    throw UserError(
      "\(url.path) cannot be written: \(reason(error)). What was there before is untouched; "
        + "free some space or choose another folder with --output")
  }
}

extension JSONEncoder {
  /// The form of every JSON file that people may read or compare.
  package static var readable: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return encoder
  }

  /// A value in that form, with the line's end that a text file has.
  package static func text(_ value: some Encodable) throws -> String {
    String(decoding: try readable.encode(value), as: UTF8.self) + "\n"
  }
}

/// Makes a folder and those above it.
func makeFolder(_ folder: URL) throws {
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
func reason(_ error: any Error) -> String {
  if let error = error as? UserError { return error.description }
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
