// SPDX-License-Identifier: Apache-2.0
/* support.h - numbers by a rule and sums over bytes, both as tests/ref/make_quantised.py has them.
 */
#ifndef TT_TESTS_UNIT_STORAGE_SUPPORT_H
#define TT_TESTS_UNIT_STORAGE_SUPPORT_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/storage/storage.h"

static inline uint32_t word(uint32_t seed, uint32_t i) {
    uint32_t h = i * 0x9E3779B1u + seed * 0x85EBCA77u;
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    h ^= h >> 12;
    h *= 0x297A2D39u;
    return h ^ h >> 15;
}

static inline float usual(uint32_t seed, uint32_t i) {
    const uint32_t h = word(seed, i);
    return (float)((int)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510) *
           0x1p-14f;
}

static inline float number(const char *kind, uint32_t seed, uint32_t i) {
    const uint32_t h = word(seed, i);
    const float x = usual(seed, i);
    if (!strcmp(kind, "usual")) return x;
    if (!strcmp(kind, "spread")) return ldexpf(x, -(int)(word(seed + 1, i / 64) % 24));
    if (!strcmp(kind, "any")) return tti_f32_of((h >> 23 & 255) == 255 ? h ^ 0x40000000 : h);
    if (!strcmp(kind, "zeros")) return i / 64 % 3 == 0 ? 0 : x;
    if (!strcmp(kind, "tiny")) return tti_f32_of(h & 0x8000FFFF);
    if (!strcmp(kind, "constant")) return -0.5f;
    cr_assert_str_eq(kind, "middles");
    const unsigned k = (h >> 8) % 15;
    const float middle = (tti_nf4_code[k] + tti_nf4_code[k + 1]) / 2;
    return i % 64 == 0 ? 1 : tti_f32_of(tti_bits_of(middle) + h % 3 - 1);
}

/* Gives count numbers (free). */
static inline float *numbers(const char *kind, uint32_t seed, size_t count) {
    float *x = malloc((count + 1) * sizeof *x);
    cr_assert(x);
    for (size_t i = 0; i < count; i++) x[i] = number(kind, seed, (uint32_t)i);
    return x;
}

static inline uint64_t total(const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (b[i] + 1ull) * (i * 0x9E3779B97F4A7C16u + 1);
    return sum;
}

#endif
