// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>
#include <string.h>

static const td_batch ragged = {5, {3, 1, 2, 14, 4}, {4, 0, 0, 12, 1}};
static const td_batch pair = {1, {2}, {0}};
static const td_batch single = {3, {1, 1, 1}, {0}}; /* nothing follows: no row is supervised */

/* i: vocabulary; p: cap; opts: rows at a time; one input: it is table and projection */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    const bool tied = c->in[1].cols == 0;
    const tti_val x =
        tied ? tti_gather_labelled(g, tti_embed(g, v[0], TTI_IN_IDS_SEL, TTI_NONE)) : v[0];
    tti_next_token_loss(g, x, v[tied ? 0 : 1], loss, c->p, *(const int *)c->opts);
    return loss;
}

static double row_loss(const double *x, const double *w, const td_case *c, size_t d, int label) {
    double z[1100], top = -INFINITY, sum = 0;
    for (int k = 0; k < c->i; k++) {
        z[k] = 0;
        for (size_t i = 0; i < d; i++) z[k] += x[i] * w[(size_t)k * d + i];
        if (c->p > 0) z[k] = (double)c->p * tanh(z[k] / (double)c->p);
        top = fmax(top, z[k]);
    }
    for (int k = 0; k < c->i; k++) sum += exp(z[k] - top);
    return log(sum) + top - z[label];
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t d = c->in[0].cols;
    const bool tied = c->in[1].cols == 0;
    y[0] = 0;
    for (size_t r = 0; r < td_rows(f, TTI_ROWS_LAB, 0); r++) {
        const int32_t row = f->in[TTI_IN_LAB_ROW][r];
        const size_t at = tied ? (size_t)f->in[TTI_IN_IDS_SEL][row] : r;
        y[0] += row_loss(v[0] + at * d, v[tied ? 0 : 1], c, d, f->in[TTI_IN_LAB_ID][r]) / 3;
    }
}

static const int all = 64, five = 5, single_row = 1;

#define IN(vocab, d, s)                                                            \
    {                                                                              \
        {TTI_ROWS_LAB, 0, d, .scale = s}, { TTI_ROWS_CONST, vocab, d, .scale = s } \
    }
static const td_case cases[] = {
    {"one token", &ragged, IN(1, 3, 1), build, ref, 1e-6, 1e-6, 1, .opts = &all},
    {"two tokens", &ragged, IN(2, 8, 1), build, ref, 1e-6, 1e-6, 2, .opts = &all},
    {"one row", &pair, IN(77, 9, 1), build, ref, 1e-6, 1e-6, 77, .opts = &all},
    {"no supervised row", &single, IN(77, 9, 1), build, ref, 1e-6, 1e-6, 77, .opts = &all},
    {"odd sizes", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, .opts = &all},
    {"five rows at a time", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, .opts = &five},
    {"one row at a time", &ragged, IN(33, 7, 2), build, ref, 1e-6, 2e-6, 33, .opts = &single_row},
    {"capped", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, 3.0f, .opts = &five},
    {"capped, all at once", &ragged, IN(40, 24, 3), build, ref, 1e-6, 4e-6, 40, 30.0f,
     .opts = &all},
    {"1001 tokens", &ragged, IN(1001, 24, 1), build, ref, 1e-6, 2e-6, 1001, .opts = &five},
    {"far apart", &ragged, IN(50, 8, 9), build, ref, 1e-6, 2e-5, 50, .opts = &all},
    {"projection frozen",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12}, {TTI_ROWS_CONST, 30, 12, .frozen = true}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"only the projection is trained",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12, .frozen = true}, {TTI_ROWS_CONST, 30, 12}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"nothing is trained",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12, .frozen = true}, {TTI_ROWS_CONST, 30, 12, .frozen = true}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"tied to the table",
     &ragged,
     {{TTI_ROWS_CONST, TD_VOCAB, 12}},
     build,
     ref,
     1e-6,
     2e-6,
     TD_VOCAB,
     .opts = &five},
    {0},
};

Test(next_token_loss, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}
