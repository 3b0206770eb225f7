#define _GNU_SOURCE
#include "CMeasure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/// Sends SIGKILL to every child this process has. Those whose parent ended are children too: the supervisor adopts them.
static void kill_children(pid_t group) {
  if (group > 0) kill(-group, SIGKILL);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *list = fopen(path, "r");
  if (!list) return;
  for (int number; fscanf(list, "%d", &number) == 1;) kill(number, SIGKILL);
  fclose(list);
}

/// Kills and waits until no child is left, for two seconds at most: a process inside the kernel may not be killable.
static void end_all(pid_t group) {
  for (int round = 0; round < 400; round++) {
    kill_children(group);
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {}
    if (ended < 0 && errno == ECHILD) return;
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
}

static int is_socket(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

/// Returns a command's exit status, or ends as it ended by a signal.
static int as_it_ended(int status, const sigset_t *mask) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  // The runner is to see how the command ended, without a second core file.
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(WTERMSIG(status), SIG_DFL);
  sigprocmask(SIG_SETMASK, mask, NULL);
  raise(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

int pacer_supervise(char *const arguments[], const struct pacer_relay *relay) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t mask, before;
  sigemptyset(&mask);
  for (const int *number = (int[]){SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0}; *number; number++) {
    signal(*number, SIG_DFL);
    sigaddset(&mask, *number);
  }
  sigprocmask(SIG_BLOCK, &mask, &before);
  const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  // What keeps the command from being run is told through a pipe that a successful exec closes.
  int report[2], input[2], output[2], finished[2];
  int failed = signals < 0 || pipe2(report, O_CLOEXEC) != 0;
  if (relay) failed = failed || pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC) || pipe2(finished, O_CLOEXEC);
  if (failed) {
    perror("the supervisor could not start");
    return 126;
  }
  const pid_t child = fork();
  if (child < 0) {
    perror("the supervisor could not start a process");
    return 126;
  }
  if (child == 0) {
    setpgid(0, 0);
    if (relay && (dup2(input[0], 0) < 0 || dup2(output[1], 1) < 0)) _exit(126);
    // However the supervisor ends, its command ends with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    execvp(arguments[0], arguments);
    const int error = errno;
    ssize_t ignored = write(report[1], &error, sizeof error);
    (void)ignored;
    _exit(127);
  }
  setpgid(child, child);
  close(report[1]);
  int error = 0;
  if (read(report[0], &error, sizeof error) == sizeof error) {
    fprintf(stderr, "%s is not found or cannot be executed: %s\n", arguments[0], strerror(error));
    waitpid(child, NULL, 0);
    return 127;
  }
  close(report[0]);
  if (relay) {
    // Nobody but the command holds them, so that their ends are seen.
    close(input[0]);
    close(output[1]);
    relay->started((int)child, input[1], output[0], finished[1], relay->context);
  }

  // The runner holds the other end of standard input and nobody else does. It says that there is no more input by shutting
  // down one direction, which is no hang-up; its own end closes both.
  struct pollfd sources[] = {{.fd = signals, .events = POLLIN}, {.fd = is_socket(0) ? 0 : -1}, {.fd = -1}};
  int result = 0;
  for (;;) {
    if (poll(sources, 3, -1) < 0 && errno != EINTR) break;
    // The command has ended, and all that it wrote is passed on.
    if (sources[2].fd >= 0 && sources[2].revents) return as_it_ended(result, &before);
    if (sources[1].revents & (POLLHUP | POLLERR | POLLNVAL)) {
      end_all(child);
      return 129;
    }
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) {
        end_all(child);
        return 128 + (int)info.ssi_signo;
      }
    }
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != child) continue;
      end_all(child);
      if (!relay) return as_it_ended(status, &before);
      result = status;
      sources[2] = (struct pollfd){.fd = finished[0], .events = POLLIN};
    }
  }
  end_all(child);
  return 126;
}
#else
int pacer_supervise(char *const arguments[], const struct pacer_relay *relay) {
  execvp(arguments[0], arguments);
  fprintf(stderr, "%s is not found or cannot be executed: %s\n", arguments[0], strerror(errno));
  return 127;
}
#endif

void pacer_keep_standard_descriptors(void) {
  for (int descriptor = 0; descriptor < 3; descriptor++)
    // Open the wrong way round, so that using it is still the error that it was.
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      int opened = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY);
      (void)opened;
    }
}
