extension Array {
  /// Nil outside.
  package subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
