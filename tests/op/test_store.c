// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

#include <math.h>
#include <string.h>
#include "host/storage/half.h"

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch none = {2, {3, 2}, {0, 0}};

/* i: the type */
static tti_val there_and_back(tti_graph *g, tti_val x, int type) {
    const tti_attr attr = {.i = {type}};
    const tti_val packed = tti_emit(g, &tti_op_store, &x, 1, &attr);
    return tti_emit(g, &tti_op_load, &packed, 1, &attr);
}

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    return there_and_back(g, v[0], c->i);
}

static void round_block(double *y, const double *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf((float)x[i]));
    const float by = most > 0 ? 127.0f / most : 0;
    for (size_t i = 0; i < n; i++) y[i] = rintf((float)x[i] * by) * (most / 127.0f);
}

static void round_row(double *y, const double *x, size_t cols, int type) {
    for (size_t c = 0; c < cols && type == TTI_Q8; c += 64)
        round_block(y + c, x + c, TT_MIN(cols - c, (size_t)64));
    for (size_t c = 0; c < cols && type != TTI_Q8; c++)
        y[c] = type == TTI_F16 ? tti_f16_to_f32(tti_f32_to_f16((float)x[c]))
                               : tti_bf16_to_f32(tti_f32_to_bf16((float)x[c]));
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t cols = c->in[0].cols, rows = td_rows(f, c->in[0].kind, 0);
    for (size_t r = 0; r < rows; r++) round_row(y + r * cols, v[0] + r * cols, cols, c->i);
}

#define IN(n)                                            \
    {                                                    \
        { .kind = TTI_ROWS_REST, .cols = n, .scale = 5 } \
    }
static const td_case cases[] = {
    {"f16, one column", &ragged, IN(1), build, ref, 0, 0, .i = TTI_F16},
    {"f16, odd width", &ragged, IN(37), build, ref, 0, 0, .i = TTI_F16},
    {"f16, more than a chunk", &ragged, IN(771), build, ref, 0, 0, .i = TTI_F16},
    {"bf16, one column", &ragged, IN(1), build, ref, 0, 0, .i = TTI_BF16},
    {"bf16, odd width", &ragged, IN(37), build, ref, 0, 0, .i = TTI_BF16},
    {"bf16, more than a chunk", &ragged, IN(771), build, ref, 0, 0, .i = TTI_BF16},
    {"q8, one column", &ragged, IN(1), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"q8, less than a block", &ragged, IN(37), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"q8, a block", &ragged, IN(64), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"q8, one more", &ragged, IN(65), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"q8, a wide row", &ragged, IN(771), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"q8, several groups a row", &ragged, IN(4100), build, ref, 1e-6, 0, .i = TTI_Q8},
    {"no row", &none, IN(16), build, ref, 0, 0, .i = TTI_BF16},
    {"q8, no row", &none, IN(16), build, ref, 0, 0, .i = TTI_Q8},
    {0},
};

Test(store, values) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

