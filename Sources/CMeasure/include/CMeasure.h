/// What measuring needs of C: a frozen control, and the processors a process stays on.
#ifndef C_MEASURE_H
#define C_MEASURE_H

/// Multiplies and adds its way through 64 KiB many times, in the baseline instruction set; the value depends on all of
/// it. No change to Pacer touches it: where it seems faster in one version than in another, the two were not measured
/// under the same conditions.
float pacer_control(void);

/// Writes the numbers of the processors that this process may use, at most `capacity`, and returns how many there are;
/// 0 where the system does not tell.
int pacer_allowed_processors(int *numbers, int capacity);

/// Keeps every thread of the process, and those it starts from now on, on these processors. Returns 0, or an error number.
int pacer_stay_on_processors(const int *numbers, int count);

/// Takes so many bytes from the heap and never gives them back, so that what comes after lies elsewhere.
void pacer_move_heap(long byte_count);

/// Why the processor's instruction counter cannot be read, as an error number; 0 where it can.
int pacer_counter_error(void);

/// What passes the lines of a supervised command on.
struct pacer_relay {
  /// Called once when the command runs, with what is its standard input, its standard output, and a descriptor to close
  /// when all that it wrote is passed on. Threads that it starts take no signals.
  void (*started)(int process, int input, int output, int finished, void *context);
  void *context;
};

/// Runs a command in a process group of its own and returns its exit status, or ends as the command ended by a signal.
/// The command and every process it started are ended when it ends, when this process is told to end, and when standard
/// input is a socket whose other end is closed: however the runner ended, nothing of its workers is left.
/// - Parameters:
///   - arguments: the command's words, and NULL.
///   - relay: NULL for a command with this process's own standard input and output.
int pacer_supervise(char *const arguments[], const struct pacer_relay *relay);

/// Opens what is closed of the three standard descriptors, so that no other file gets their numbers. Writing to one that
/// was closed stays an error.
void pacer_keep_standard_descriptors(void);

#endif
