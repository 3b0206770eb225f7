// The processor's own words about itself. Static and asm only, so that no copy is shared between modules.
#pragma once
#include <stdint.h>

// Tells the processor that this is a spinning loop.
static inline void pacer_pause(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#if defined(__x86_64__)
typedef struct { uint32_t eax, ebx, ecx, edx; } PacerCPUID;

static inline PacerCPUID pacer_cpuid(uint32_t leaf, uint32_t subleaf) {
  PacerCPUID r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

// Which register states the operating system saves. Only where CPUID leaf 1 has OSXSAVE.
static inline uint64_t pacer_xgetbv(void) {
  uint32_t low, high;
  __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}
#endif
