/// Something the user can mend. The text says what is wrong and what to do next.
public struct UserError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
