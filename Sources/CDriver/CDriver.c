#define _GNU_SOURCE
#include "CDriver.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#if __linux__
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#endif

extern char **environ;

int pacer_shared_memory(const char *name, size_t bytes) {
#if __linux__
  int memory = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0) return -1;
  // Whoever maps it must not find less than there was.
  if (ftruncate(memory, (off_t)bytes) == 0 && fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return memory;
  int error = errno;
  close(memory);
  errno = error;
  return -1;
#else
  (void)name, (void)bytes;
  errno = ENOSYS;
  return -1;
#endif
}

int pacer_channel(int ends[2]) {
#if __linux__
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
#else
  (void)ends;
  errno = ENOSYS;
  return -1;
#endif
}

pid_t pacer_start_driver(const char *path, char *const arguments[], int channel) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if ((errno = posix_spawn_file_actions_init(&actions)) != 0) return -1;
  if ((errno = posix_spawnattr_init(&attributes)) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return -1;
  }
  // A driver writes nothing where its client's results go.
  int error = posix_spawn_file_actions_adddup2(&actions, channel, 0);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, 2, 1);
#if __linux__ && defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
  // Ctrl-C is for the client, at whose end the driver ends.
  sigset_t none;
  sigemptyset(&none);
  if (error == 0) error = posix_spawnattr_setsigmask(&attributes, &none);
  if (error == 0) error = posix_spawnattr_setpgroup(&attributes, 0);
  if (error == 0) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t process = -1;
  if (error == 0) error = posix_spawn(&process, path, &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return process;
}

int pacer_send(int channel, const void *bytes, size_t count, int descriptor) {
  struct iovec part = {(void *)bytes, count};
  struct msghdr message = {0};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control;
  if (descriptor >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(channel, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -1 : 0;
}

static int64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

ssize_t pacer_receive(int channel, void *bytes, size_t capacity, int *descriptor, int64_t timeout_ms) {
  *descriptor = -1;
  if (timeout_ms >= 0) {
    int64_t end = monotonic_ms() + timeout_ms;
    for (;;) {
      int64_t left = end - monotonic_ms();
      struct pollfd wait = {channel, POLLIN, 0};
      int ready = poll(&wait, 1, left < 0 ? 0 : left > 1000000000 ? 1000000000 : (int)left);
      if (ready > 0) break;
      if (ready < 0 && errno != EINTR) return -1;
      if (monotonic_ms() >= end) {
        errno = ETIMEDOUT;
        return -1;
      }
    }
  }
  struct iovec part = {bytes, capacity};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct msghdr message = {0};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t count;
#if __linux__
  do count = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
#else
  do count = recvmsg(channel, &message, 0);
#endif
  while (count < 0 && errno == EINTR);
  // A process that died with messages unread is gone all the same.
  if (count < 0) return errno == ECONNRESET ? 0 : -1;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
      memcpy(descriptor, CMSG_DATA(header), sizeof(int));
  if (message.msg_flags & MSG_TRUNC) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
    errno = EMSGSIZE;
    return -1;
  }
  return count;
}

bool pacer_is_closed(int channel) {
  struct pollfd state = {channel, 0, 0};
  return poll(&state, 1, 0) > 0 && state.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool has_changed(uint32_t *word, uint32_t old) { return __atomic_load_n(word, __ATOMIC_SEQ_CST) != old; }

bool pacer_await_change(uint32_t *word, uint32_t *sleepers, uint32_t old, int64_t timeout_ns) {
  if (has_changed(word, old)) return true;
  int64_t end = monotonic_ns() + timeout_ns;
  // Who changes the word after this sees that somebody sleeps; before, the system finds it changed.
  __atomic_add_fetch(sleepers, 1, __ATOMIC_SEQ_CST);
  while (!has_changed(word, old)) {
    int64_t left = end - monotonic_ns();
    if (left <= 0) break;
#if __linux__
    struct timespec time = {left / 1000000000, left % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT, old, &time, NULL, 0);
#else
    usleep(50);
#endif
  }
  __atomic_sub_fetch(sleepers, 1, __ATOMIC_SEQ_CST);
  return has_changed(word, old);
}

void pacer_change(uint32_t *word, uint32_t *sleepers, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
#if __linux__
  if (__atomic_load_n(sleepers, __ATOMIC_SEQ_CST) > 0) syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
#endif
}

static void *wait_for_end(void *argument) {
  struct pollfd wait = {(int)(intptr_t)argument, 0, 0};
  for (;;)
    if (poll(&wait, 1, -1) > 0 && wait.revents & (POLLHUP | POLLERR | POLLNVAL)) _exit(0);
}

int pacer_end_with(int channel) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, wait_for_end, (void *)(intptr_t)channel);
  if (error != 0) {
    errno = error;
    return -1;
  }
  pthread_detach(thread);
  return 0;
}

void pacer_follow_processors(pid_t process) {
#if __linux__
  cpu_set_t theirs, own;
  if (sched_getaffinity(process, sizeof theirs, &theirs) != 0 || sched_getaffinity(0, sizeof own, &own) != 0
      || CPU_EQUAL(&theirs, &own))
    return;
  DIR *threads = opendir("/proc/self/task");
  if (!threads) return;
  for (struct dirent *thread; (thread = readdir(threads));) {
    pid_t id = (pid_t)strtol(thread->d_name, NULL, 10);
    if (id > 0) sched_setaffinity(id, sizeof theirs, &theirs);
  }
  closedir(threads);
#else
  (void)process;
#endif
}

int64_t pacer_processor_time(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) return -1;
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
