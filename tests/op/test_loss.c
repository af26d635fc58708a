// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>
#include <string.h>

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};
static const td_batch one = {1, {1}, {0}};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    return tti_loss(g, v[0], loss, c->i > 0);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[0].cols;
    y[0] = 0;
    for (size_t s = 0; s < td_rows(f, TTI_ROWS_SEQ, 0); s++) {
        const double *z = v[0] + s * n;
        float target;
        memcpy(&target, &f->in[TTI_IN_LABELS][s], sizeof target);
        double top = z[0], sum = 0;
        for (size_t i = 0; i < n; i++) top = fmax(top, z[i]);
        for (size_t i = 0; i < n; i++) sum += exp(z[i] - top);
        y[0] += (c->i > 0 ? log(sum) + top - z[f->in[TTI_IN_LABELS][s]]
                          : (z[0] - (double)target) * (z[0] - (double)target)) /
                3;
    }
}

#define IN(n, s)                           \
    {                                      \
        { TTI_ROWS_SEQ, 0, n, .scale = s } \
    }
static const td_case cases[] = {
    {"two classes", &ragged, IN(2, 1), build, ref, 1e-6, 1e-6, 2},
    {"one class", &one, IN(1, 1), build, ref, 1e-6, 1e-6, 1},
    {"three classes, far apart", &ragged, IN(3, 80), build, ref, 1e-6, 1e-6, 3},
    {"77 classes", &ragged, IN(77, 2), build, ref, 1e-6, 1e-6, 77},
    {"1000 classes", &one, IN(1000, 2), build, ref, 1e-6, 1e-6, 1000},
    {"squared error", &ragged, IN(1, 3), build, ref, 1e-6, 1e-6, 0},
    {0},
};

Test(loss, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(loss, rejects_squared_error_of_many_outputs) {
    tti_graph *g = tti_graph_new();
    const tti_val x = tti_graph_param(g, "x", 40, 3, true);
    tti_loss(g, x, tti_graph_accumulator(g, "loss", tti_shape_const(1, 1)), false);
    td_expect_error(g, TT_E_SHAPE, "logits are [40,3]");
    tti_graph_free(g);
}
