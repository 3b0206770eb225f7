/// The directory of a zip archive, and where its entries' bytes lie. Entries are read as they are stored: `torch.save` packs
/// none, and what is packed is refused when it is asked for.
///
/// Source: PKWARE's APPNOTE.TXT, 4.3 and 4.5. The check sums are not compared: PyTorch lets them be left out when it writes
/// (`torch.serialization.set_crc32_options`), and no weight is read differently for a wrong one.
struct ZipArchive {
  private struct Entry {
    var header: Int
    var count: Int
    var method: UInt16
    var isEncrypted: Bool
  }

  private let file: FileBytes
  private let entries: [String: Entry]
  /// Where the directory begins: no entry reaches it.
  private let end: Int

  var names: [String] { entries.keys.sorted() }

  func has(_ name: String) -> Bool { entries[name] != nil }

  /// - Throws: ``Flaw``.
  init(_ file: FileBytes) throws {
    self.file = file
    let directory = try Self.directory(of: file)
    end = directory.offset
    entries = try Self.entries(file, directory)
  }

  // MARK: Directory

  private struct Directory {
    var offset: Int
    var size: Int
    var count: Int
  }

  /// More bytes are refused: at some 70 an entry, enough for 200 000 of them.
  private static let largestDirectory = 16 << 20

