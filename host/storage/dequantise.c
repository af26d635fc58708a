// SPDX-License-Identifier: Apache-2.0
/* dequantise.c - matrices of any storage type back to f32. */
#include <string.h>
#include "host/storage/internal.h"

static float scale_of(const tti_layout *l, const uint8_t *src, size_t block) {
    if (!l->has_nested) return ((const float *)(const void *)(src + l->scales))[block];
    const float *tables = (const float *)(const void *)(src + l->tables);
    const float *nested = (const float *)(const void *)(src + l->nested);
    const float *code = tables + TTI_CODE, offset = code[TTI_NESTED_CODE];
    const float product = code[src[l->scales + block]] * nested[block / TTI_NESTED_BLOCK];
    return product + offset;
}

static unsigned nibble(const uint8_t *data, size_t i) {
    return i & 1 ? data[i / 2] & 15u : data[i / 2] >> 4;
}

/* Elements of one block, `first` counted from the beginning of the matrix. */
static void nf4(const tti_layout *l, const uint8_t *src, size_t first, size_t n, float *dst) {
    const float *code = (const float *)(const void *)(src + l->tables);
    const float scale = scale_of(l, src, first / l->block);
    float value[TTI_CODE];
    for (int k = 0; k < TTI_CODE; k++) value[k] = code[k] * scale;
    size_t i = 0;
    if (first & 1 && n) dst[i++] = value[nibble(src, first)];
    const uint8_t *data = src + (first + i) / 2;
    for (; i + 2 <= n; i += 2, data++) {
        dst[i] = value[*data >> 4];
        dst[i + 1] = value[*data & 15];
    }
    if (i < n) dst[i] = value[*data >> 4];
}

static void q8(const tti_layout *l, const uint8_t *src, size_t first, size_t n, float *dst) {
    const int8_t *data = (const int8_t *)src + first;
    const float scale = scale_of(l, src, first / l->block);
    for (size_t i = 0; i < n; i++) dst[i] = (float)data[i] * scale;
}

void tti_dequantise(const tti_layout *l, const void *src, size_t first, size_t count, float *dst) {
    const uint16_t *half = (const uint16_t *)src + first;
    switch (l->type) {
    case TTI_F16:
        for (size_t i = 0; i < count; i++) dst[i] = tti_f16_to_f32(half[i]);
        return;
    case TTI_BF16:
        for (size_t i = 0; i < count; i++) dst[i] = tti_bf16_to_f32(half[i]);
        return;
    case TTI_Q8:
    case TTI_NF4:
        for (size_t i = 0; i < count;) {
            const size_t n = TT_MIN(count - i, l->block - (first + i) % l->block);
            (l->type == TTI_Q8 ? q8 : nf4)(l, src, first + i, n, dst + i);
            i += n;
        }
        return;
    default: memcpy(dst, (const float *)src + first, count * sizeof *dst);
    }
}
