import GraphCore
import TensorCore

/// An equation of ONNX's Einsum, with a letter for every axis: those behind an ellipsis have digits.
struct EinsumEquation {
  var terms: [[Character]]
  var result: [Character]

  /// - Throws: ``GraphError``.
  init(_ text: String, ranks: [Int]) throws {
    let parts = text.filter { $0 != " " }.split(separator: "->", omittingEmptySubsequences: false)
    let words = (parts.first ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, words.count == ranks.count else {
      throw GraphError("equation \"\(text)\" of \(ranks.count) inputs")
    }
    /// Letters before an ellipsis and behind it; nil where there is none.
    func split(_ word: String) throws -> (before: [Character], after: [Character]?) {
      let around = word.split(separator: "...", omittingEmptySubsequences: false)
      let isOfLetters = around.allSatisfy { $0.allSatisfy { $0.isASCII && $0.isLetter } }
      guard around.count <= 2, isOfLetters else { throw GraphError("equation \"\(text)\"") }
      return (Array(around.first ?? ""), around.count > 1 ? Array(around[1]) : nil)
    }
    let pieces = try words.map(split)
    let hidden = try zip(pieces, ranks).map { word, rank in
      let count = rank - word.before.count - (word.after?.count ?? 0)
      guard count == 0 || count > 0 && word.after != nil else { throw GraphError("equation \"\(text)\": rank \(rank)") }
      return count
    }
    let most = hidden.max() ?? 0
    /// Aligned at the last one.
    func digits(_ count: Int) -> [Character] { (most - count..<most).map { Character("\($0)") } }
    terms = zip(pieces, hidden).map { word, count in word.before + digits(count) + (word.after ?? []) }
    if parts.count == 2 {
      let word = try split(String(parts[1]))
      result = word.before + (word.after.map { digits(most) + $0 } ?? [])
    } else {
      let all = terms.flatMap { $0 }.filter(\.isLetter)
      result = digits(most) + Set(all).filter { letter in all.count { $0 == letter } == 1 }.sorted()
    }
  }
}

extension ONNXNode {
  func einsum() throws -> [ValueID] {
    let inputs = try inputs
    let types = inputs.map(type)
    let equation = try EinsumEquation(string("equation", ""), ranks: types.map(\.shape.rank))
    let whole = Einsum(equation.terms, to: equation.result)
    _ = try whole.checkedOutputTypes(for: types)
    // As products of matrices, where each axis is what it seems.
    var extents: [Character: Int] = [:]
    for (letter, extent) in zip(equation.terms.joined(), types.flatMap(\.shape.extents)) {
      if extents.updateValue(extent, forKey: letter) ?? extent != extent { return [try add(whole, inputs)] }
    }
    let isPlain = equation.terms.allSatisfy { Set($0).count == $0.count } && !types.contains(where: \.isUpperBound)
    guard isPlain else { return [try add(whole, inputs)] }

    func count(_ letters: [Character]) -> Int { letters.reduce(1) { $0 * extents[$1]! } }
    func ordered(_ id: ValueID, _ letters: [Character], _ wanted: [Character], _ suffix: String) throws -> ValueID {
      letters == wanted ? id : try add(Transpose(wanted.map { letters.firstIndex(of: $0)! }), [id], suffix)
    }
    /// What is left where only some letters are needed.
    func summed(_ id: ValueID, _ letters: [Character], _ kept: Set<Character>, _ suffix: String) throws
      -> (ValueID, [Character])
    {
      let axes = letters.indices.filter { !kept.contains(letters[$0]) }
      if axes.isEmpty { return (id, letters) }
      return (try add(Reduce(.sum, axes: axes, keepsAxes: false), [id], suffix), letters.filter(kept.contains))
    }
    func needed(after index: Int) -> Set<Character> { Set(equation.result + equation.terms[(index + 1)...].joined()) }
    var (product, letters) = try summed(inputs[0], equation.terms[0], needed(after: 0), "0.sum")
    for index in inputs.indices.dropFirst() {
      let kept = needed(after: index)
      let (other, own) = try summed(inputs[index], equation.terms[index], kept.union(letters), "\(index).sum")
      let shared = letters.filter(own.contains)
      let (batch, depth) = (shared.filter(kept.contains), shared.filter { !kept.contains($0) })
      let (rows, columns) = (letters.filter { !own.contains($0) }, own.filter { !letters.contains($0) })
      let left = try reshape(
        ordered(product, letters, batch + rows + depth, "\(index).left"),
        to: [count(batch), count(rows), count(depth)],
        "\(index).rows")
      let right = try reshape(
        ordered(other, own, batch + depth + columns, "\(index).right"),
        to: [count(batch), count(depth), count(columns)], "\(index).columns")
      letters = batch + rows + columns
      product = try reshape(
        add(MatMul(), [left, right], "\(index).product"), to: Shape(letters.map { extents[$0]! }), "\(index).axes")
    }
    return [try ordered(product, letters, equation.result, "")]
  }
}
