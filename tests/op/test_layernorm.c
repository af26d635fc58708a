// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch one = {1, {1}, {0}};
static const td_batch many = {8, {40, 1, 2, 30, 64, 17, 2, 90}, {0}};

/* i 1: x is read by a sum too, whose gradient the op must add to */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    tti_val y = tti_layernorm(g, v[0], v[1], v[2], 1e-5f);
    return c->i ? tti_add(g, y, v[0]) : y;
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t rows = td_rows(f, c->in[0].kind, 0), n = c->in[0].cols;
    for (size_t r = 0; r < rows; r++) {
        const double *x = v[0] + r * n;
        double mean = 0, var = 0;
        for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
        for (size_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            y[r * n + i] = (x[i] - mean) / sqrt(var + 1e-5) * v[1][i] + v[2][i] + (c->i ? x[i] : 0);
    }
}

#define IN(k, n, s)                                                             \
    {                                                                           \
        {k, 0, n, .scale = s}, {TTI_ROWS_CONST, 1, n}, { TTI_ROWS_CONST, 1, n } \
    }
static const td_case cases[] = {
    {"one element", &one, IN(TTI_ROWS_SEL, 1, 1), build, ref, 1e-6, 1e-5},
    {"one row", &one, IN(TTI_ROWS_SEL, 40, 1), build, ref, 2e-6, 1e-5},
    {"narrower than a vector", &ragged, IN(TTI_ROWS_SEL, 7, 1), build, ref, 2e-6, 1e-5},
    {"one past a group", &ragged, IN(TTI_ROWS_SEL, 129, 2), build, ref, 2e-6, 1e-5},
    {"a residual beside it", &ragged, IN(TTI_ROWS_SEL, 48, 2), build, ref, 2e-6, 1e-5, .i = 1},
    {"BERT's width", &ragged, IN(TTI_ROWS_SEL, 384, 3), build, ref, 2e-6, 1e-5},
    {"many rows", &many, IN(TTI_ROWS_SEL, 33, 1), build, ref, 2e-6, 2e-5},
    {"sequences", &ragged, IN(TTI_ROWS_SEQ, 20, 1), build, ref, 2e-6, 1e-5},
    {0},
};

Test(layernorm, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(layernorm, rejects_wrong_weight_length) {
    tti_graph *g = tti_graph_new();
    tti_layernorm(g, tti_graph_param(g, "x", 4, 8, true), tti_graph_param(g, "w", 1, 8, true),
                  tti_graph_param(g, "b", 1, 7, true), 1e-5f);
    td_expect_error(g, TT_E_SHAPE, "b is [1,7], x is [4,8]");
    tti_graph_free(g);
}
