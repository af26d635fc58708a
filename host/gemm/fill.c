// SPDX-License-Identifier: Apache-2.0
/* fill.c - operands for measuring: multiples of 1/64 up to 1, in any storage type. Quantised ones
 * have tables and scales of such numbers, so that nothing is rounded. */
#include "host/gemm/internal.h"

#include <string.h>
#include "host/storage/half.h"

static uint32_t next(uint32_t *x) {
    *x = *x * 1664525u + 1013904223u;
    return *x >> 16;
}

static float number(uint32_t *x) { return (float)((int)next(x) % 129 - 64) / 64.0f; }

static void put_float(unsigned char *p, size_t i, float x) { memcpy(p + i * 4, &x, 4); }

static void fill_plain(const tti_layout *l, unsigned char *p, float *values, uint32_t x) {
    for (size_t i = 0; i < l->rows * l->cols; i++) {
        values[i] = number(&x);
        const uint16_t h =
            l->type == TTI_F16 ? tti_f32_to_f16(values[i]) : tti_f32_to_bf16(values[i]);
        if (l->type == TTI_F32)
            put_float(p, i, values[i]);
        else
            memcpy(p + i * 2, &h, 2);
    }
}

static void fill_q8(const tti_layout *l, unsigned char *p, float *values, uint32_t x) {
    for (size_t i = 0; i < l->blocks; i++) put_float(p + l->scales, i, 1.0f / 64.0f);
    for (size_t i = 0; i < l->rows * l->cols; i++) {
        values[i] = number(&x);
        p[i] = (unsigned char)(int)(values[i] * 64.0f);
    }
}

/* Codes -8/8 .. 7/8, scales 1/8 .. 8/8. */
static void fill_nf4(const tti_layout *l, unsigned char *p, float *values, uint32_t x) {
    for (size_t i = 0; i < TTI_CODE; i++) put_float(p + l->tables, i, ((float)i - 8.0f) / 8.0f);
    for (size_t i = 0; i < TTI_NESTED_CODE; i++)
        put_float(p + l->tables, TTI_CODE + i, (float)(i % 8 + 1) / 8.0f);
    put_float(p + l->tables, TTI_CODE + TTI_NESTED_CODE, 0.0f);
    for (size_t i = 0; i < l->nested_blocks; i++) put_float(p + l->nested, i, 1.0f);
    float scale = 1;
    for (size_t i = 0; i < l->rows * l->cols; i++) {
        if (i % l->block == 0) {
            const uint32_t s = next(&x) % 256;
            scale = (float)(s % 8 + 1) / 8.0f;
            if (l->has_nested)
                p[l->scales + i / l->block] = (unsigned char)s;
            else
                put_float(p + l->scales, i / l->block, scale);
        }
        const uint32_t c = next(&x) % TTI_CODE;
        p[i / 2] |= (unsigned char)(i % 2 ? c : c << 4);
        values[i] = ((float)c - 8.0f) / 8.0f * scale;
    }
}

void tti_gemm_fill(const tti_layout *l, void *bytes, float *values, uint32_t seed) {
    memset(bytes, 0, l->bytes);
    if (l->type == TTI_NF4)
        fill_nf4(l, bytes, values, seed);
    else if (l->type == TTI_Q8)
        fill_q8(l, bytes, values, seed);
    else
        fill_plain(l, bytes, values, seed);
}
