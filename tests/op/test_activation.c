// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return tti_activation(g, v[0], (tti_act)c->i);
}

static double act(int i, double x) {
    switch (i) {
    case TTI_ACT_GELU: return 0.5 * x * erfc(-x * M_SQRT1_2);
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
    for (size_t i = 0; i < n; i++) y[i] = act(c->i, v[0][i]);
}

#define IN(n, s)                           \
    {                                      \
        { TTI_ROWS_SEL, 0, n, .scale = s } \
    }
static const td_case cases[] = {
    {"gelu", &ragged, IN(37, 6), build, ref, 3e-7, 2e-6, TTI_ACT_GELU},
    {"gelu, long", &ragged, IN(771, 9), build, ref, 3e-7, 2e-6, TTI_ACT_GELU},
    {"gelu by tanh", &ragged, IN(37, 6), build, ref, 3e-7, 2e-6, TTI_ACT_GELU_TANH},
    {"relu", &ragged, IN(37, 2), build, ref, 0, 1e-6, TTI_ACT_RELU},
    {"silu", &ragged, IN(37, 20), build, ref, 3e-7, 2e-6, TTI_ACT_SILU},
    {"tanh", &ragged, IN(37, 3), build, ref, 3e-7, 1e-6, TTI_ACT_TANH},
    {"tanh, one column", &ragged, IN(1, 30), build, ref, 3e-7, 1e-6, TTI_ACT_TANH},
    {"none is the value itself", &ragged, IN(5, 3), build, ref, 0, 1e-6, TTI_ACT_NONE},
    {0},
};

Test(activation, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}
