import BenchModel
import BenchProtocol
import Foundation
import Pacer

/// Files with pictures, or a model's input as it is, each with the index of its class where that is known.
struct LabelledPictures {
  struct Picture {
    var path: String
    var label: Int?
  }

  /// In the order of their paths, or of the list.
  let pictures: [Picture]
  private static let endings = ["png", "jpg", "jpeg", "npy", "pb", "bin"]

  /// - Parameter path: a folder with one folder for each class, or a list: a line for each picture, its path and its class, with a comma or
  ///   blanks between them.
  /// - Throws: ``UserError`` that names the folder or line.
  init(labelled path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw UserError("\(path): no such file or folder")
    }
    pictures = try isFolder.boolValue ? Self.folders(path) : Self.list(path)
    guard !pictures.isEmpty else {
      throw UserError("\(path) has no pictures: \(Self.endings.joined(separator: ", ")), in one folder for each class")
    }
  }

  /// All pictures in a folder, of which no class is known.
  init(in folder: String) throws {
    pictures = try Self.files(folder).map { Picture(path: $0) }
    guard !pictures.isEmpty else {
      throw UserError("\(folder) has no pictures: \(Self.endings.joined(separator: ", "))")
    }
  }

  private static func names(_ folder: String) throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted {
        $0.compare($1, options: .numeric) == .orderedAscending
      }
    } catch { throw UserError("\(folder): no such folder, or no permission") }
  }

  private static func files(_ folder: String) throws -> [String] {
    try names(folder).filter { endings.contains(($0 as NSString).pathExtension.lowercased()) }.map { "\(folder)/\($0)" }
  }

  private static func folders(_ path: String) throws -> [Picture] {
    try names(path).flatMap { name -> [Picture] in
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder), isFolder.boolValue else {
        return []
      }
      let files = try files("\(path)/\(name)")
      guard !files.isEmpty else { return [] }
      let label = try index(of: name, at: "\(path)/\(name)")
      return files.map { Picture(path: $0, label: label) }
    }
  }

  private static func list(_ path: String) throws -> [Picture] {
    let folder = (path as NSString).deletingLastPathComponent
    let text = String(decoding: try readFile(URL(fileURLWithPath: path)), as: UTF8.self)
    return try text.split(whereSeparator: \.isNewline).enumerated().compactMap { number, line -> Picture? in
      let line = line.trimmingCharacters(in: .whitespaces)
      guard !line.isEmpty, !line.hasPrefix("#") else { return nil }
      let place = "\(path), entry \(number + 1)"
      // Names of classes may have blanks, those of files seldom do.
      guard let match = line.wholeMatch(of: #/(.+?)\s*,\s*(.+)|(\S+)\s+(.+)/#),
        let file = match.1 ?? match.3, let name = match.2 ?? match.4
      else { throw UserError("\(place): a line is a path and a class, not \(Format.quoted(line))") }
      let full = file.hasPrefix("/") || folder.isEmpty ? String(file) : "\(folder)/\(file)"
      return Picture(path: full, label: try index(of: String(name), at: place))
    }
  }

  /// A class by its number, or by its name among ImageNet's.
  private static func index(of name: String, at place: String) throws -> Int {
    if let index = Int(name) {
      guard index >= 0 else { throw UserError("\(place): classes are counted from 0") }
      return index
    }
    let plain = name.replacing("_", with: " ").lowercased()
    let found = Classification.labels.firstIndex { $0.lowercased() == plain }
    guard let found else {
      let error = UnknownName(kind: "class", name: plain, known: Classification.labels.map { $0.lowercased() })
      // Not all thousand that are known.
      let words = error.description.components(separatedBy: " Known:")[0]
      throw UserError(
        "\(place): \(words). A class is its number, or its name among ImageNet's".replacing("?.", with: "?"))
    }
    return found
  }
}
