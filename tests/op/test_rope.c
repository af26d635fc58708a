// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch one = {1, {1}, {0}};
static const td_batch many = {5, {40, 1, 30, 64, 17}, {0, 9}};
static const td_batch rest_only = {2, {0, 0}, {3, 2}};

/* i: head size; p: scale */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return tti_rope(g, v[0], v[1], c->i, c->p, c->in[0].kind == TTI_ROWS_REST);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t rows = td_rows(f, c->in[0].kind, 0), n = c->in[0].cols, half = c->in[1].cols;
    const int32_t *pos = f->in[c->in[0].kind == TTI_ROWS_REST ? TTI_IN_POS_REST : TTI_IN_POS_SEL];
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < n; k++) {
            const double *x = v[0] + r * n + k;
            const size_t in_head = k % (size_t)c->i, at = in_head % half;
            const double a = (double)((float)pos[r] * (float)v[1][at]), s = (double)c->p;
            y[r * n + k] = in_head < half       ? s * (x[0] * cos(a) - x[half] * sin(a))
                           : in_head < 2 * half ? s * (x[0] * cos(a) + x[-(int)half] * sin(a))
                                                : x[0];
        }
}

#define IN(k, n, f, s)                                                  \
    {                                                                   \
        {k, 0, n}, { TTI_ROWS_CONST, 1, f, .frozen = true, .scale = s } \
    }
static const td_case cases[] = {
    {"one pair", &one, IN(TTI_ROWS_SEL, 2, 1, 1), build, ref, 1e-6, 1e-6, 2, 1},
    {"no row", &rest_only, IN(TTI_ROWS_SEL, 8, 4, 1), build, ref, 1e-6, 1e-6, 8, 1},
    {"unselected rows", &rest_only, IN(TTI_ROWS_REST, 32, 8, 1), build, ref, 1e-6, 1e-6, 16, 1},
    {"both streams", &ragged, IN(TTI_ROWS_SEL, 96, 16, 1), build, ref, 1e-6, 1e-6, 32, 1},
    {"the other stream", &ragged, IN(TTI_ROWS_REST, 96, 16, 1), build, ref, 1e-6, 1e-6, 32, 1},
    {"odd pairs", &ragged, IN(TTI_ROWS_SEL, 70, 7, 2), build, ref, 1e-6, 1e-6, 14, 1},
    {"a part of each head", &ragged, IN(TTI_ROWS_SEL, 57, 5, 2), build, ref, 1e-6, 1e-6, 19, 1},
    {"scaled", &ragged, IN(TTI_ROWS_SEL, 128, 32, 2), build, ref, 1e-6, 1e-6, 64, 1.25f},
    {"wide heads, many rows", &many, IN(TTI_ROWS_SEL, 512, 64, 2), build, ref, 1e-6, 1e-6, 128, 1},
    {"angles of positions over 131072", &many, IN(TTI_ROWS_SEL, 256, 64, 2000), build, ref, 1e-6,
     2e-5, 128, 1},
    {0},
};

Test(rope, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

/* With pairs (1,0) the op gives cosines and sines themselves: every position of a long text. */
static double worst_of_positions(td_env *env, int32_t first, int32_t step) {
    enum { ROWS = 2048, F = 16 };
    tti_graph *g = tti_graph_new();
    const tti_val one_ = tti_graph_param(g, "x", TD_VOCAB, 2 * F, false);
    const tti_val freq = tti_graph_param(g, "f", 1, F, false);
    const tti_val x = tti_embed(g, one_, TTI_IN_IDS_SEL, TTI_NONE);
    const tti_val y = tti_rope(g, x, freq, 2 * F, 1, false);
    tti_graph_keep(g, y);
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    tti_rows rows = {{0}};
    rows.n[TTI_ROWS_SEL] = ROWS;
    const tti_caps *caps = tti_device_caps(env->d);
    tti_plan *plan;
    tti_exec *e;
    cr_assert_eq(tti_plan_new(&plan, g, &rows, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&e, env->d, env->gemm, g, plan), TT_OK);
    static float xh[TD_VOCAB * 2 * F], fh[F], yh[ROWS * 2 * F];
    static int32_t ids[ROWS], pos[ROWS];
    for (int i = 0; i < TD_VOCAB * 2 * F; i++) xh[i] = i % (2 * F) < F;
    for (int i = 0; i < F; i++) fh[i] = powf(10000.0f, -(float)i / F);
    for (int i = 0; i < ROWS; i++) pos[i] = first + i * step;
    cl_mem xm, fm;
    cr_assert_eq(tti_mem_new(&xm, env->d, sizeof xh, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_new(&fm, env->d, sizeof fh, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_write(env->d, xm, 0, xh, sizeof xh), TT_OK);
    cr_assert_eq(tti_mem_write(env->d, fm, 0, fh, sizeof fh), TT_OK);
    tti_exec_bind(e, one_, xm);
    tti_exec_bind(e, freq, fm);
    tti_feed feed = {.rows = rows};
    feed.data[TTI_IN_IDS_SEL] = ids;
    feed.data[TTI_IN_POS_SEL] = pos;
    cr_assert_eq(tti_exec_run(e, &feed), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_exec_read(e, y, yh, TT_COUNT(yh)), TT_OK);
    double worst = 0;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < F; i++) {
            const double a = (double)((float)pos[r] * fh[i]);
            worst = fmax(worst, fabs((double)yh[r * 2 * F + i] - cos(a)));
            worst = fmax(worst, fabs((double)yh[r * 2 * F + F + i] - sin(a)));
        }
    tti_exec_free(e);
    tti_plan_free(plan);
    tti_graph_free(g);
    tti_mem_free(env->d, xm);
    tti_mem_free(env->d, fm);
    return worst;
}

Test(rope, sine_and_cosine_of_long_texts) {
    td_env env = td_open();
    static const int32_t first[] = {0, 2048, 30001, 129025, 0, 0}, step[] = {1, 1, 1, 1, 64, 511};
    for (size_t i = 0; i < TT_COUNT(first); i++) {
        const double worst = worst_of_positions(&env, first[i], step[i]);
        cr_expect(worst <= 1.2e-7, "positions %d, %d apart: off by %g", first[i], step[i], worst);
    }
    td_close(&env);
}

Test(rope, rejects_wrong_shapes) {
    static const struct {
        int head;
        size_t freqs;
        bool rest;
        float scale;
        tt_status code;
        const char *part;
    } t[] = {
        {3, 1, false, 1, TT_E_SHAPE, "heads of 3 columns, x is [sel,8]"},
        {0, 1, false, 1, TT_E_SHAPE, "heads of 0 columns"},
        {4, 3, false, 1, TT_E_SHAPE, "inv_freq is [1,3], heads have 4 columns"},
        {4, 2, true, 1, TT_E_SHAPE, "x is [sel,8], positions are [rest,1]"},
        {4, 2, false, INFINITY, TT_E_ARG, "scale is inf"},
    };
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        tti_graph *g = tti_graph_new();
        const tti_val x =
            tti_embed(g, tti_graph_param(g, "x", 9, 8, true), TTI_IN_IDS_SEL, TTI_NONE);
        tti_rope(g, x, tti_graph_param(g, "f", 1, t[i].freqs, false), t[i].head, t[i].scale,
                 t[i].rest);
        td_expect_error(g, t[i].code, t[i].part);
        tti_graph_free(g);
    }
}
