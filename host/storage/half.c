// SPDX-License-Identifier: Apache-2.0
/* half.c - numbers of 16 bits. */
#include "host/storage/half.h"

#include <string.h>

static float from_bits(uint32_t b) {
    float x;
    memcpy(&x, &b, 4);
    return x;
}

static uint32_t to_bits(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

float tti_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

float tti_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, m = h & 0x3FF;
    if (exponent == 31) return from_bits(sign | 0x7F800000 | m << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | m << 13);
    const float x = (float)m * 0x1p-24f; /* subnormal or zero, exact */
    return sign ? -x : x;
}

uint16_t tti_f32_to_bf16(float x) {
    const uint32_t b = to_bits(x);
    if ((b & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(b >> 16 | 0x40);
    return (uint16_t)((b + 0x7FFF + (b >> 16 & 1)) >> 16);
}

uint16_t tti_f32_to_f16(float x) {
    const uint32_t b = to_bits(x), magnitude = b & 0x7FFFFFFF;
    const uint16_t sign = (uint16_t)(b >> 16 & 0x8000);
    if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and up round to inf */
    if (magnitude >= 0x38800000)
        return (uint16_t)(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
    /* subnormal: adding 0.5, whose last place is 2^-24, rounds as wanted */
    const uint32_t m = to_bits(from_bits(magnitude) + 0.5f) - to_bits(0.5f);
    return (uint16_t)(sign | m);
}
