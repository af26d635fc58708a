// SPDX-License-Identifier: Apache-2.0
/* Provider tile: every tile of both kernels, CPU and GPU, gives the bits of the chain of fma in
 * order. */
#include "tests/unit/gemm/support.h"

TestSuite(gemm_tile, .init = td_setup, .fini = td_teardown);

/* Kernels for CPUs are of no use on a device with little local memory. */
static bool usable(const tti_device *d, int variant) {
    return tti_device_caps(d)->local_mem >= 64 * 1024 ||
           strchr(tti_gemm_tile.variant_name(variant), 'g');
}

/* Without an activation the bits are those of the host's fmaf; with one they are the same in all
 * variants and near the double result. */
static void all_variants(tti_gemm *g, tti_device *d, const td_case *t, uint32_t seed) {
    td_data x = td_data_new(t, seed);
    float *first = NULL;
    for (int v = 0; v < tti_gemm_tile.variants; v++) {
        tti_gemm_plan plan = td_plan(d, "tile", v, &t->s);
        /* Each program takes half a second to build: all but the first see two forms, NN and TT or
         * NT and TN, which have all code for either operand. */
        if (!usable(d, v)) continue;
        if (v && (v + t->s.ta + t->s.tb) % 2) continue;
        const char *way = tti_gemm_plan_name(g, &plan);
        float *c = td_run(g, d, &plan, t, &x);
        const double tol = t->act == TTI_ACT_NONE ? 1e-7 : 2e-7;
        td_near(way, t, c, &x, t->whole ? 0 : tol * (double)(t->s.k + 8));
        if (t->act == TTI_ACT_NONE && (td_fma(d) || t->whole)) td_same(way, t, c, x.chain);
        if (first) td_same(way, t, c, first);
        if (first)
            free(c);
        else
            first = c;
    }
    free(first);
    td_data_free(&x);
}

Test(gemm_tile, bits_do_not_depend_on_the_tile) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "tile"));
    for (size_t i = 0; i < TD_CASES; i++)
        for (int t = 0; t < 4; t++) {
            /* each list position sees two of the four forms, all positions together see all */
            if ((i + (size_t)t) % 2) continue;
            td_case c = td_case_at(i, t & 1, t & 2);
            all_variants(g, d, &c, (uint32_t)(i * 4 + (size_t)t));
        }
    tti_gemm_free(g);
    tti_device_close(d);
}

/* k in blocks: sums wait in local memory, more rows than wait at once, tails of every kind. */
Test(gemm_tile, long_k_continues_the_chain) {
    static const td_case cases[] = {
        {.s = {false, true, 9, 8, 13001, TTI_F32}, .alpha = 1, .mode = RESIDUAL_IN_C},
        {.s = {false, true, 17, 50, 3001, TTI_F32}, .pad = 3, .alpha = 1, .mode = ACCUMULATE},
        {.s = {true, false, 300, 33, 2503, TTI_F32}, .alpha = 0.5f, .mode = BIAS},
        {.s = {false, false, 14, 65, 7001, TTI_F32}, .pad = 1, .alpha = 1, .mode = PLAIN},
    };
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "tile"));
    for (size_t i = 0; i < TT_COUNT(cases); i++) all_variants(g, d, &cases[i], (uint32_t)i);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* A row's bits are the same in a product of one row, of some and of many. */
Test(gemm_tile, bits_do_not_depend_on_the_number_of_rows) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "tile"));
    td_case many = {
        .s = {false, true, 700, 100, 333, TTI_F32}, .alpha = 1, .mode = BIAS, .act = TTI_ACT_GELU};
    td_data x = td_data_new(&many, 7);
    tti_gemm_plan plan;
    OK(tti_gemm_choose(g, &many.s, &plan));
    float *all = td_run(g, d, &plan, &many, &x);
    static const size_t rows[] = {1, 2, 5, 8, 13, 129, 512};
    for (size_t i = 0; i < TT_COUNT(rows); i++) {
        td_case few = many;
        few.s.m = rows[i];
        td_data y = x;
        y.nc = rows[i] * x.ldc;
        y.na = rows[i] * x.lda;
        float *c = td_run(g, d, &plan, &few, &y);
        td_same("fewer rows", &few, c, all);
        free(c);
    }
    free(all);
    td_data_free(&x);
    tti_gemm_free(g);
    tti_device_close(d);
}

Test(gemm_tile, repeats_bit_for_bit_and_needs_no_workspace) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "tile"));
    const td_case t = {.s = {true, false, 144, 257, 93, TTI_F32}, .alpha = 1, .mode = ACCUMULATE};
    td_data x = td_data_new(&t, 3);
    tti_gemm_plan plan;
    OK(tti_gemm_choose(g, &t.s, &plan));
    cr_expect_eq(plan.workspace, 0);
    float *one = td_run(g, d, &plan, &t, &x), *two = td_run(g, d, &plan, &t, &x);
    td_same("again", &t, two, one);
    free(one);
    free(two);
    td_data_free(&x);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* NaN and infinity in an operand reach the elements they belong to and no other. */
Test(gemm_tile, what_is_not_finite_stays_in_its_row_and_column) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "tile"));
    const td_case t = {.s = {false, true, 20, 50, 31, TTI_F32}, .pad = 2, .alpha = 1};
    td_data x = td_data_new(&t, 5);
    x.a[19 * x.lda + 30] = NAN;
    x.b[49 * x.ldb + 3] = INFINITY;
    for (int v = 0; v < tti_gemm_tile.variants; v++) {
        if (!usable(d, v) || (v && v % 2 == 0))
            continue; /* those that the first test builds for this form */
        tti_gemm_plan plan = td_plan(d, "tile", v, &t.s);
        float *c = td_run(g, d, &plan, &t, &x);
        for (size_t i = 0; i < t.s.m; i++)
            for (size_t j = 0; j < t.s.n; j++) {
                const float y = c[i * t.s.n + j];
                const bool good = i == 19 ? isnan(y) : j == 49 ? isinf(y) : isfinite(y);
                cr_expect(good, "%s: [%zu,%zu] is %g", tti_gemm_plan_name(g, &plan), i, j,
                          (double)y);
            }
        free(c);
    }
    td_data_free(&x);
    tti_gemm_free(g);
    tti_device_close(d);
}
