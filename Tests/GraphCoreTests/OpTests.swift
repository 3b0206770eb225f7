import GraphCore
import TensorCore
import Testing

/// What ops compute at the edges of what they take.
@Suite struct OpTests {
  @Test func `a shift by a negative count, or by one that is too large, leaves the sign`() throws {
    let x = try Tensor([4], elements: [15, -15, 15, -15] as [Int32])
    let counts = try Tensor([4], elements: [-2, -2, 40, 40] as [Int32])
    #expect(try Binary(.shiftLeft).evaluate([x, counts])[0].integers == [0, 0, 0, 0])
    #expect(try Binary(.shiftRight).evaluate([x, counts])[0].integers == [0, -1, 0, -1])
  }
}
