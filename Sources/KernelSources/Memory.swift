import CIntrinsics

@inline(__always) func read(_ pointer: UnsafePointer<Float>) -> Vector {
  UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
}

@inline(__always) func read(_ pointer: UnsafeMutablePointer<Float>) -> Vector {
  UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
}

/// The first `count` lanes, the others 0. Reads nothing else.
@inline(__always) func read(_ pointer: UnsafePointer<Float>, first count: Int) -> Vector {
  count >= Vector.scalarCount ? read(pointer) : readPart(pointer, count)
}

@inline(__always) func write(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: Vector.self)
}

/// The first `count` lanes. Writes nothing else.
@inline(__always) func write(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>, first count: Int) {
  count >= Vector.scalarCount ? write(vector, pointer) : writePart(vector, pointer, count)
}
