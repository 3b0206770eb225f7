// What a driver's process needs of the system and Swift cannot call: descriptors that travel through sockets, and how a process begins.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Memory that processes share, of a fixed size that nobody can change. Returns its descriptor, or -1 with errno.
int pacer_shared_memory(const char *name, size_t bytes);

// Two ends of a channel that keeps messages apart and ends when one end does. Returns 0, or -1 with errno.
int pacer_channel(int ends[2]);

// Starts a program with `channel` as its standard input; everything else that this process has open stays closed in it, but for
// standard error. Returns its id, or -1 with errno.
pid_t pacer_start_driver(const char *path, char *const arguments[], int channel);

// Sends a message, with a descriptor unless that is -1. Returns 0, or -1 with errno; never raises SIGPIPE.
int pacer_send(int channel, const void *bytes, size_t count, int descriptor);

// Waits for a message until `timeout_ms` have passed (negative: as long as it takes). Returns its bytes, 0 where the other end is
// gone, -1 with errno (ETIMEDOUT, EMSGSIZE where it is longer than `capacity`). `descriptor` becomes the one that came with it, or -1.
ssize_t pacer_receive(int channel, void *bytes, size_t capacity, int *descriptor, int64_t timeout_ms);

// Whether the other end of a channel is gone.
bool pacer_is_closed(int channel);

// Sleeps until a word that processes share is no longer `old`, at most `timeout_ns`; `sleepers` counts who does. Returns whether it
// changed.
bool pacer_await_change(uint32_t *word, uint32_t *sleepers, uint32_t old, int64_t timeout_ns);

// Changes such a word for who waits; what was written before is seen by who sees the change.
void pacer_change(uint32_t *word, uint32_t *sleepers, uint32_t value);

// Ends this process when nobody holds the other end of a channel any more, whatever it does then.
int pacer_end_with(int channel);

// Puts all threads on the processors that another process may use.
void pacer_follow_processors(pid_t process);

// Nanoseconds that this process has computed, on all its threads.
int64_t pacer_processor_time(void);
