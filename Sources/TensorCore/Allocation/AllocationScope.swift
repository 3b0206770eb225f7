/// Which allocator new tensors and running sessions use where none is named.
public enum AllocationScope {
  @TaskLocal package static var innermost: (any Allocator)?

  /// That of the innermost scope of this task, or the system's.
  public static var current: any Allocator { innermost ?? SystemAllocator.shared }
}

extension Allocator {
  /// Makes this allocator the one that tensors come from while `body` runs, in this task and the tasks it starts:
  ///
  /// ```swift
  /// let cache = CachingAllocator()
  /// for image in images { try cache.withScope { try session.run() } }
  /// ```
  ///
  /// Scopes nest; the innermost counts. What was allocated inside may be freed anywhere: it goes back to where it came
  /// from. A session prepared with an allocator other than `.system` keeps to that one. A session's threads get all their
  /// memory from the session.
  public func withScope<Result>(_ body: () throws -> Result) rethrows -> Result {
    try AllocationScope.$innermost.withValue(self, operation: body)
  }

  public func withScope<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
  ) async rethrows -> Result {
    try await AllocationScope.$innermost.withValue(self, operation: body, isolation: isolation)
  }
}
