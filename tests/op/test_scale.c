// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch none = {2, {0, 0}, {3, 2}};

/* i 1: x is read by a sum too */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val y = tti_scale(g, v[0], c->p);
    return c->i ? tti_add(g, y, v[0]) : y;
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = td_rows(f, c->in[0].kind, 0) * c->in[0].cols;
    for (size_t i = 0; i < n; i++) y[i] = v[0][i] * ((double)c->p + c->i);
}

#define IN(k, n)    \
    {               \
        { k, 0, n } \
    }
static const td_case cases[] = {
    {"one column", &ragged, IN(TTI_ROWS_SEL, 1), build, ref, 1e-7, 1e-6, .p = 3},
    {"odd width", &ragged, IN(TTI_ROWS_SEL, 37), build, ref, 1e-7, 1e-6, .p = -0.25f},
    {"more than a chunk", &ragged, IN(TTI_ROWS_SEL, 771), build, ref, 1e-7, 1e-6, .p = 27.7f},
    {"a sum beside it", &ragged, IN(TTI_ROWS_SEL, 37), build, ref, 1e-7, 1e-6, .i = 1, .p = 2},
    {"unselected rows", &none, IN(TTI_ROWS_REST, 16), build, ref, 1e-7, 1e-6, .p = 2},
    {"no row", &none, IN(TTI_ROWS_SEL, 16), build, ref, 1e-7, 1e-6, .p = 2},
    {"by zero", &ragged, IN(TTI_ROWS_SEL, 16), build, ref, 0, 1e-6, .p = 0},
    {"integers", &ragged, IN(TTI_ROWS_SEL, 33), build, ref, 0, 1e-6, .p = 3, .integers = true},
    {0},
};

Test(scale, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(scale, by_one_is_no_op) {
    tti_graph *g = tti_graph_new();
    const tti_val x = tti_graph_param(g, "x", 2, 3, true);
    cr_expect_eq(tti_scale(g, x, 1), x);
    cr_expect_eq(tti_graph_nodes(g), 0);
    cr_expect_eq(tti_scale(g, x, NAN), TTI_NONE);
    td_expect_error(g, TT_E_ARG, "scale: by nan");
    tti_graph_free(g);
}
