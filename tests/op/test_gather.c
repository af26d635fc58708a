// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

static const td_batch ragged = {5, {3, 1, 2, 14, 4}, {4, 0, 0, 12, 1}};
static const td_batch pair = {1, {2}, {0}};
static const td_batch single = {3, {1, 1, 1}, {0}}; /* nothing follows: no row is supervised */
static const td_batch none = {2, {0, 0}, {3, 2}};

/* i 1: x is read by a sum too */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val x = c->i ? tti_add(g, v[0], v[0]) : v[0];
    const tti_val y = tti_gather_labelled(g, x);
    return c->i ? tti_add(g, y, tti_gather_labelled(g, v[0])) : y;
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[0].cols;
    for (size_t i = 0; i < td_rows(f, TTI_ROWS_LAB, 0); i++)
        for (size_t k = 0; k < n; k++)
            y[i * n + k] = v[0][(size_t)f->in[TTI_IN_LAB_ROW][i] * n + k] * (c->i ? 3 : 1);
}

#define IN(n)                  \
    {                          \
        { TTI_ROWS_SEL, 0, n } \
    }
static const td_case cases[] = {
    {"one column", &ragged, IN(1), build, ref, 0, 1e-6},
    {"odd width", &ragged, IN(37), build, ref, 0, 1e-6},
    {"a wide row", &ragged, IN(4100), build, ref, 0, 1e-6},
    {"read twice", &ragged, IN(20), build, ref, 1e-6, 1e-6, .i = 1},
    {"one row", &pair, IN(20), build, ref, 0, 1e-6},
    {"no supervised row", &single, IN(20), build, ref, 0, 1e-6},
    {"no selected row", &none, IN(20), build, ref, 0, 1e-6},
    {0},
};

static tti_val build_kept(tti_graph *g, const tti_val *v, const td_case *c) {
    (void)c;
    return tti_gather_kept(g, v[0]);
}

static void ref_kept(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t n = c->in[0].cols;
    for (size_t i = 0; i < td_rows(f, TTI_ROWS_REST, 0); i++)
        for (size_t k = 0; k < n; k++)
            y[i * n + k] = v[0][(size_t)f->in[TTI_IN_KEPT_REST][i] * n + k];
}

#define KEPT(rows, n)                               \
    {                                               \
        { TTI_ROWS_CONST, rows, n, .frozen = true } \
    }
static const td_case kept[] = {
    {"of all rows", &ragged, KEPT(41, 37), build_kept, ref_kept, 0, 0},
    {"wide", &ragged, KEPT(41, 4100), build_kept, ref_kept, 0, 0},
    {"no other row", &single, KEPT(3, 20), build_kept, ref_kept, 0, 0},
    {"no selected row", &none, KEPT(5, 20), build_kept, ref_kept, 0, 0},
    {0},
};

Test(gather, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_check_all(&env, kept);
    td_close(&env);
}

Test(gather, rejects_other_rows) {
    tti_graph *g = tti_graph_new();
    tti_gather_labelled(g, tti_graph_param(g, "x", 4, 8, true));
    td_expect_error(g, TT_E_SHAPE, "x is [4,8], not [sel,C]");
    tti_graph_free(g);
}
