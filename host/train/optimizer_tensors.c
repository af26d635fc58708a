// SPDX-License-Identifier: Apache-2.0
/* optimizer_tensors.c - an optimizer's state as tensors, for checkpoints. */
#include "host/train/optimizer_internal.h"

/* Tensor i is the k-th of a part: all parts' first ones come before any's second. */
static const tti_opt_part *find(const tti_optimizer *o, size_t i, size_t *k, size_t *number) {
    for (*k = 0; *k < TTI_OPT_TENSORS; ++*k)
        for (*number = 0; *number < o->narenas + o->nsparse; ++*number)
            if (o->part[*number].ntensors > *k && i-- == 0) return &o->part[*number];
    return NULL;
}

size_t tti_optimizer_tensors(const tti_optimizer *o) {
    size_t n = 0;
    for (size_t i = 0; i < o->narenas + o->nsparse; i++) n += o->part[i].ntensors;
    return n;
}

tti_optimizer_tensor tti_optimizer_tensor_at(const tti_optimizer *o, size_t i) {
    size_t k, number;
    tti_optimizer_tensor t = {0};
    const tti_opt_part *p = find(o, i, &k, &number);
    if (!p) return t;
    t.elem = p->tensor[k].elem;
    t.count = p->tensor[k].count;
    snprintf(t.name, sizeof t.name, "%c.%zu", p->tensor[k].which, number);
    return t;
}

/* One of dst and src is NULL. */
static tt_status copy(tti_optimizer *o, size_t i, size_t offset, char *dst, const char *src,
                      size_t count) {
    size_t k, number;
    const tti_opt_part *p = find(o, i, &k, &number);
    if (!p || offset > p->tensor[k].count || count > p->tensor[k].count - offset)
        return tti_fail(TT_E_INTERNAL, "optimizer: no %zu elements at %zu of tensor %zu", count,
                        offset, i);
    const size_t elem = p->tensor[k].elem;
    for (size_t n; count > 0; offset += n, count -= n) {
        const size_t at = offset % p->per[k];
        cl_mem m = p->piece[k][offset / p->per[k]];
        n = TT_MIN(count, p->per[k] - at);
        if (dst) {
            TT_TRY(tti_mem_read(o->d, m, at * elem, dst, n * elem));
            dst += n * elem;
        } else {
            TT_TRY(tti_mem_write(o->d, m, at * elem, src, n * elem));
            src += n * elem;
        }
    }
    return TT_OK;
}

tt_status tti_optimizer_read(tti_optimizer *o, size_t i, size_t offset, void *dst, size_t count) {
    return copy(o, i, offset, dst, NULL, count);
}

tt_status tti_optimizer_write(tti_optimizer *o, size_t i, size_t offset, const void *src,
                              size_t count) {
    return copy(o, i, offset, NULL, src, count);
}

tt_status tti_optimizer_resume(tti_optimizer *o, uint32_t step) {
    if (step > INT32_MAX) return tti_fail(TT_E_ARG, "optimizer: resumed at step %u", step);
    for (size_t i = 0; i < o->nsparse; i++) {
        const size_t rows = o->sparse[i].rows;
        int32_t *last = tti_malloc(rows * sizeof *last);
        if (!last) return TT_E_NOMEM;
        for (size_t r = 0; r < rows; r++) last[r] = (int32_t)step;
        tt_status s =
            tti_mem_write(o->d, o->part[o->narenas + i].last, 0, last, rows * sizeof *last);
        tti_free(last);
        TT_TRY(s);
    }
    o->begun = o->updated = o->flushed = o->judged = step;
    return TT_OK;
}