  private static func directory(of file: FileBytes) throws -> Directory {
    // The last record is 22 bytes and a comment of at most 65535.
    let tail = try file.read(min(file.count, 22 + 0xFFFF), at: max(file.count - 22 - 0xFFFF, 0))
    let place = stride(from: tail.count - 22, through: 0, by: -1).first {
      tail[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 5, 6])
        && $0 + 22 + (Int(tail[$0 + 20]) | Int(tail[$0 + 21]) << 8) == tail.count
    }
    guard let place else {
      throw Flaw("it begins as a zip archive and has no directory at its end: was it cut off on its way here?")
    }
    let record = file.count - tail.count + place
    var cursor = ByteCursor(tail, "the zip directory's last record", at: place + 4)
    let (disk, first) = (try cursor.number(UInt16.self), try cursor.number(UInt16.self))
    _ = try cursor.number(UInt16.self)
    let count = Int(try cursor.number(UInt16.self))
    let (size, offset) = (Int(try cursor.number(UInt32.self)), Int(try cursor.number(UInt32.self)))
    var (directory, limit) = (Directory(offset: offset, size: size, count: count), record)
    var isWhole = disk == 0 && first == 0
    if let large = try largeRecord(file, before: record) {
      (directory, limit, isWhole) = (large.directory, large.offset, large.isWhole)
    }
    guard isWhole else { throw Flaw("it is one part of a zip archive in several") }
    guard directory.offset <= limit, directory.size <= limit - directory.offset else {
      throw Flaw(
        "its zip directory of \(directory.size) bytes at byte \(directory.offset) reaches beyond its end at \(limit)")
    }
    guard directory.size <= largestDirectory, directory.count <= directory.size / 46 else {
      throw Flaw("its zip directory has \(directory.count) entries in \(directory.size) bytes")
    }
    return directory
  }

  /// What stands in place of the last record where sizes may have 64 bits, as PyTorch writes always; nil without.
  private static func largeRecord(
    _ file: FileBytes, before end: Int
  ) throws -> (directory: Directory, offset: Int, isWhole: Bool)? {
    guard end >= 20 else { return nil }
    var locator = ByteCursor(try file.read(20, at: end - 20), "the zip64 locator")
    guard try locator.number(UInt32.self) == 0x0706_4B50 else { return nil }
    let disk = try locator.number(UInt32.self)
    let offset = try locator.size()
    guard offset <= end - 20, end - 20 - offset >= 56 else {
      throw Flaw("its zip64 record would be at byte \(offset), behind which the directory ends")
    }
    var cursor = ByteCursor(try file.read(56, at: offset), "the zip64 record")
    guard try cursor.number(UInt32.self) == 0x0606_4B50 else {
      throw Flaw("there is no zip64 record at byte \(offset)")
    }
    // Its size, the versions that wrote it and that it needs.
    _ = try cursor.take(12)
    let (own, first) = (try cursor.number(UInt32.self), try cursor.number(UInt32.self))
    _ = try cursor.size()
    let count = try cursor.size()
    let size = try cursor.size()
    return (Directory(offset: try cursor.size(), size: size, count: count), offset, disk == 0 && own == 0 && first == 0)
  }

  private static func entries(_ file: FileBytes, _ directory: Directory) throws -> [String: Entry] {
    var cursor = ByteCursor(try file.read(directory.size, at: directory.offset), "the zip directory")
    var entries: [String: Entry] = [:]
    for index in 0..<directory.count {
      let place = directory.offset + cursor.position
      guard try cursor.number(UInt32.self) == 0x0201_4B50 else {
        throw Flaw("its zip directory has no entry \(index) at byte \(place)")
      }
      _ = try cursor.take(4)
      let flags = try cursor.number(UInt16.self)
      let method = try cursor.number(UInt16.self)
      // Time, date and check sum.
      _ = try cursor.take(8)
      let packed = try cursor.number(UInt32.self)
      let count = try cursor.number(UInt32.self)
      let (nameLength, extraLength) = (Int(try cursor.number(UInt16.self)), Int(try cursor.number(UInt16.self)))
      let commentLength = Int(try cursor.number(UInt16.self))
      // Disk and attributes.
      _ = try cursor.take(8)
      let header = try cursor.number(UInt32.self)
      let name = String(decoding: try cursor.take(nameLength), as: UTF8.self)
      let sizes = try Self.sizes(
        [count, packed, header], extra: [UInt8](try cursor.take(extraLength)), of: FileText.name(name))
      _ = try cursor.take(commentLength)
      guard method != 0 || sizes[0] == sizes[1] else {
        throw Flaw("\(FileText.name(name)) is stored as it is and has \(sizes[1]) bytes for \(sizes[0])")
      }
      let entry = Entry(header: sizes[2], count: sizes[0], method: method, isEncrypted: flags & 1 != 0)
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw Flaw("\(FileText.name(name)) is there twice")
      }
    }
    return entries
  }

  /// Sizes of 32 bits, those that are all ones from the extra field of zip64, which has them in this order.
  private static func sizes(_ short: [UInt32], extra: [UInt8], of name: String) throws -> [Int] {
    guard short.contains(.max) else { return short.map(Int.init) }
    var fields = ByteCursor(extra, "\(name)'s extra field")
    while fields.left >= 4 {
      let (tag, length) = (try fields.number(UInt16.self), Int(try fields.number(UInt16.self)))
      var field = ByteCursor([UInt8](try fields.take(length)), "\(name)'s zip64 field")
      if tag == 1 { return try short.map { $0 == .max ? try field.size() : Int($0) } }
    }
    throw Flaw("\(name) has sizes of 64 bits and no field for them")
  }

  // MARK: Entries

  /// Where an entry's bytes lie in the file, and how many there are: all of them inside.
  /// - Throws: ``Flaw`` where there is no such entry, or it is packed or encrypted.
  func place(of name: String) throws -> Range<Int> {
    guard let entry = entries[name] else { throw Flaw("its zip directory has no \(FileText.name(name))") }
    let shown = FileText.name(name)
    guard !entry.isEncrypted else { throw Flaw("\(shown) is encrypted") }
    guard entry.method == 0 else {
      throw Flaw(
        "\(shown) is compressed (zip method \(entry.method)): PyTorch stores its entries as they are; save it again")
    }
    guard entry.header <= end, end - entry.header >= 30 else {
      throw Flaw("\(shown) would begin at byte \(entry.header), the directory is at \(end)")
    }
    var cursor = ByteCursor(try file.read(30, at: entry.header), "\(shown)'s header")
    guard try cursor.number(UInt32.self) == 0x0403_4B50 else {
      throw Flaw("\(shown) has no header at byte \(entry.header)")
    }
    // Sizes are the directory's: PyTorch writes them there alone.
    _ = try cursor.take(22)
    let start = entry.header + 30 + Int(try cursor.number(UInt16.self)) + Int(try cursor.number(UInt16.self))
    guard start <= end, entry.count <= end - start else {
      throw Flaw("\(shown) of \(entry.count) bytes at byte \(start) reaches into the directory at \(end)")
    }
    return start..<start + entry.count
  }

  /// - Throws: ``Flaw``, also where it has more bytes than `limit`.
  func read(_ name: String, atMost limit: Int) throws -> (bytes: [UInt8], offset: Int) {
    let place = try place(of: name)
    guard place.count <= limit else {
      throw Flaw("\(FileText.name(name)) has \(place.count) bytes; more than \(limit) are not read")
    }
    return (try file.read(place.count, at: place.lowerBound), place.lowerBound)
  }
}
