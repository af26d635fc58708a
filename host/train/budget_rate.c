// SPDX-License-Identifier: Apache-2.0
/* budget_rate.c - how fast a device multiplies matrices of a model's shape. */
#include "host/train/budget.h"

#include <string.h>

enum { MOST_ROWS = 256, MOST_OUT = 2048, MOST_IN = 4096 };
#define LONGEST 0.15 /* seconds of measuring, the choice of a kernel apart */

/* The largest matrix of a layer, adapters apart. */
static tti_param *widest(tti_model *m) {
    tti_param *best = NULL;
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        tti_param *p = tti_model_param(m, i);
        if (p->layer < 0 || p->vector || p->computed || strstr(p->name, "lora_")) continue;
        if (!best || p->rows * p->cols > best->rows * best->cols) best = p;
    }
    return best;
}

typedef struct {
    tti_device *d;
    tti_gemm *g;
    tti_gemm_plan plan;
    tti_gemm_call call;
    tti_layout layout;
    cl_mem workspace;
} trial;

static tt_status set_up(trial *t, size_t rows, const tti_param *p) {
    const tti_dtype type = p->layout.type;
    tti_gemm_shape s = {.tb = true,
                        .m = TT_MAX(TT_MIN(rows, (size_t)MOST_ROWS), 1),
                        .n = TT_MIN(p->transposed ? p->cols : p->rows, (size_t)MOST_OUT),
                        .k = TT_MIN(p->transposed ? p->rows : p->cols, (size_t)MOST_IN),
                        .bt = type};
    t->layout = tti_layout_plain(type, s.n, s.k);
    t->call = (tti_gemm_call){.shape = s, .lda = s.k, .ldb = s.k, .ldc = s.n, .alpha = 1};
    if (type != TTI_F32) t->call.b_layout = &t->layout;
    TT_TRY(tti_gemm_choose(t->g, &s, &t->plan));
    TT_TRY(tti_mem_new(&t->call.a, t->d, s.m * s.k * sizeof(float), TTI_MEM_OTHER, true));
    TT_TRY(tti_mem_new(&t->call.b, t->d, t->layout.bytes, TTI_MEM_OTHER, true));
    TT_TRY(tti_mem_new(&t->call.c, t->d, s.m * s.n * sizeof(float), TTI_MEM_OTHER, true));
    if (t->plan.workspace > 0)
        TT_TRY(tti_mem_new(&t->workspace, t->d, t->plan.workspace, TTI_MEM_WORKSPACE, false));
    return TT_OK;
}

static tt_status measure(trial *t, double *out) {
    double best = 0, began = 0;
    const tti_gemm_shape *s = &t->call.shape;
    for (int i = 0; i < 8; i++) { /* the first one builds programs */
        const double begin = tti_now();
        TT_TRY(tti_gemm_run(t->g, &t->plan, &t->call, t->workspace));
        TT_TRY(tti_device_finish(t->d));
        const double end = tti_now(), took = TT_MAX(end - begin, 1e-7);
        if (i == 0) {
            began = end;
            continue;
        }
        best = TT_MAX(best, 2.0 * (double)s->m * (double)s->n * (double)s->k / took);
        if (end - began > LONGEST) break;
    }
    *out = best;
    return TT_OK;
}

tt_status tti_budget_rate(double *out, tti_device *d, tti_gemm *g, tti_model *m, size_t rows) {
    trial t = {.d = d, .g = g};
    const tti_param *p = widest(m);
    if (!p) return tti_fail(TT_E_INTERNAL, "the model has no layer to measure");
    tt_status s = set_up(&t, rows, p);
    if (s == TT_OK) s = measure(&t, out);
    tti_mem_free(d, t.call.a);
    tti_mem_free(d, t.call.b);
    tti_mem_free(d, t.call.c);
    tti_mem_free(d, t.workspace);
    if (s == TT_E_MEMORY) {
        tti_debug("no rate of products: %s", tt_error());
        *out = 0;
        s = TT_OK;
    }
    return s;
}
