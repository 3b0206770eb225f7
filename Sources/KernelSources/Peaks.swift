import CIntrinsics

/// Multiply-adds that wait for nothing but their own sums, ten at a time: as many a second as the processor can do.
/// Items: rounds of ten multiply-adds of vectors. The parameter is one float that depends on all of them.
func peakMultiplyAdd(_ parameters: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let output = UnsafeMutableRawPointer(mutating: parameters!).assumingMemoryBound(to: Float.self)
  // The sum is a factor: a product that stays the same would be computed once. Sums go to 1: tiny ones would be slow.
  let (factor, summand) = (Vector(repeating: 0.999), Vector(repeating: output.pointee + 0.001))
  // Each begins elsewhere: equal sums would be computed once.
  var (a, b, c, d, e) = (summand, summand + 1, summand + 2, summand + 3, summand + 4)
  var (f, g, h, i, j) = (summand + 5, summand + 6, summand + 7, summand + 8, summand + 9)
  for _ in begin..<end {
    a = multiplyAdd(summand, a, factor)
    b = multiplyAdd(summand, b, factor)
    c = multiplyAdd(summand, c, factor)
    d = multiplyAdd(summand, d, factor)
    e = multiplyAdd(summand, e, factor)
    f = multiplyAdd(summand, f, factor)
    g = multiplyAdd(summand, g, factor)
    h = multiplyAdd(summand, h, factor)
    i = multiplyAdd(summand, i, factor)
    j = multiplyAdd(summand, j, factor)
  }
  a += b
  c += d
  e += f
  g += h
  i += j
  a += c
  e += g
  output.pointee = (a + e + i)[0]
}
