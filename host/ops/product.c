// SPDX-License-Identifier: Apache-2.0
/* product.c - see product.h */
#include "host/ops/product.h"

/* The part of a sum that one slab is: the residual goes with the first part, bias and activation
 * with the last, which takes what has been added up as its residual. */
static void part_of_sum(tti_gemm_call *c, bool first, bool last) {
    if (!last) {
        c->bias = NULL;
        c->act = TTI_ACT_NONE;
    }
    if (first) return;
    c->accumulate = !c->bias && c->act == TTI_ACT_NONE;
    c->residual = c->accumulate ? NULL : c->c;
}

tt_status tti_x_product(tti_exec *e, const tti_gemm_plan *plan, const tti_gemm_call *call,
                        tti_val v, tti_slab_role role) {
    size_t n;
    const tti_slab *slabs = tti_x_slabs(e, v, &n);
    for (size_t i = 0; i < n; i++) {
        const tti_slab *s = &slabs[i];
        tti_gemm_call c = *call;
        if (role == TTI_ROWS_ARE_M) {
            c.c = s->mem;
            c.shape.m = s->rows;
            c.a_at += s->row0;
        } else {
            c.b = s->mem;
            c.ldb = s->layout.cols;
            c.b_layout = &s->layout;
            c.shape.bt = s->layout.type;
        }
        if (role == TTI_ROWS_ARE_N) {
            c.shape.n = s->rows;
            c.c_at += s->row0;
            c.bias_at += s->row0;
        } else if (role == TTI_ROWS_ARE_K) {
            c.shape.k = s->rows;
            c.a_at += s->row0;
            part_of_sum(&c, i == 0, i + 1 == n);
        }
        TT_TRY(tti_gemm_run(e->gemm, plan, &c, e->workspace));
    }
    return TT_OK;
}
