// SPDX-License-Identifier: Apache-2.0
/* half.c - rounding to IEEE half. */
#include "host/storage/half.h"

uint16_t tti_f32_to_f16(float x) {
    const uint32_t b = tti_bits_of(x), magnitude = b & 0x7FFFFFFF;
    const uint16_t sign = (uint16_t)(b >> 16 & 0x8000);
    if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and up round to inf */
    if (magnitude >= 0x38800000)
        return (uint16_t)(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
    /* subnormal: adding 0.5, whose last place is 2^-24, rounds as wanted */
    const uint32_t m = tti_bits_of(tti_f32_of(magnitude) + 0.5f) - tti_bits_of(0.5f);
    return (uint16_t)(sign | m);
}
