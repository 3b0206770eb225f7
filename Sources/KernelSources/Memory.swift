import CIntrinsics

@inline(__always) func read(_ pointer: UnsafePointer<Float>) -> Vector {
  UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
}

@inline(__always) func read(_ pointer: UnsafeMutablePointer<Float>) -> Vector {
  UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
}

/// The first `count` lanes, the others 0.
@inline(__always) func read(_ pointer: UnsafePointer<Float>, first count: Int) -> Vector {
  if count >= Vector.scalarCount { return read(pointer) }
  var vector = Vector.zero
  var lane = 0
  while lane < count {
    vector[lane] = pointer[lane]
    lane += 1
  }
  return vector
}

@inline(__always) func write(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: Vector.self)
}

@inline(__always) func write(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>, first count: Int) {
  if count >= Vector.scalarCount { return write(vector, pointer) }
  var lane = 0
  while lane < count {
    pointer[lane] = vector[lane]
    lane += 1
  }
}
