// SPDX-License-Identifier: Apache-2.0
/* half.h - numbers of 16 bits: IEEE half (f16) and the upper half of an f32 (bf16). */
#ifndef TT_HOST_STORAGE_HALF_H
#define TT_HOST_STORAGE_HALF_H

#include <stdint.h>

/* Exact widening, and rounding to nearest even (a NaN stays a NaN). */
float tti_f16_to_f32(uint16_t h);
float tti_bf16_to_f32(uint16_t h);
uint16_t tti_f32_to_f16(float x);
uint16_t tti_f32_to_bf16(float x);

#endif
