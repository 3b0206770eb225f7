/// What a number of a suite or of the command line may be: larger ones are slips, and would overflow somewhere.
public enum Limits {
  /// Up to a hundred days.
  public static let seconds = 1e-9...8_640_000.0
  public static let iterations = 10_000_000
  public static let rounds = 1_000_000
}
