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

// Vector instructions that the processor has and the operating system keeps the registers of.
enum { PacerSSE2 = 1, PacerAVX2 = 2, PacerAVX512 = 4, PacerNEON = 8 };

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

static inline long pacer_vector_sets(void) {
  if (pacer_cpuid(0, 0).eax < 7) return PacerSSE2;
  const PacerCPUID basic = pacer_cpuid(1, 0), extended = pacer_cpuid(7, 0);
  const uint32_t fma = basic.ecx >> 12 & 1, osxsave = basic.ecx >> 27 & 1, avx = basic.ecx >> 28 & 1;
  if (!(osxsave && avx && fma && (extended.ebx >> 5 & 1))) return PacerSSE2;
  const uint64_t saved = pacer_xgetbv();
  if ((saved & 6) != 6) return PacerSSE2;
  const uint32_t foundation = extended.ebx >> 16 & extended.ebx >> 30 & extended.ebx >> 31 & 1;
  const uint32_t vnni = extended.ecx >> 11 & 1;
  return PacerSSE2 | PacerAVX2 | (foundation && vnni && (saved & 0xe6) == 0xe6 ? PacerAVX512 : 0);
}

// 13 words: at most 48 characters and an end.
static inline void pacer_processor_name(uint32_t *words) {
  for (int i = 0; i < 13; i++) words[i] = 0;
  if (pacer_cpuid(0x80000000, 0).eax < 0x80000004) {
    __builtin_memcpy(words, "x86-64", 7);
    return;
  }
  for (uint32_t leaf = 0; leaf < 3; leaf++) {
    const PacerCPUID r = pacer_cpuid(0x80000002 + leaf, 0);
    words[4 * leaf] = r.eax;
    words[4 * leaf + 1] = r.ebx;
    words[4 * leaf + 2] = r.ecx;
    words[4 * leaf + 3] = r.edx;
  }
}
#else
static inline long pacer_vector_sets(void) {
#if defined(__aarch64__)
  return PacerNEON;
#else
  return 0;
#endif
}

static inline void pacer_processor_name(uint32_t *words) { __builtin_memcpy(words, "unknown", 8); }
#endif
