// SPDX-License-Identifier: Apache-2.0
/* Provider clblast: all forms against a double reference, within the planned workspace. */
#include "tests/unit/gemm/support.h"

TestSuite(gemm_clblast, .init = td_setup, .fini = td_teardown);

Test(gemm_clblast, all_forms) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "clblast"));
    for (size_t i = 0; i < TD_CASES; i++)
        for (int f = 0; f < 4; f++) {
            if ((i + (size_t)f) % 2 == 0) continue;
            const td_case t = td_case_at(i, f & 1, f & 2);
            td_data x = td_data_new(&t, (uint32_t)i);
            tti_gemm_plan plan;
            OK(tti_gemm_choose(g, &t.s, &plan));
            cr_assert_str_eq(tti_gemm_plan_name(g, &plan), "clblast");
            const size_t before = tti_mem_allocated(d, TTI_MEM_WORKSPACE);
            float *c = td_run(g, d, &plan, &t, &x);
            cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WORKSPACE), before);
            td_near("clblast", &t, c, &x, t.whole ? 0 : 2e-7 * (double)(t.s.k + 8));
            if (i % 9 == 0) {
                float *again = td_run(g, d, &plan, &t, &x);
                td_same("clblast again", &t, again, c);
                free(again);
            }
            free(c);
            td_data_free(&x);
        }
    tti_gemm_free(g);
    tti_device_close(d);
}

/* A call site plans for its largest shape and then multiplies smaller ones of any size in the same
 * scratch, whose size is bounded. */
Test(gemm_clblast, any_smaller_shape_fits_the_planned_workspace) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "clblast"));
    static const size_t rows[] = {1, 63, 64, 65, 127, 128, 129, 255, 256};
    for (int f = 0; f < 4; f++) {
        const tti_gemm_shape largest = {f & 1, f & 2, 256, 256, 256, TTI_F32};
        tti_gemm_plan plan;
        OK(tti_gemm_choose(g, &largest, &plan));
        for (size_t i = 0; i < TT_COUNT(rows); i++) {
            const td_case t = {
                .s = {f & 1, f & 2, rows[i], i % 2 ? 256 : 255, i % 3 ? 256 : 201, TTI_F32},
                .alpha = 1};
            td_data x = td_data_new(&t, 11);
            float *c = td_run(g, d, &plan, &t, &x);
            td_near("clblast", &t, c, &x, 1e-4);
            free(c);
            td_data_free(&x);
        }
    }
    const tti_gemm_shape huge = {false, true, 100000, 128256, 8192, TTI_F32};
    const tti_gemm_plan plan = td_plan(d, "clblast", 0, &huge);
    cr_expect_leq(plan.workspace, (size_t)48 << 20);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* Products that are cut into parts: more than 2048 rows, columns and ks. */
Test(gemm_clblast, parts_of_a_large_product) {
    static const td_case cases[] = {
        {.s = {false, true, 3, 2500, 40, TTI_F32}, .alpha = 0.5f, .mode = ACCUMULATE},
        {.s = {true, false, 2101, 5, 33, TTI_F32}, .pad = 1, .alpha = 1, .mode = BIAS_RESIDUAL},
        {.s = {false, false, 5, 7, 4500, TTI_F32},
         .alpha = 1,
         .mode = RESIDUAL_IN_C,
         .act = TTI_ACT_TANH},
        {.s = {true, true, 6, 9, 2300, TTI_F32}, .pad = 2, .alpha = -1, .mode = PLAIN},
    };
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "clblast"));
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const td_case *t = &cases[i];
        td_data x = td_data_new(t, (uint32_t)i);
        tti_gemm_plan plan;
        OK(tti_gemm_choose(g, &t->s, &plan));
        float *c = td_run(g, d, &plan, t, &x);
        td_near("clblast", t, c, &x, 1e-4);
        free(c);
        td_data_free(&x);
    }
    tti_gemm_free(g);
    tti_device_close(d);
}
