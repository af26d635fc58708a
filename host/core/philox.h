// SPDX-License-Identifier: Apache-2.0
/* philox.h - counter-based random numbers, Philox4x32-10 (Salmon et al., "Parallel random numbers:
 * as easy as 1, 2, 3", SC 2011). cl/common.clh holds the same function: host and every device draw
 * the same numbers from the same counter and key. */
#ifndef TT_HOST_CORE_PHILOX_H
#define TT_HOST_CORE_PHILOX_H

#include <stdint.h>

typedef struct {
    uint32_t v[4];
} tti_philox_out;

static inline tti_philox_out tti_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                        uint32_t k0, uint32_t k1) {
    for (int i = 0; i < 10; i++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b, c3 = (uint32_t)a, c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return (tti_philox_out){{c0, c1, c2, c3}};
}

/* Streams keep independent uses of one seed apart: the last counter word. */
enum {
    TTI_STREAM_SELECT = 1, /* which positions carry gradient */
    TTI_STREAM_SHUFFLE,    /* order of samples in an epoch */
    TTI_STREAM_SHOTS,      /* few-shot sampling */
    TTI_STREAM_INIT,       /* fresh heads and adapters */
    TTI_STREAM_DROPOUT,    /* + 16 * op number: what lies between is free */
    TTI_STREAM_SAMPLE,     /* next tokens */
    TTI_STREAM_ROUND,      /* stochastic rounding of parameters */
};

/* [0, 1) with 24 bits */
static inline float tti_unit(uint32_t r) { return (float)(r >> 8) * 0x1p-24f; }
/* uniform integer in [0, n), n >= 1, by multiply-shift (bias below n / 2^32) */
static inline uint32_t tti_below(uint32_t r, uint32_t n) {
    return (uint32_t)(((uint64_t)r * n) >> 32);
}

#endif
