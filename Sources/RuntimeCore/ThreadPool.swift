import CIntrinsics
import GraphCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Threads that share the items of one kernel call after the other. They spin while a run is going on and sleep
/// between runs.
///
/// A call is cut into pieces that are claimed one at a time, so that a thread that wakes late costs nothing. The claim
/// is a compare-and-swap on a ticket that carries the call's number: who holds a piece knows that the call's
/// parameters stay as they are until the piece is done.
///
/// `@unchecked Sendable`: `call` is written by the running thread alone, while no piece is unclaimed or in work.
public final class ThreadPool: @unchecked Sendable {
  public let threadCount: Int

  private struct Call {
    var kernel: PacerKernel
    var parameters: UnsafeRawPointer
    var count: Int
    var pieces: Int
  }
  private var call: Call?
  /// Call number (32 bits), pieces (16 bits), next piece (16 bits).
  private let ticket = Atomic<UInt64>(0)
  private let finishedPieces = Atomic<Int>(0)
  private let isRunning = Atomic<Bool>(false)
  private let isClosed = Atomic<Bool>(false)
  /// Threads that have begun: each takes the next number.
  private let started = Atomic<Int>(0)
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var threads: [pthread_t] = []
  /// Whether the threads note what they do. Set between runs; they see it with the next ticket.
  package var isTraced = false
  /// One list per thread, written by it alone before it says that its piece is finished.
  private let spans: UnsafeMutablePointer<[ThreadSpan]>

  /// - Throws: ``Unsupported`` where the system gives fewer threads: a pool of fewer would be measured under a wrong number.
  package init(threadCount: Int) throws {
    self.threadCount = threadCount
    spans = .allocate(capacity: max(threadCount, 1))
    spans.initialize(repeating: [], count: max(threadCount, 1))
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
    for _ in 1..<max(threadCount, 1) {
      var thread = pthread_t()
      let started = pthread_create(
        &thread, nil,
        { context in
          let pool = Unmanaged<ThreadPool>.fromOpaque(context!).takeUnretainedValue()
          pool.serve(pool.started.add(1, ordering: .relaxed).newValue)
          return nil
        }, Unmanaged.passUnretained(self).toOpaque())
      guard started == 0 else {
        // What was made ends in `deinit`, which runs for an object whose properties are all there.
        throw Unsupported(
          "thread \(threads.count + 2) of \(threadCount) could not be started: \(String(cString: strerror(started)))")
      }
      threads.append(thread)
    }
  }

  deinit {
    isClosed.store(true, ordering: .releasing)
    pthread_mutex_lock(lock)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(lock)
    for thread in threads { pthread_join(thread, nil) }
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(lock)
    wake.deallocate()
    lock.deallocate()
    spans.deinitialize(count: max(threadCount, 1))
    spans.deallocate()
  }

  /// Wakes the threads, runs `body`, and lets them sleep again.
  package func whileAwake(_ body: () throws -> Void) rethrows {
    // A session within another finds them awake.
    guard !threads.isEmpty, !isRunning.load(ordering: .relaxed) else { return try body() }
    pthread_mutex_lock(lock)
    isRunning.store(true, ordering: .releasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(lock)
    defer { isRunning.store(false, ordering: .releasing) }
    try body()
  }

  /// Does items `0..<count` of a kernel and returns when all are done.
  /// - Parameter piecesPerThread: 1 where the first item of a piece costs more than those after it.
  package func run<Parameters>(_ kernel: PacerKernel?, _ parameters: Parameters, count: Int, piecesPerThread: Int = 4) {
    guard let kernel, count > 0 else { return }
    withUnsafePointer(to: parameters) { pointer in
      if threads.isEmpty || count == 1 { return kernel(pointer, 0, count, 0) }
      let pieces = min(count, threadCount * piecesPerThread)
      call = Call(kernel: kernel, parameters: UnsafeRawPointer(pointer), count: count, pieces: pieces)
      finishedPieces.store(0, ordering: .relaxed)
      let number = (ticket.load(ordering: .relaxed) >> 32) &+ 1
      ticket.store(number << 32 | UInt64(pieces) << 16, ordering: .releasing)
      while claimAndRun(0) {}
      while finishedPieces.load(ordering: .acquiring) < pieces { pause() }
    }
  }

  /// What the other threads did since it was last asked; to be asked between calls.
  package func takeSpans() -> [ThreadSpan] {
    (1..<max(threadCount, 1)).flatMap { thread in
      defer { spans[thread].removeAll(keepingCapacity: true) }
      return spans[thread]
    }
  }

  private func claimAndRun(_ thread: Int) -> Bool {
    let seen = ticket.load(ordering: .acquiring)
    let piece = Int(seen & 0xffff)
    guard piece < Int(seen >> 16 & 0xffff) else { return false }
    guard ticket.compareExchange(expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing).exchanged else {
      return true
    }
    let call = call!
    let begin = call.count * piece / call.pieces
    let end = call.count * (piece + 1) / call.pieces
    if isTraced && thread > 0 {
      let start = ContinuousClock.now
      call.kernel(call.parameters, begin, end, thread)
      spans[thread].append(ThreadSpan(thread: thread, start: start, end: ContinuousClock.now))
    } else {
      call.kernel(call.parameters, begin, end, thread)
    }
    finishedPieces.add(1, ordering: .releasing)
    return true
  }

  private func serve(_ thread: Int) {
    while !isClosed.load(ordering: .acquiring) {
      pthread_mutex_lock(lock)
      while !isRunning.load(ordering: .acquiring) && !isClosed.load(ordering: .acquiring) {
        pthread_cond_wait(wake, lock)
      }
      pthread_mutex_unlock(lock)
      var idle = 0
      while isRunning.load(ordering: .acquiring) {
        if claimAndRun(thread) {
          idle = 0
        } else {
          idle += 1
          // Where there are more threads than processors, somebody else must get a turn.
          if idle % 4096 == 0 { sched_yield() } else { pause() }
        }
      }
    }
  }

  @inline(__always) private func pause() { pacer_pause() }
}
