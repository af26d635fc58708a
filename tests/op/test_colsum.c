// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};
static const td_batch many = {8, {40, 1, 2, 30, 64, 17, 2, 90}, {0}};

/* y = x + b for every row, so that the gradient of b is the column sum of what arrives. */
static tt_status shape(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, *tti_val_shape(g, n->in[0]));
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    for (size_t r = 0; r < tti_x_rows(e, n->out[0]); r++) {
        const size_t bytes = tti_x_cols(e, n->out[0]) * sizeof(float);
        TT_TRY(
            tti_cl(clEnqueueCopyBuffer(tti_device_queue(e->dev), tti_x_mem(e, n->in[1]),
                                       tti_x_mem(e, n->out[0]), 0, r * bytes, bytes, 0, NULL, NULL),
                   "copy"));
    }
    return TT_OK;
}

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[0]);
    tti_grad_emit_param(g, n->in[1], &tti_op_colsum, &dy, 1, NULL);
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "td_rows_of_b", .shape = shape, .enqueue = enqueue, .backward = backward};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val y = tti_emit(g, &op, v, 2, NULL);
    return c->i ? tti_add(g, y, tti_emit(g, &op, v, 2, NULL))
                : y; /* i: two terms of one gradient */
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[0].cols;
    for (size_t r = 0; r < td_rows(f, TTI_ROWS_SEL, 0); r++)
        for (size_t i = 0; i < n; i++) y[r * n + i] = v[1][i] * (c->i ? 2 : 1);
}

#define IN(n)                                                          \
    {                                                                  \
        {TTI_ROWS_SEL, 0, n, .frozen = true}, { TTI_ROWS_CONST, 1, n } \
    }
static const td_case cases[] = {
    {"one column", &ragged, IN(1), build, ref, 0, 1e-5},
    {"odd width", &ragged, IN(37), build, ref, 0, 1e-5},
    {"a feed-forward's width", &ragged, IN(1536), build, ref, 0, 1e-5},
    {"many rows", &many, IN(70), build, ref, 0, 2e-5},
    {"used twice", &ragged, IN(48), build, ref, 0, 1e-5, .i = 1},
    {"integers", &many, IN(33), build, ref, 0, 1e-6, .integers = true},
    {0},
};

Test(colsum, gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}
