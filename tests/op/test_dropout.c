// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include "host/core/philox.h"

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return tti_dropout(g, v[0], c->p, c->i);
}

/* The numbers of host/core/philox.h: what is dropped is the same on every device. */
static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const tti_rows_kind kind = c->in[0].kind;
    const size_t n = c->in[0].cols;
    for (size_t r = 0; r < td_rows(f, kind, 0); r++)
        for (size_t i = 0; i < n; i++) {
            const bool rest = kind == TTI_ROWS_REST, pooled = kind == TTI_ROWS_SEQ;
            int32_t pos = f->in[rest ? TTI_IN_POS_REST : TTI_IN_POS_SEL][r];
            int32_t seq = f->in[rest ? TTI_IN_SEQ_REST : TTI_IN_SEQ_SEL][r];
            if (pooled) pos = 0, seq = 100 + (int32_t)r;
            const tti_philox_out u = tti_philox((uint32_t)i / 4, (uint32_t)pos, (uint32_t)seq,
                                                TTI_STREAM_DROPOUT + 16 * (uint32_t)c->i, 11, 5);
            const bool keep = c->inference || tti_unit(u.v[i % 4]) >= c->p;
            y[r * n + i] = keep ? v[0][r * n + i] / (c->inference ? 1.0 : 1.0 - c->p) : 0;
        }
}

#define IN(k, n)    \
    {               \
        { k, 0, n } \
    }
static const td_case cases[] = {
    {"a tenth", &ragged, IN(TTI_ROWS_SEL, 384), build, ref, 1e-6, 1e-5, 3, 0.1f},
    {"half, odd width", &ragged, IN(TTI_ROWS_SEL, 71), build, ref, 1e-6, 1e-5, 0, 0.5f},
    {"one column", &ragged, IN(TTI_ROWS_SEL, 1), build, ref, 1e-6, 1e-5, 1, 0.3f},
    {"other rows", &ragged, IN(TTI_ROWS_REST, 100), build, ref, 1e-6, 1e-5, 3, 0.1f},
    {"pooled rows", &ragged, IN(TTI_ROWS_SEQ, 130), build, ref, 1e-6, 1e-5, 7, 0.9f},
    {"evaluation", &ragged, IN(TTI_ROWS_SEL, 50), build, ref, 0, 1e-6, 7, 0.9f, .inference = true},
    {"none", &ragged, IN(TTI_ROWS_SEL, 50), build, ref, 0, 1e-6, 7, 0.0f},
    {0},
};

Test(dropout, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(dropout, rejects_impossible_chances) {
    tti_graph *g = tti_graph_new();
    tti_dropout(g, tti_graph_param(g, "x", 2, 3, false), 1.0f, 0);
    td_expect_error(g, TT_E_ARG, "p is 1");
    tti_graph_free(g);
}
