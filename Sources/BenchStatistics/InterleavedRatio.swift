#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The log ratio of two interleaved runs, from the medians of their slices: the median over every two slices, one after
/// the other, of the mean of both log ratios.
///
/// Of two slices each run is first in one. Who is second finds the caches full of the other's data only if the slice before
/// was the other's too, so that in each slice one run is at a disadvantage, alternately: 20 % where the weights just fit a
/// cache. The mean over two slices has none of it, where a median over single ones would take whichever side has one more.
/// - Parameters:
///   - base, head: medians of the slices, in their order, all above 0. Of one slice alone it is that slice's ratio; an odd
///     one at the end is left out.
/// - Returns: ln(head / base); NaN of nothing.
public func interleavedLogRatio(base: [Double], head: [Double]) -> Double {
  let single = zip(base, head).map { log($1 / $0) }
  guard single.count > 1 else { return single.first ?? .nan }
  return median(stride(from: 0, to: single.count - 1, by: 2).map { (single[$0] + single[$0 + 1]) / 2 })
}
