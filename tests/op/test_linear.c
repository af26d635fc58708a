// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_slabs.h"

#include <math.h>

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};
static const td_batch one = {1, {1}, {0}};

enum { PLAIN, ALL = 1, TRANSPOSED = 2, ACT = 4, ALPHA = 8 }; /* i: bits; ALL: b, residual */

static tti_val linear(tti_graph *g, tti_val x, tti_val w, tti_val b, tti_val residual, int i) {
    const float alpha = i & ALPHA ? 0.5f : 1.0f;
    const tti_val y = tti_linear(g, x, w, b, residual, alpha, (i & TRANSPOSED) != 0);
    return i & ACT ? tti_activation(g, y, TTI_ACT_TANH) : y;
}

/* ---- against the reference: x, w, b, residual ---- */

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const bool all = c->i & ALL;
    return linear(g, v[0], v[1], all ? v[2] : TTI_NONE, all ? v[3] : TTI_NONE, c->i);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const bool t = c->i & TRANSPOSED;
    const size_t in = c->in[0].cols, out = t ? c->in[1].cols : c->in[1].rows;
    for (size_t r = 0; r < td_rows(f, TTI_ROWS_SEL, 0); r++)
        for (size_t o = 0; o < out; o++) {
            double sum = 0;
            for (size_t k = 0; k < in; k++)
                sum += v[0][r * in + k] * v[1][t ? k * out + o : o * in + k];
            if (c->i & ALPHA) sum *= 0.5;
            if (c->i & ALL) sum += v[2][o] + v[3][r * out + o];
            y[r * out + o] = c->i & ACT ? tanh(sum) : sum;
        }
}

#define IN(in, out, t)                                                       \
    {                                                                        \
        {TTI_ROWS_SEL, 0, in}, {TTI_ROWS_CONST, t ? in : out, t ? out : in}, \
            {TTI_ROWS_CONST, 1, out}, {                                      \
            TTI_ROWS_SEL, 0, out                                             \
        }                                                                    \
    }
static const td_case cases[] = {
    {"one number", &one, IN(1, 1, 0), build, ref, 1e-6, 1e-5, ALL},
    {"odd sizes", &ragged, IN(19, 37, 0), build, ref, 2e-6, 2e-5, ALL},
    {"transposed", &ragged, IN(19, 37, 1), build, ref, 2e-6, 2e-5, ALL | TRANSPOSED},
    {"activation, scaled", &ragged, IN(33, 20, 0), build, ref, 2e-6, 2e-5, ALL | ACT | ALPHA},
    {"transposed, activation", &ragged, IN(24, 40, 1), build, ref, 2e-6, 2e-5,
     ALL | ACT | TRANSPOSED},
    {"integers", &ragged, IN(16, 48, 0), build, ref, 0, 1e-6, ALL, .integers = true},
    {"without bias and residual",
     &ragged,
     {{TTI_ROWS_SEL, 0, 12}, {TTI_ROWS_CONST, 30, 12}},
     build,
     ref,
     2e-6,
     1e-5,
     ALPHA},
    {"weight frozen",
     &ragged,
     {{TTI_ROWS_SEL, 0, 12}, {TTI_ROWS_CONST, 30, 12, .frozen = true}},
     build,
     ref,
     2e-6,
     1e-5,
     PLAIN},
    {0},
};

Test(linear, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

/* ---- weights in slabs and types ---- */

static tti_val build_slabs(tti_graph *g, tti_val w, const td_slab_case *c) {
    const bool t = c->i & TRANSPOSED, all = c->i & ALL;
    const size_t in = t ? c->rows : c->cols, out = t ? c->cols : c->rows, most = 24;
    const tti_rows_kind kind = TTI_ROWS_SEL;
    const tti_val x = td_source(g, tti_graph_param(g, "x", most, in, true), kind);
    const tti_val b = all ? tti_graph_param(g, "b", 1, out, true) : TTI_NONE;
    const tti_val r =
        all ? td_source(g, tti_graph_param(g, "residual", most, out, true), kind) : TTI_NONE;
    tti_val y = linear(g, x, w, b, r, c->i);
    /* x has a gradient already where that of the second product arrives */
    if (c->i & ALL) y = tti_add(g, y, linear(g, x, w, TTI_NONE, TTI_NONE, c->i));
    return y;
}

/* Gradients behind the range of f16, where they are infinite: so an overflow is noticed. */
static tti_val build_overflow(tti_graph *g, tti_val w, const td_slab_case *c) {
    return tti_scale(g, build_slabs(g, w, c), 1e5f);
}

#define T(bits) .sums = TD_SUM_Y, .i = (bits) | TRANSPOSED
#define N(bits) .sums = TD_SUM_OTHERS, .i = (bits)
static const td_slab_case stored[] = {
    {"plain", &ragged, 100, 64, build_slabs, .short_gradients = true, N(PLAIN)},
    {"bias, residual, twice", &ragged, 77, 70, build_slabs, N(ALL)},
    {"activation", &ragged, 50, 96, build_slabs, N(ALL | ACT | ALPHA)},
    {"one row", &one, 200, 128, build_slabs, .short_gradients = true, N(PLAIN)},
    {"halfway", &ragged, 40, 33, build_slabs, .short_gradients = true, .coarse = true, N(PLAIN)},
    {"overflow", &ragged, 40, 33, build_overflow, .short_gradients = true, N(PLAIN)},
    {"Conv1D", &ragged, 96, 50, build_slabs, .short_gradients = true, T(PLAIN)},
    {"Conv1D, bias, residual, twice", &ragged, 70, 77, build_slabs, T(ALL)},
    {"Conv1D, activation", &ragged, 128, 40, build_slabs, .sums = 7,
     .i = ALL | ACT | ALPHA | TRANSPOSED},
    {0},
};

Test(linear, weights_in_slabs_of_every_type) { td_check_slabs(stored); }

/* A gradient of more than one panel. */
static const td_slab_case large[] = {
    {"panels", &one, 2200, 1024, build_slabs, .short_gradients = true, .large = true, N(PLAIN)},
    {0},
};

Test(linear, gradients_in_panels) { td_check_slabs(large); }

Test(linear, rejects_what_does_not_fit) {
    static const struct {
        size_t in, bias, residual;
        bool transposed;
        const char *part;
    } t[] = {
        {7, 9, 9, false, "linear: x is [sel,8], w is [9,7]"},
        {8, 9, 9, true, "linear: x is [sel,8], w is [9,8]"},
        {8, 8, 9, false, "linear: b has 8 elements, y has 9 columns"},
        {8, 9, 8, false, "linear: residual is [sel,8], y is [sel,9]"},
    };
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        tti_graph *g = tti_graph_new();
        const tti_val x = td_source(g, tti_graph_param(g, "x", 4, 8, true), TTI_ROWS_SEL);
        const tti_val r =
            td_source(g, tti_graph_param(g, "r", 4, t[i].residual, true), TTI_ROWS_SEL);
        const tti_val w = tti_graph_param(g, "w", 9, t[i].in, true);
        const tti_val b = tti_graph_param(g, "b", 1, t[i].bias, true);
        cr_expect_eq(tti_linear(g, x, w, b, r, 1, t[i].transposed), TTI_NONE);
        td_expect_error(g, TT_E_SHAPE, t[i].part);
        tti_graph_free(g);
    }
}
