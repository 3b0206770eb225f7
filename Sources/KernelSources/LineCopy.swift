import CIntrinsics

/// `target[i] = line[start + i · stride]` for `count` values, `padding` where that is outside `0..<length`.
///
/// Up to `readable` floats of the line and of what follows it may be read, and up to `writable` of the target written:
/// what is written past `count`, the caller overwrites later.
@inline(__always)
func copyLine(
  _ line: UnsafePointer<Float>, length: Int, readable: Int, start: Int, stride: Int, padding: Float,
  to target: UnsafeMutablePointer<Float>, count: Int, writable: Int
) {
  // Divisions are slow, and the usual strides need none.
  let below = start < 0 ? min(count, quotient(stride - 1 - start, stride)) : 0
  let inside = start >= length ? 0 : min(count, quotient(length - 1 - start, stride) + 1)
  fill(target, padding, below)
  var i = below
  if stride == 1 {
    while i < inside && i + Vector.scalarCount <= writable && start + i + Vector.scalarCount <= readable {
      write(read(line + start + i), target + i)
      i += Vector.scalarCount
    }
  } else if stride == 2 {
    while i < inside && i + Vector.scalarCount <= writable && start + 2 * (i + Vector.scalarCount) <= readable {
      write(readEven(line + start + 2 * i), target + i)
      i += Vector.scalarCount
    }
  }
  while i < inside {
    target[i] = line[start + i * stride]
    i += 1
  }
  let end = max(below, inside)
  fill(target + end, padding, count - end)
}

@inline(__always) func fill(_ target: UnsafeMutablePointer<Float>, _ value: Float, _ count: Int) {
  var i = 0
  while i < count {
    target[i] = value
    i += 1
  }
}

/// `a / b` of positive numbers.
@inline(__always) private func quotient(_ a: Int, _ b: Int) -> Int { b == 1 ? a : b == 2 ? a >> 1 : a / b }
