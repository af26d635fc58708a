// SPDX-License-Identifier: Apache-2.0
/* nf4.c - blocks of 4-bit numbers and their nested scales, with the roundings of bitsandbytes 0.50
 * and torch on a CPU. */
#include <math.h>
#include <string.h>
#include "host/storage/internal.h"

const float tti_nf4_code[TTI_CODE] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

enum { CHUNK = 32 }; /* numbers that are coded together; divides every block but tails */

/* out[i] = how many of the middles between neighbouring codes are below v[i]. */
static void nearest(const float v[CHUNK], int32_t out[CHUNK]) {
    float middle[TTI_CODE - 1];
    for (int k = 0; k + 1 < TTI_CODE; k++) middle[k] = (tti_nf4_code[k] + tti_nf4_code[k + 1]) / 2;
    for (int i = 0; i < CHUNK; i++) {
        int32_t below = 0;
        for (int k = 0; k + 1 < TTI_CODE; k++) below += v[i] > middle[k];
        out[i] = below;
    }
}

static void pack(const int32_t code[CHUNK], size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(code[2 * i] << 4 | code[2 * i + 1]);
}

float tti_nf4_block(const float *x, size_t n, float largest, bool whole, uint8_t *out) {
    const float divisor = largest > 1e-38f ? largest : 1e-38f, factor = 1.0f / divisor;
    float v[CHUNK];
    int32_t code[CHUNK];
    size_t i = 0;
    for (; whole && i + CHUNK <= n; i += CHUNK) {
        for (size_t j = 0; j < CHUNK; j++) v[j] = x[i + j] * factor;
        nearest(v, code);
        pack(code, CHUNK / 2, out + i / 2);
    }
    for (; i < n; i += CHUNK) {
        const size_t m = TT_MIN(n - i, (size_t)CHUNK);
        /* an odd number of elements is followed by the code of zero */
        for (size_t j = 0; j < CHUNK; j++) v[j] = 0;
        for (size_t j = 0; j < m; j++) v[j] = whole ? x[i + j] * factor : x[i + j] / divisor;
        nearest(v, code);
        pack(code, (m + 1) / 2, out + i / 2);
    }
    return whole ? largest : divisor;
}

/* ---- nested scales ---- */

void tti_nested_code(float code[TTI_NESTED_CODE]) {
    static const float unit[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    size_t n = TTI_NESTED_CODE / 2 - 1;
    code[n++] = 0;
    for (int e = 0; e < 7; e++) { /* 2^e middles of equal parts of 0.1 .. 1, in this unit */
        const int parts = 1 << e;
        const float step = (1.0f - 0.1f) / (float)parts;
        float low = 0.1f;
        for (int i = 1; i <= parts; i++) { /* a boundary is reckoned from the nearer end */
            const float high = i < (parts + 1) / 2 ? fmaf(step, (float)i, 0.1f)
                                                   : fmaf(-step, (float)(parts - i), 1.0f);
            code[n] = unit[e] * ((low + high) / 2);
            code[TTI_NESTED_CODE - 2 - n] = -code[n];
            n++;
            low = high;
        }
    }
    code[n] = 1;
}

/* The sum in torch's order on one thread: four rows of eight lanes, each a cascade of four levels
 * that hold sums of ever more terms; then the rows, and the lanes behind the odd rest. Fewer than
 * eight numbers: four rows of one. */
enum { LANES = 8, ROWS = 4, LEVELS = 4, WIDE = LANES * ROWS };

static void add(float *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] += from[i];
}

static void cascade(const float *x, size_t steps, float sum[LEVELS][WIDE]) {
    unsigned bits = 0;
    while (((size_t)1 << bits) < steps) bits++;
    const unsigned power = TT_MAX(4u, bits / LEVELS);
    const size_t step = (size_t)1 << power;
    size_t i = 0;
    while (i + step <= steps) {
        for (const size_t end = i + step; i < end; i++) add(sum[0], x + i * WIDE, WIDE);
        for (unsigned level = 1; level < LEVELS; level++) {
            add(sum[level], sum[level - 1], WIDE);
            memset(sum[level - 1], 0, sizeof sum[0]);
            if (i & (step - 1) << level * power) break;
        }
    }
    for (; i < steps; i++) add(sum[0], x + i * WIDE, WIDE);
    for (unsigned level = 1; level < LEVELS; level++) add(sum[0], sum[level], WIDE);
}

static float mean(const float *x, size_t n) {
    float sum[LEVELS][WIDE] = {{0}}, total = 0;
    if (n >= ROWS && n < LANES) {
        total = x[0];
        for (size_t i = ROWS; i < n; i++) total += x[i];
        for (size_t i = 1; i < ROWS; i++) total += x[i];
        return total / (float)n;
    }
    cascade(x, n / WIDE, sum);
    size_t i = n / WIDE * WIDE;
    for (; i + LANES <= n; i += LANES) add(sum[0], x + i, LANES);
    for (int row = 1; row < ROWS; row++) add(sum[0], sum[0] + row * LANES, LANES);
    for (; i < n; i++) total += x[i];
    for (int lane = 0; lane < LANES; lane++) total += sum[0][lane];
    return n ? total / (float)n : 0;
}

/* The code of v in -1 .. 1. bitsandbytes looks it up by v in 65536 steps, so the nearest number is
 * that of the step's own value. A NaN, from 0 times an infinite reciprocal, is step 0. */
static uint8_t nested_nearest(const float *middle, float v) {
    if (v < -1) v = -1;
    if (v > 1) v = 1;
    const int step = v == v ? (int)fmaf((v + 1.0f) * 0.5f, 65535.0f, 0.5f) : 0;
    const float at = 2.0f * (float)step / 65535.0f - 1.0f;
    int low = 0, high = TTI_NESTED_CODE - 1; /* the first code whose upper middle is not below */
    while (low < high) {
        const int k = (low + high) / 2;
        if (at > middle[k])
            low = k + 1;
        else
            high = k;
    }
    return (uint8_t)low;
}

void tti_nest(float *scale, size_t n, uint8_t *out, float *nested, const float *code,
              float *offset) {
    float middle[TTI_NESTED_CODE - 1];
    for (int k = 0; k + 1 < TTI_NESTED_CODE; k++) middle[k] = (code[k] + code[k + 1]) * 0.5f;
    *offset = mean(scale, n);
    for (size_t i = 0; i < n; i += TTI_NESTED_BLOCK) {
        const size_t m = TT_MIN(n - i, (size_t)TTI_NESTED_BLOCK);
        for (size_t j = 0; j < m; j++) scale[i + j] -= *offset;
        const float largest = tti_f32_of(tti_largest_bits(scale + i, m));
        const float factor = 1.0f / largest;
        *nested++ = largest;
        for (size_t j = 0; j < m; j++)
            out[i + j] = largest > 0 ? nested_nearest(middle, scale[i + j] * factor) : 0;
    }
}

void tti_nf4_tables(uint8_t *at, float offset) {
    float code[TTI_NESTED_CODE];
    tti_nested_code(code);
    memcpy(at, tti_nf4_code, sizeof tti_nf4_code);
    memcpy(at + sizeof tti_nf4_code, code, sizeof code);
    memcpy(at + sizeof tti_nf4_code + sizeof code, &offset, 4);
}
