import GraphCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What becomes of something that was started: whoever needs it waits, or starts what comes after it.
///
/// `@unchecked Sendable`: what changes is behind a lock.
public final class Event: @unchecked Sendable {
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var result: Result<Void, any Error>?

  /// One that whoever makes it finishes: a frame that is there.
  public init() {
    pthread_mutex_init(lock, nil)
    pthread_cond_init(change, nil)
  }

  deinit {
    pthread_cond_destroy(change)
    pthread_mutex_destroy(lock)
    change.deallocate()
    lock.deallocate()
  }

  /// Lets go on who waits; nothing if it was finished before.
  public func finish(_ result: Result<Void, any Error> = .success(())) {
    pthread_mutex_lock(lock)
    self.result = self.result ?? result
    pthread_cond_broadcast(change)
    pthread_mutex_unlock(lock)
  }

  public var isFinished: Bool {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return result != nil
  }

  /// - Throws: what it failed with.
  public func wait() throws {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while result == nil { pthread_cond_wait(change, lock) }
    try result!.get()
  }
}

extension Session {
  /// Starts an inference when some events have happened, and returns at once; what is started after it on the same session follows it.
  /// Inputs and outputs are the inference's until the event that is returned has happened.
  ///
  /// As NNAPI's `startComputeWithDependencies`. Where an event fails, so does what waits for it, and nothing runs.
  /// - Parameter durationAfterFence: How long it may take from the last of the events on. Needs exactly one device that keeps to deadlines.
  /// - Throws: ``Unsupported``, as `BAD_DATA`, where that is another plan, or no thread could be started.
  public func start(after events: [Event] = [], durationAfterFence: Duration? = nil) throws -> Event {
    var durationNs: Int?
    if let durationAfterFence {
      guard executable.backends.count == 1, segments.allSatisfy({ $0 is any DeadlineSegment }) else {
        throw Unsupported("BAD_DATA: a duration after the fence needs exactly one explicit device")
      }
      guard durationAfterFence <= .seconds(3600) else {
        throw Unsupported("BAD_DATA: a duration after the fence is at most an hour")
      }
      durationNs = max(Int(durationAfterFence / .nanoseconds(1)), 0)
    }
    let (event, before) = (Event(), started)
    let work = Work {
      do {
        // One session's inferences follow each other, whatever became of the last.
        try? before?.wait()
        for other in events { try other.wait() }
        try self.run(until: durationNs.map { monotonicNs() + $0 })
        event.finish()
      } catch { event.finish(.failure(error)) }
    }
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    guard failure == 0 else {
      Unmanaged.passUnretained(work).release()
      throw Unsupported("a thread could not be started: \(String(cString: strerror(failure)))")
    }
    pthread_detach(thread)
    started = event
    return event
  }
}

private final class Work {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}

private func monotonicNs() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
