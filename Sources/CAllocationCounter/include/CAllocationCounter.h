// Counts calls of the C library's allocator in the whole process while counting is on. Linking this module puts it in
// front of malloc and its kin.
#pragma once
#include <stdint.h>

void pacer_heap_start(void);
// What was counted since pacer_heap_start; counting is off afterwards.
void pacer_heap_stop(int64_t *allocations, int64_t *bytes);
// Whether calls arrive here at all: not under a sanitizer, which has an allocator of its own.
int pacer_heap_available(void);
