// SPDX-License-Identifier: Apache-2.0
/* half.h - numbers of 16 bits: IEEE half (f16) and the upper half of an f32 (bf16). Exact widening,
 * and rounding to nearest even; a NaN stays a NaN. Inline, without branches where that is possible,
 * so that loops over them become vector loops. */
#ifndef TT_HOST_STORAGE_HALF_H
#define TT_HOST_STORAGE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float tti_f32_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline uint32_t tti_bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float tti_bf16_to_f32(uint16_t h) { return tti_f32_of((uint32_t)h << 16); }

static inline uint16_t tti_f32_to_bf16(float x) {
    const uint32_t b = tti_bits_of(x);
    const uint32_t nan = b >> 16 | 0x40, number = (b + 0x7FFF + (b >> 16 & 1)) >> 16;
    return (uint16_t)((b & 0x7FFFFFFF) > 0x7F800000 ? nan : number);
}

static inline float tti_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, m = (uint32_t)(h & 0x7FFF) << 13;
    const uint32_t number = tti_bits_of(tti_f32_of(m) * 0x1p112f); /* exact, subnormals too */
    return tti_f32_of(sign | number | (m >= 0x0F800000 ? 0x7F800000u : 0));
}

uint16_t tti_f32_to_f16(float x);

#endif
