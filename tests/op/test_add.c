// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return c->i ? tti_add(g, v[0], v[0]) : tti_add(g, v[0], v[1]);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = td_rows(f, c->in[0].kind, 0) * c->in[0].cols;
    for (size_t i = 0; i < n; i++) y[i] = v[0][i] + v[c->i ? 0 : 1][i];
}

#define IN(k, n)               \
    {                          \
        {k, 0, n}, { k, 0, n } \
    }
static const td_case cases[] = {
    {"one column", &ragged, IN(TTI_ROWS_SEL, 1), build, ref, 1e-7, 1e-6},
    {"odd width", &ragged, IN(TTI_ROWS_SEL, 37), build, ref, 1e-7, 1e-6},
    {"more than a chunk", &ragged, IN(TTI_ROWS_SEL, 771), build, ref, 1e-7, 1e-6},
    {"sequences", &ragged, IN(TTI_ROWS_SEQ, 16), build, ref, 1e-7, 1e-6},
    {"a value to itself", &ragged, {{TTI_ROWS_SEL, 0, 9}}, build, ref, 1e-7, 1e-6, .i = 1},
    {"integers", &ragged, IN(TTI_ROWS_SEL, 33), build, ref, 0, 1e-6, .integers = true},
    {0},
};

Test(add, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(add, rejects_other_shapes) {
    tti_graph *g = tti_graph_new();
    tti_add(g, tti_graph_param(g, "a", 2, 3, false), tti_graph_param(g, "b", 2, 4, false));
    td_expect_error(g, TT_E_SHAPE, "a is [2,3], b is [2,4]");
    tti_graph_free(g);
}
