// SPDX-License-Identifier: Apache-2.0
/* quantise.c - matrices of f32 into their storage type, whole or in pieces. */
#include <math.h>
#include <string.h>
#include "host/storage/internal.h"

tt_status tti_quantiser_begin(tti_quantiser *q, const tti_layout *l, void *dst) {
    *q = (tti_quantiser){.l = *l, .dst = dst};
    if (l->has_nested) {
        q->largest = tti_calloc(l->blocks, sizeof *q->largest);
        if (!q->largest) return TT_E_NOMEM;
    }
    if (tti_dtype_quantised(l->type)) memset(dst, 0, l->bytes);
    return TT_OK;
}

void tti_quantiser_free(tti_quantiser *q) {
    tti_free(q->largest);
    q->largest = NULL;
}

static tt_status not_finite(const tti_quantiser *q, const float *src, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(src[i]))
            return tti_fail(TT_E_NUMERIC, "element %zu is %g; the weights are damaged", q->done + i,
                            (double)src[i]);
    return tti_fail(TT_E_INTERNAL, "element %zu on: no number that is not finite", q->done);
}

static tt_status beyond(const tti_quantiser *q, size_t i, float x) {
    return tti_fail(TT_E_NUMERIC, "element %zu is %g, beyond the range of %s; use bf16 or f32",
                    q->done + i, (double)x, tti_dtype_name(q->l.type));
}

static tt_status add_plain(tti_quantiser *q, const float *src, size_t n) {
    if (tti_largest_bits(src, n) >= TTI_INF_BITS) return not_finite(q, src, n);
    if (q->l.type == TTI_F16) {
        uint16_t *out = (uint16_t *)q->dst + q->done;
        for (size_t i = 0; i < n; i++) {
            out[i] = tti_f32_to_f16(src[i]);
            if ((out[i] & 0x7C00) == 0x7C00) return beyond(q, i, src[i]);
        }
    } else if (q->l.type == TTI_BF16) {
        uint16_t *out = (uint16_t *)q->dst + q->done;
        for (size_t i = 0; i < n; i++) out[i] = tti_f32_to_bf16(src[i]);
        for (size_t i = 0; i < n; i++)
            if ((out[i] & 0x7F80) == 0x7F80) return beyond(q, i, src[i]);
    } else {
        memcpy((float *)q->dst + q->done, src, n * sizeof *src);
    }
    return TT_OK;
}

enum { CHUNK = 32 }; /* numbers that are rounded together, in vectors */

static void round_chunk(const float x[CHUNK], float scale, int8_t out[CHUNK]) {
    int32_t r[CHUNK];
    for (int i = 0; i < CHUNK; i++) {
        const float v = x[i] / scale; /* beyond 127, but below 200, where the scale is subnormal */
        const float half = tti_f32_of((tti_bits_of(v) & 0x80000000) | 0x3F000000);
        const int32_t away = (int32_t)(v + half);
        const int32_t above = away < -127 ? -127 : away;
        r[i] = above > 127 ? 127 : above;
    }
    for (int i = 0; i < CHUNK; i++) out[i] = (int8_t)r[i];
}

/* A block of n numbers around zero: the largest magnitude becomes 127. */
static float q8_block(const float *x, size_t n, float largest, int8_t *out) {
    const float scale = largest / 127.0f;
    if (!(scale > 0)) return 0; /* the data are zero already */
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) round_chunk(x + i, scale, out + i);
    if (i < n) {
        float rest[CHUNK] = {0};
        int8_t r[CHUNK];
        memcpy(rest, x + i, (n - i) * sizeof *x);
        round_chunk(rest, scale, r);
        memcpy(out + i, r, n - i);
    }
    return scale;
}

static tt_status add_blocks(tti_quantiser *q, const float *src, size_t n) {
    const tti_layout *l = &q->l;
    float *scales = l->has_nested ? q->largest : (float *)(void *)(q->dst + l->scales);
    size_t block = q->done / l->block;
    for (size_t i = 0; i < n; i += l->block, block++) {
        const size_t m = TT_MIN(n - i, l->block), at = q->done + i;
        const uint32_t bits = tti_largest_bits(src + i, m);
        if (bits >= TTI_INF_BITS) return not_finite(q, src, n);
        const float largest = tti_f32_of(bits);
        scales[block] = l->type == TTI_Q8
                            ? q8_block(src + i, m, largest, (int8_t *)q->dst + at)
                            : tti_nf4_block(src + i, m, largest, m == l->block, q->dst + at / 2);
    }
    return TT_OK;
}

tt_status tti_quantiser_add(tti_quantiser *q, const float *src, size_t count) {
    const size_t total = q->l.rows * q->l.cols;
    if (count > total - q->done)
        return tti_fail(TT_E_ARG, "%zu elements behind the first %zu of a matrix of %zu", count,
                        q->done, total);
    if (tti_dtype_quantised(q->l.type)) {
        if (count % q->l.block && q->done + count != total)
            return tti_fail(TT_E_ARG, "a piece of %zu elements; expected a multiple of %zu", count,
                            q->l.block);
        TT_TRY(add_blocks(q, src, count));
    } else {
        TT_TRY(add_plain(q, src, count));
    }
    q->done += count;
    return TT_OK;
}

tt_status tti_quantiser_end(tti_quantiser *q) {
    const tti_layout *l = &q->l;
    tt_status s = TT_OK;
    float offset = 0;
    if (q->done != l->rows * l->cols)
        s = tti_fail(TT_E_ARG, "%zu of %zu elements were given", q->done, l->rows * l->cols);
    if (s == TT_OK && l->has_nested) {
        float code[TTI_NESTED_CODE];
        tti_nested_code(code);
        tti_nest(q->largest, l->blocks, q->dst + l->scales, (float *)(void *)(q->dst + l->nested),
                 code, &offset);
        if (!isfinite(offset)) /* torch's own sum overflows too */
            s = tti_fail(TT_E_NUMERIC,
                         "the sum of %zu scales overflows; double quantisation cannot hold them",
                         l->blocks);
    }
    if (s == TT_OK && l->type == TTI_NF4) tti_nf4_tables(q->dst + l->tables, offset);
    tti_quantiser_free(q);
    return s;
}

tt_status tti_quantise(const tti_layout *l, const float *src, void *dst) {
    tti_quantiser q;
    tt_status s = tti_quantiser_begin(&q, l, dst);
    if (s == TT_OK) s = tti_quantiser_add(&q, src, l->rows * l->cols);
    if (s == TT_OK) s = tti_quantiser_end(&q);
    tti_quantiser_free(&q);
    return s;
}
