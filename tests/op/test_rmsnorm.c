// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch one = {1, {1}, {0}};
static const td_batch many = {8, {40, 1, 2, 30, 64, 17, 2, 90}, {0}};
static const td_batch rest_only = {2, {0, 0}, {3, 2}};

/* i 1: x is read by a sum too, whose gradient the op must add to; p: plus */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val y = tti_rmsnorm(g, v[0], v[1], 1e-5f, c->p, (int)c->in[1].cols);
    return c->i ? tti_add(g, y, v[0]) : y;
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[1].cols;
    const size_t groups = td_rows(f, c->in[0].kind, 0) * (c->in[0].cols / n);
    for (size_t r = 0; r < groups; r++) {
        const double *x = v[0] + r * n;
        double ss = 0;
        for (size_t i = 0; i < n; i++) ss += x[i] * x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            y[r * n + i] =
                x[i] / sqrt(ss + (double)1e-5f) * (v[1][i] + (double)c->p) + (c->i ? x[i] : 0);
    }
}

#define IN(k, n, group, s)                                  \
    {                                                       \
        {k, 0, n, .scale = s}, { TTI_ROWS_CONST, 1, group } \
    }
static const td_case cases[] = {
    {"one element", &one, IN(TTI_ROWS_SEL, 1, 1, 1), build, ref, 1e-6, 1e-5},
    {"one row", &one, IN(TTI_ROWS_SEL, 40, 40, 1), build, ref, 2e-6, 1e-5},
    {"no row", &rest_only, IN(TTI_ROWS_SEL, 40, 40, 1), build, ref, 2e-6, 1e-5},
    {"unselected rows", &rest_only, IN(TTI_ROWS_REST, 40, 8, 1), build, ref, 2e-6, 1e-5},
    {"narrower than a vector", &ragged, IN(TTI_ROWS_SEL, 7, 7, 1), build, ref, 2e-6, 1e-5},
    {"one past a group", &ragged, IN(TTI_ROWS_SEL, 129, 129, 2), build, ref, 2e-6, 1e-5},
    {"plus one", &ragged, IN(TTI_ROWS_SEL, 45, 45, 2), build, ref, 2e-6, 1e-5, .p = 1},
    {"a residual beside it", &ragged, IN(TTI_ROWS_SEL, 48, 48, 2), build, ref, 2e-6, 1e-5, .i = 1},
    {"a model's width", &ragged, IN(TTI_ROWS_SEL, 384, 384, 3), build, ref, 2e-6, 1e-5},
    {"heads", &ragged, IN(TTI_ROWS_SEL, 192, 64, 2), build, ref, 2e-6, 1e-5},
    {"odd heads, plus one, a residual", &ragged, IN(TTI_ROWS_SEL, 95, 19, 2), build, ref, 2e-6,
     1e-5, .i = 1, .p = 1},
    {"many rows", &many, IN(TTI_ROWS_SEL, 33, 33, 1), build, ref, 2e-6, 4e-5},
    {"sequences", &ragged, IN(TTI_ROWS_SEQ, 20, 4, 1), build, ref, 2e-6, 1e-5},
    {0},
};

Test(rmsnorm, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(rmsnorm, rejects_wrong_shapes) {
    static const struct {
        size_t w;
        int group;
        float plus;
        tt_status code;
        const char *part;
    } t[] = {
        {7, 8, 0, TT_E_SHAPE, "w is [1,7], a group has 8 columns"},
        {3, 3, 0, TT_E_SHAPE, "groups of 3 columns, x is [4,8]"},
        {8, 0, 0, TT_E_SHAPE, "groups of 0 columns"},
        {8, -8, 0, TT_E_SHAPE, "groups of -8 columns"},
        {8, 8, 0.5f, TT_E_ARG, "plus is 0.5"},
        {8, 8, NAN, TT_E_ARG, "plus is nan"},
    };
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        tti_graph *g = tti_graph_new();
        tti_rmsnorm(g, tti_graph_param(g, "x", 4, 8, true),
                    tti_graph_param(g, "w", 1, t[i].w, true), 1e-5f, t[i].plus, t[i].group);
        td_expect_error(g, t[i].code, t[i].part);
        tti_graph_free(g);
    }
}