/* A row of numbers, stored and loaded, for every shape of kernels. */
static void round_trip(td_env *env, const float *x, float *y, size_t n, int type) {
    tti_graph *g = tti_graph_new();
    const tti_val p = tti_graph_param(g, "x", 1, n, false), v = there_and_back(g, p, type);
    tti_graph_keep(g, v);
    cr_assert_eq(tti_graph_finish(g), TT_OK, "%s", tt_error());
    const tti_caps *caps = tti_device_caps(env->d);
    const tti_rows max = {{0}};
    tti_plan *plan;
    tti_exec *e;
    cr_assert_eq(tti_plan_new(&plan, g, &max, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&e, env->d, env->gemm, g, plan), TT_OK, "%s", tt_error());
    cl_mem m;
    cr_assert_eq(tti_mem_new(&m, env->d, n * sizeof *x, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_write(env->d, m, 0, x, n * sizeof *x), TT_OK);
    tti_exec_bind(e, p, m);
    const tti_feed feed = {0};
    cr_assert_eq(tti_exec_run(e, &feed), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_exec_read(e, v, y, n), TT_OK, "%s", tt_error());
    tti_exec_free(e);
    tti_mem_free(env->d, m);
    tti_plan_free(plan);
    tti_graph_free(g);
}

static void expect_bits(const float *got, const float *want, size_t n, const char *why) {
    for (size_t i = 0; i < n; i++)
        cr_expect(isnan(want[i]) ? isnan(got[i]) : memcmp(&got[i], &want[i], sizeof *got) == 0,
                  "%s: [%zu] is %.9g, must be %.9g", why, i, (double)got[i], (double)want[i]);
}

/* Ties go to even; what is too large becomes infinite, which is how loss scaling notices; NaN stays
 * NaN, one whose upper half would be that of an infinity too. */
static void check_extremes(td_env *env) {
    const float low_nan = tti_f32_of(0x7F800001);
    const float x[] = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -(1 + 0x1p-8f), 3.4e38f, -INFINITY,
                       NAN,         low_nan,         -0.0f,          1e-40f,  65519.0f};
    const float bf16[] = {1,   1 + 4 * 0x1p-8f, -1, INFINITY, -INFINITY, NAN,
                          NAN, -0.0f,           0,  65536.0f};
    const float h[] = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, -65519.0f, 65520.0f, -INFINITY,
                       NAN,          low_nan,          -0.0f,     0x1p-24f, 0x1p-25f};
    const float f16[] = {1,     1 + 4 * 0x1p-11f, -65504.0f, INFINITY, -INFINITY, NAN, NAN,
                         -0.0f, 0x1p-24f,         0};
    float y[TT_COUNT(x)];
    round_trip(env, x, y, TT_COUNT(x) - 2, TTI_BF16); /* the subnormal may be flushed */
    expect_bits(y, bf16, TT_COUNT(x) - 2, "bf16");
    round_trip(env, x + 9, y, 1, TTI_BF16);
    expect_bits(y, bf16 + 9, 1, "bf16");
    round_trip(env, h, y, TT_COUNT(h), TTI_F16);
    expect_bits(y, f16, TT_COUNT(h), "f16");
}

/* A block with a number that is not finite is not finite as a whole; others are not touched. */
static void check_q8(td_env *env) {
    enum { N = 64 * 5 + 3 };
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i % 64 * 2 - 63) / 63.5f;
    for (int i = 64; i < 128; i++) x[i] = 0;
    for (int i = 128; i < 192; i++) x[i] = i % 2 ? 1e-40f : 1e-33f;
    x[192 + 17] = NAN;
    x[256 + 63] = INFINITY;
    round_trip(env, x, y, N, TTI_Q8);
    for (int i = 0; i < 192; i++)
        cr_expect(fabsf(y[i] - (i < 64 ? x[i] : 0)) <= 0.5f / 127.0f, "q8: [%d] is %g for %g", i,
                  (double)y[i], (double)x[i]);
    for (int i = 64; i < 192; i++) cr_expect_eq(y[i], 0);
    for (int i = 192; i < 320; i++) cr_expect(!isfinite(y[i]), "q8: [%d] is %g", i, (double)y[i]);
    for (int i = 320; i < N; i++) cr_expect(isfinite(y[i]), "q8: [%d] is %g", i, (double)y[i]);
}

Test(store, extremes) {
    static const int shapes[][2] = {{1, 16}, {1, 8}, {64, 4}, {64, 1}, {128, 2}, {16, 2}};
    td_env env = td_open();
    const tti_caps own = *tti_device_caps(env.d);
    for (size_t i = 0; i < TT_COUNT(shapes); i++) {
        td_shape(env.d, shapes[i][0], shapes[i][1]);
        check_extremes(&env);
        check_q8(&env);
    }
    *(tti_caps *)(uintptr_t)tti_device_caps(env.d) = own;
    td_close(&env);
}

Test(store, wrong_types_are_refused) {
    tti_graph *g = tti_graph_new();
    const tti_val x = tti_graph_param(g, "x", 2, 3, false);
    there_and_back(g, x, TTI_I32);
    td_expect_error(g, TT_E_SHAPE, "store: [2,3] of f32 as i32");
    tti_graph_free(g);
}
