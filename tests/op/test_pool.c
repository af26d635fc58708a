// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return tti_pool_rows(g, v[0], (tti_pool)c->i);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[0].cols;
    const int32_t *off = f->in[TTI_IN_OFF_SEL];
    for (size_t s = 0; s < td_rows(f, TTI_ROWS_SEQ, 0); s++)
        for (size_t i = 0; i < n; i++) {
            int first = off[s], end = off[s + 1];
            if (c->i == TTI_POOL_FIRST) end = first + 1;
            if (c->i == TTI_POOL_LAST) first = end - 1;
            double sum = 0;
            for (int r = first; r < end; r++) sum += v[0][(size_t)r * n + i];
            y[s * n + i] = sum / (end - first);
        }
}

#define IN(n)                  \
    {                          \
        { TTI_ROWS_SEL, 0, n } \
    }
static const td_case cases[] = {
    {"first", &ragged, IN(37), build, ref, 0, 1e-6, TTI_POOL_FIRST},
    {"last", &ragged, IN(37), build, ref, 0, 1e-6, TTI_POOL_LAST},
    {"mean", &ragged, IN(37), build, ref, 1e-6, 1e-6, TTI_POOL_MEAN},
    {"mean, one column", &ragged, IN(1), build, ref, 1e-6, 1e-6, TTI_POOL_MEAN},
    {"mean, BERT's width", &ragged, IN(384), build, ref, 1e-6, 1e-6, TTI_POOL_MEAN},
    {"first, wide", &ragged, IN(1030), build, ref, 0, 1e-6, TTI_POOL_FIRST},
    {0},
};

Test(pool, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(pool, takes_selected_rows_only) {
    tti_graph *g = tti_graph_new();
    tti_pool_rows(g, tti_graph_param(g, "x", 2, 3, false), TTI_POOL_FIRST);
    td_expect_error(g, TT_E_SHAPE, "x is [2,3]");
    tti_graph_free(g);
}
