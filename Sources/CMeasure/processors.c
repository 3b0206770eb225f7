#define _GNU_SOURCE
#include "CMeasure.h"

#ifdef __linux__
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

int pacer_allowed_processors(int *numbers, int capacity) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  int count = 0;
  for (int number = 0; number < CPU_SETSIZE; number++)
    if (CPU_ISSET(number, &set) && count++ < capacity) numbers[count - 1] = number;
  return count;
}

int pacer_stay_on_processors(const int *numbers, int count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < count; i++)
    if (numbers[i] >= 0 && numbers[i] < CPU_SETSIZE) CPU_SET(numbers[i], &set);
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
  int error = 0;
  for (struct dirent *task; (task = readdir(tasks));) {
    const int number = atoi(task->d_name);
    if (number > 0 && sched_setaffinity(number, sizeof set, &set) != 0) error = errno;
  }
  closedir(tasks);
  return error;
}
#else
int pacer_allowed_processors(int *numbers, int capacity) { return 0; }
int pacer_stay_on_processors(const int *numbers, int count) { return 78; }
#endif
