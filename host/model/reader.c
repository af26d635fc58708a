// SPDX-License-Identifier: Apache-2.0
/* reader.c - the numbers of a checkpoint's tensor, quantised or not, and its copy in another
 * type. */
#include <math.h>
#include "host/model/internal.h"

enum { CHUNK = 1 << 20 }; /* numbers that are copied at a time */

bool tti_st_is_float(const tti_st_tensor *t) {
    return t->dtype == TTI_ST_F32 || t->dtype == TTI_ST_F16 || t->dtype == TTI_ST_BF16 ||
           t->dtype == TTI_ST_F64;
}

tt_status tti_reader_open(tti_reader *r, const tti_stored *x) {
    *r = (tti_reader){.x = *x, .count = x->t->count};
    if (!x->quantised) return TT_OK;
    r->count = x->layout.rows * x->layout.cols;
    if (!(r->packed = tti_malloc(x->layout.bytes))) return TT_E_NOMEM;
    return tti_quantised_fill(x->st, x->t->name, &x->layout, r->packed);
}

void tti_reader_close(tti_reader *r) {
    tti_reader_drop(r);
    tti_free(r->packed);
    r->packed = NULL;
}

void tti_reader_drop(const tti_reader *r) {
    if (r->x.quantised)
        tti_quantised_drop(r->x.st, r->x.t->name);
    else if (r->x.t)
        tti_st_drop(r->x.t);
}

bool tti_stored_is_part(const tti_st *st, const tti_st_tensor *t) {
    char owner[512];
    const size_t n = tti_quantised_owner(t->name);
    snprintf(owner, sizeof owner, "%.*s", (int)n, t->name);
    return n > 0 && n < sizeof owner && tti_st_find(st, owner);
}

tt_status tti_reader_f32(const tti_reader *r, float *dst, size_t first, size_t n) {
    if (!r->packed) return tti_st_read_f32(r->x.t, dst, first, n);
    tti_dequantise(&r->x.layout, r->packed, first, n, dst);
    return TT_OK;
}

tt_status tti_check_held(const char *name, tti_st_dtype dtype, const float *v, size_t first,
                         size_t n) {
    const float limit = dtype == TTI_ST_F16    ? 65520.0f /* what rounds to infinity */
                        : dtype == TTI_ST_BF16 ? 0x1.ffp127f
                                               : INFINITY;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(v[i]) < limit))
            return tti_fail(TT_E_NUMERIC, "%s: element %zu would be %g, which %s cannot hold%s",
                            name, first + i, (double)v[i], dtype == TTI_ST_F16 ? "f16" : "the type",
                            dtype == TTI_ST_F16 ? "; write bf16 or f32" : "");
    return TT_OK;
}

/* What is no number, as ids, as it is. */
static tt_status copy_bytes(const tti_st_tensor *t, tti_st_writer *w) {
    const size_t step = CHUNK * sizeof(float);
    for (size_t at = 0; at < t->bytes; at += step) {
        TT_TRY(tti_st_writer_write(w, (const uint8_t *)t->data + at, TT_MIN(step, t->bytes - at)));
        tti_st_drop(t);
    }
    return TT_OK;
}

tt_status tti_reader_copy(const tti_reader *r, tti_st_writer *w, const char *name,
                          tti_st_dtype dtype) {
    const tti_st_tensor *t = r->x.t;
    const bool same = !r->packed && t->dtype == dtype;
    const size_t size = t->count ? t->bytes / t->count : 0; /* where it is the same */
    if (same && !tti_st_is_float(t)) return copy_bytes(t, w);
    float *v = tti_malloc(CHUNK * sizeof *v);
    if (!v) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (size_t at = 0, n; at < r->count && s == TT_OK; at += n) {
        n = TT_MIN(r->count - at, (size_t)CHUNK);
        TT_GO(tti_reader_f32(r, v, at, n));
        TT_GO(tti_check_held(name, dtype, v, at, n));
        TT_GO(same ? tti_st_writer_write(w, (const uint8_t *)t->data + at * size, n * size)
                   : tti_st_writer_write_f32(w, v, n));
        if (!r->packed) tti_st_drop(t);
    }
done:
    tti_free(v);
    return s;
}
