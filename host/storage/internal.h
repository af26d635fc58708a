// SPDX-License-Identifier: Apache-2.0
/* internal.h - a storage type as the files of this room see it. */
#ifndef TT_HOST_STORAGE_INTERNAL_H
#define TT_HOST_STORAGE_INTERNAL_H

#include "host/storage/storage.h"

/* The bits of the largest magnitude of n numbers: they order as integers do, and a NaN or an
 * infinity comes out as 0x7F800000 or more. */
static inline uint32_t tti_largest_bits(const float *x, size_t n) {
    enum { LANES = 16 };
    uint32_t lane[LANES] = {0}, m = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const uint32_t b = tti_bits_of(x[i + j]) & 0x7FFFFFFF;
            lane[j] = b > lane[j] ? b : lane[j];
        }
    for (; i < n; i++) {
        const uint32_t b = tti_bits_of(x[i]) & 0x7FFFFFFF;
        m = b > m ? b : m;
    }
    for (size_t j = 0; j < LANES; j++) m = lane[j] > m ? lane[j] : m;
    return m;
}
enum { TTI_INF_BITS = 0x7F800000 };

/* One block of n numbers as 4-bit codes, two a byte; its largest magnitude is `largest`. whole:
 * n is the size of a block, else the tail of a matrix, which bitsandbytes divides instead of
 * multiplying by the reciprocal. Returns the scale. */
float tti_nf4_block(const float *x, size_t n, float largest, bool whole, uint8_t *out);
/* Scales as 8-bit numbers of blocks of 256 around their mean; works in scale[]. */
void tti_nest(float *scale, size_t n, uint8_t *out, float *nested, const float *code,
              float *offset);
/* Writes the tables of NF4 at `at` (storage.h); offset is 0 where scales are not nested. */
void tti_nf4_tables(uint8_t *at, float offset);

#endif
