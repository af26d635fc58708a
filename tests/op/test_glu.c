// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch one = {1, {1}, {0}};
static const td_batch rest_only = {2, {0, 0}, {3, 2}};

/* opts: one value is gate and up, and its square is added behind */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    if (c->opts) return tti_add(g, tti_glu(g, v[0], v[0], (tti_act)c->i), v[0]);
    return tti_glu(g, v[0], v[1], (tti_act)c->i);
}

static double act(int which, double x) {
    switch (which) {
    case TTI_ACT_GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case TTI_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case TTI_ACT_RELU: return x > 0 ? x : 0;
    case TTI_ACT_SILU: return x / (1 + exp(-x));
    case TTI_ACT_TANH: return tanh(x);
    default: return x;
    }
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = td_rows(f, c->in[0].kind, 0) * c->in[0].cols;
    for (size_t i = 0; i < n; i++)
        y[i] = act(c->i, v[0][i]) * v[c->opts ? 0 : 1][i] + (c->opts ? v[0][i] : 0);
}

#define IN(k, n, s)                        \
    {                                      \
        {k, 0, n, .scale = s}, { k, 0, n } \
    }
static const td_case cases[] = {
    {"silu, one element", &one, IN(TTI_ROWS_SEL, 1, 3), build, ref, 1e-6, 1e-5, TTI_ACT_SILU},
    {"silu", &ragged, IN(TTI_ROWS_SEL, 37, 6), build, ref, 1e-6, 1e-5, TTI_ACT_SILU},
    {"silu, more than a chunk", &ragged, IN(TTI_ROWS_SEL, 771, 3), build, ref, 1e-6, 1e-5,
     TTI_ACT_SILU},
    {"unselected rows", &rest_only, IN(TTI_ROWS_REST, 9, 3), build, ref, 1e-6, 1e-5, TTI_ACT_SILU},
    {"no row", &rest_only, IN(TTI_ROWS_SEL, 9, 3), build, ref, 1e-6, 1e-5, TTI_ACT_SILU},
    {"gelu", &ragged, IN(TTI_ROWS_SEL, 21, 5), build, ref, 1e-6, 1e-5, TTI_ACT_GELU},
    {"gelu by tanh", &ragged, IN(TTI_ROWS_SEL, 21, 5), build, ref, 1e-6, 1e-5, TTI_ACT_GELU_TANH},
    {"relu", &ragged, IN(TTI_ROWS_SEL, 21, 5), build, ref, 1e-6, 1e-5, TTI_ACT_RELU},
    {"tanh", &ragged, IN(TTI_ROWS_SEL, 21, 5), build, ref, 1e-6, 1e-5, TTI_ACT_TANH},
    {"no function", &ragged, IN(TTI_ROWS_SEL, 21, 5), build, ref, 1e-6, 1e-5, TTI_ACT_NONE},
    {"one half frozen",
     &ragged,
     {{TTI_ROWS_SEL, 0, 20}, {TTI_ROWS_SEL, 0, 20, .frozen = true}},
     build,
     ref,
     1e-6,
     1e-5,
     TTI_ACT_SILU},
    {"the other half frozen",
     &ragged,
     {{TTI_ROWS_SEL, 0, 20, .frozen = true}, {TTI_ROWS_SEL, 0, 20}},
     build,
     ref,
     1e-6,
     1e-5,
     TTI_ACT_SILU},
    {"a value by itself",
     &ragged,
     {{TTI_ROWS_SEL, 0, 18}},
     build,
     ref,
     1e-6,
     1e-5,
     TTI_ACT_SILU,
     .opts = ""},
    {0},
};

Test(glu, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(glu, rejects_other_shapes) {
    tti_graph *g = tti_graph_new();
    tti_glu(g, tti_graph_param(g, "a", 2, 3, false), tti_graph_param(g, "b", 2, 4, false),
            TTI_ACT_SILU);
    td_expect_error(g, TT_E_SHAPE, "gate is [2,3], up is [2,4]");
    tti_graph_free(g);
}
