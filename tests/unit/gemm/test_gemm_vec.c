// SPDX-License-Identifier: Apache-2.0
/* Provider vec: few rows, all forms and epilogues, shaped as on a CPU and as on a GPU. */
#include "tests/unit/gemm/support.h"

TestSuite(gemm_vec, .init = td_setup, .fini = td_teardown);

static const char *const shapes[] = {"1", "64"}; /* TT_WG */

static tti_device *open_shaped(const char *wg, tti_gemm **g) {
    setenv("TT_WG", wg, 1);
    tti_device *d = td_open();
    OK(tti_gemm_new(g, d, NULL));
    return d;
}

static void check(tti_gemm *g, tti_device *d, const td_case *t, uint32_t seed) {
    td_data x = td_data_new(t, seed);
    tti_gemm_plan plan = td_plan(d, "vec", 0, &t->s);
    float *c = td_run(g, d, &plan, t, &x);
    const double tol = t->act == TTI_ACT_NONE ? 1e-7 : 2e-7;
    td_near("vec", t, c, &x, t->whole ? 0 : tol * (double)(t->s.k + 8));
    free(c);
    td_data_free(&x);
}

Test(gemm_vec, every_form_and_epilogue) {
    static const size_t rows[] = {1, 3, 4, 2, 7, 16};
    for (size_t s = 0; s < TT_COUNT(shapes); s++) {
        tti_gemm *g;
        tti_device *d = open_shaped(shapes[s], &g);
        for (size_t i = 0; i < TD_CASES; i++) {
            td_case c = td_case_at(i, false, i % 3 != 0);
            c.s.m = rows[i % TT_COUNT(rows)];
            check(g, d, &c, (uint32_t)i);
        }
        const td_case wide = {
            .s = {false, true, 2, 3001, 40, TTI_F32}, .pad = 3, .alpha = 1, .mode = BIAS_RESIDUAL};
        check(g, d, &wide, 99); /* work-groups with more columns */
        tti_gemm_free(g);
        tti_device_close(d);
    }
}

/* A row's bits are the same alone and among others. */
Test(gemm_vec, bits_do_not_depend_on_the_number_of_rows) {
    for (size_t s = 0; s < 2 * TT_COUNT(shapes); s++) {
        tti_gemm *g;
        tti_device *d = open_shaped(shapes[s / 2], &g);
        const td_case many = {
            .s = {false, s % 2 == 0, 16, 75, 333, TTI_F32}, .alpha = 0.3f, .mode = BIAS};
        td_data x = td_data_new(&many, 7);
        tti_gemm_plan plan = td_plan(d, "vec", 0, &many.s);
        float *all = td_run(g, d, &plan, &many, &x);
        for (size_t m = 1; m < 8; m++) {
            td_case few = many;
            few.s.m = m;
            td_data y = x;
            y.nc = m * x.ldc;
            y.na = m * x.lda;
            float *c = td_run(g, d, &plan, &few, &y);
            td_same("fewer rows", &few, c, all);
            free(c);
        }
        free(all);
        td_data_free(&x);
        tti_gemm_free(g);
        tti_device_close(d);
    }
}

Test(gemm_vec, what_is_not_finite_stays_in_its_row_and_column) {
    tti_gemm *g;
    tti_device *d = open_shaped("1", &g);
    const td_case t = {.s = {false, true, 6, 50, 31, TTI_F32}, .pad = 2, .alpha = 1};
    td_data x = td_data_new(&t, 5);
    x.a[5 * x.lda + 30] = NAN;
    x.b[49 * x.ldb + 3] = INFINITY;
    tti_gemm_plan plan = td_plan(d, "vec", 0, &t.s);
    float *c = td_run(g, d, &plan, &t, &x);
    for (size_t i = 0; i < t.s.m; i++)
        for (size_t j = 0; j < t.s.n; j++) {
            const float y = c[i * t.s.n + j];
            const bool good = i == 5 ? isnan(y) : j == 49 ? isinf(y) : isfinite(y);
            cr_expect(good, "[%zu,%zu] is %g", i, j, (double)y);
        }
    free(c);
    td_data_free(&x);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* It is for few rows: it takes part in their choice, cannot be forced, and puts nobody out. */
Test(gemm_vec, is_chosen_for_few_rows_only) {
    tti_gemm *g, *none;
    tti_device *d = open_shaped("1", &g);
    td_expect_error(tti_gemm_new(&none, d, "vec"), TT_E_ARG, "one of auto", "forced");
    tti_gemm_result r[TTI_GEMM_RESULTS];
    for (int many = 0; many < 2; many++) {
        const tti_gemm_shape shape = {false, true, many ? 64 : 1, 128, 256, TTI_F32};
        size_t n, found = 0;
        OK(tti_gemm_tune_one(g, &shape, r, &n));
        for (size_t i = 0; i < n; i++) found += strcmp(r[i].name, "vec") == 0 && r[i].gflops > 0;
        cr_expect_eq(found, many ? 0 : 1, "%zu times among %zu", found, n);
        cr_expect(n > found, "nothing but vec is left");
    }
    tti_gemm_free(g);
    tti_device_close(d);
}
