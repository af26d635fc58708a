// SPDX-License-Identifier: Apache-2.0
/* B in every storage type, for every provider: the bits are those of the same provider on B as f32;
 * those of tile are the host's chain of fma over what the matrix holds. */
#include "tests/unit/gemm/support.h"

TestSuite(gemm_types, .init = td_setup, .fini = td_teardown);

typedef struct {
    tti_dtype type;
    size_t block;
    bool nested;
} kind;
static const kind kinds[] = {{TTI_NF4, 64, true},    {TTI_NF4, 64, false}, {TTI_Q8, 64, false},
                             {TTI_BF16, 0, false},   {TTI_F16, 0, false},  {TTI_NF4, 32, true},
                             {TTI_NF4, 4096, false}, {TTI_Q8, 256, false}};
enum { COMMON = 5, ALL = 255 };

/* Whole blocks a row and rows that begin anywhere in one, whole tiles and parts of them. */
static const struct {
    size_t m, n, k, pad;
} shapes[] = {{5, 64, 128, 0},  {13, 100, 192, 32}, {33, 50, 100, 0}, {17, 130, 33, 1},
              {1, 1, 1, 0},     {3, 1, 700, 0},     {16, 7, 64, 0},   {0, 5, 5, 0},
              {2, 65, 0, 0},    {7, 192, 1, 0},     {10, 52, 320, 8}, {4, 129, 3001, 0},
              {12, 49, 4480, 0}};
enum { SHAPES = TT_COUNT(shapes) };

static td_case case_of(const kind *q, size_t i, bool tb) {
    const bool plain = i % 4 == 1;
    td_case t = {.s = {false, tb, shapes[i].m, shapes[i].n, shapes[i].k, q->type},
                 .pad = shapes[i].pad,
                 .alpha = plain ? 1.0f : 0.3f,
                 .mode = (td_mode)(i % MODES),
                 .block = q->block,
                 .nested = q->nested,
                 .at = i % 3 * 5};
    if (t.mode != ACCUMULATE && i % 5 == 0) t.act = TTI_ACT_SILU;
    return t;
}

/* The same product with B as f32, of the same provider and variant. */
static float *as_f32(tti_gemm *g, tti_device *d, tti_gemm_plan plan, const td_case *t,
                     const td_data *x) {
    td_case u = *t;
    td_data y = *x;
    u.s.bt = plan.largest.bt = TTI_F32;
    y.stored = NULL;
    plan.workspace = tti_gemm_providers[plan.provider]->workspace(tti_device_caps(d), plan.variant,
                                                                  &plan.largest);
    return td_run(g, d, &plan, &u, &y);
}

static void check(tti_gemm *g, tti_device *d, const char *provider, int variant, const td_case *t) {
    td_data x = td_data_new(t, (uint32_t)(t->s.k + 1));
    const tti_gemm_plan plan = td_plan(d, provider, variant, &t->s);
    const char *way = tti_gemm_plan_name(g, &plan);
    float *c = td_run(g, d, &plan, t, &x);
    td_near(way, t, c, &x, 2e-7 * (double)(t->s.k + 8));
    if (strcmp(provider, "tile") == 0 && t->act == TTI_ACT_NONE && td_fma(d))
        td_same(way, t, c, x.chain);
    float *want = as_f32(g, d, plan, t, &x);
    td_same(way, t, c, want);
    free(want);
    free(c);
    td_data_free(&x);
}

/* Every program takes half a second to build: `some` says which kinds are tried, a bit each; and
 * kinds beyond the common ones see one form. */
static void each(const char *provider, const char *mark, const char *wg, unsigned some) {
    setenv("TT_WG", wg, 1);
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, NULL));
    int v = 0;
    while (mark && !strstr(tti_gemm_tile.variant_name(v), mark)) v++;
    if (mark && *mark == 'x' && tti_device_caps(d)->local_mem < 64 * 1024)
        cr_skip_test("kernels for CPUs need local memory");
    for (size_t q = 0; q < TT_COUNT(kinds); q++)
        for (size_t i = 0; i < SHAPES; i++)
            for (int tb = 0; tb < 2; tb++) {
                if (!(some & 1u << q) || (q >= COMMON && (i > 3 || !tb))) continue;
                td_case t = case_of(&kinds[q], i, tb);
                if (provider[0] == 'v') t.s.m = i % 2 && q % 3 == 0 && some == ALL ? 1 : 4 + i;
                if (provider[0] == 'v' && !tti_gemm_vec.suits(tti_device_caps(d), v, &t.s))
                    continue;
                check(g, d, provider, v, &t);
            }
    tti_gemm_free(g);
    tti_device_close(d);
}

Test(gemm_types, tile_of_long_vectors) { each("tile", "x16", "1", ALL); }
Test(gemm_types, tile_of_short_vectors) { each("tile", "x8", "1", 1 | 4 | 16); }
Test(gemm_types, tile_for_gpus) { each("tile", "g64x64", "1", 31); }
Test(gemm_types, flat_tile_for_gpus) { each("tile", "g8x64", "1", 1); }
Test(gemm_types, vec) { each("vec", NULL, "1", ALL); }
Test(gemm_types, vec_for_gpus) { each("vec", NULL, "64", 1 | 4 | 8); }
Test(gemm_types, clblast) { each("clblast", NULL, "1", 1 | 8 | 16); }

/* Measured like any other, with a choice of their own in the cache and in checkpoints. */
Test(gemm_types, are_measured_and_chosen_for) {
    tti_device *d = td_open();
    tti_gemm *g, *h;
    char *text, *copy, class[64];
    OK(tti_gemm_new(&g, d, NULL));
    tti_gemm_plan plan, again;
    for (size_t q = 0; q < COMMON; q += 2) {
        const tti_gemm_shape s = {false, q != 2, 24, 64, 128, kinds[q].type};
        tti_gemm_result r[TTI_GEMM_RESULTS];
        size_t n, chosen = 0;
        OK(tti_gemm_tune_one(g, &s, r, &n));
        for (size_t i = 0; i < n; i++) {
            chosen += r[i].chosen;
            cr_expect(r[i].gflops > 0, "%s: %s: %s", tti_dtype_name(s.bt), r[i].name, r[i].why);
        }
        cr_expect(n > 1 && chosen == 1, "%zu of %zu", chosen, n);
    }
    const tti_gemm_shape s = {false, true, 24, 64, 128, TTI_NF4};
    tti_gemm_class_name(class, &s);
    cr_expect_str_eq(class, "nt-nf4 32x64x128");
    OK(tti_gemm_choose(g, &s, &plan));
    OK(tti_gemm_choices_save(g, &text));
    cr_expect(strstr(text, "nt-nf4 32 64 128 ") && strstr(text, "nn-q8 32 64 128 "), "%s", text);
    OK(tti_gemm_new(&h, d, NULL));
    OK(tti_gemm_choices_load(h, text));
    OK(tti_gemm_choices_save(h, &copy));
    cr_expect_str_eq(copy, text);
    OK(tti_gemm_choose(h, &s, &again));
    cr_expect(again.provider == plan.provider && again.variant == plan.variant);
    static const char *const bad[] = {"nt-", "nt-f32", "nt-nf5", "ntnf4", "n-nf4"};
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        char line[64];
        snprintf(line, sizeof line, "auto %s 64 64 32 clblast -\n", bad[i]);
        td_expect_error(tti_gemm_choices_load(h, line), TT_E_FORMAT, "line 1", bad[i]);
    }
    tti_free(text);
    tti_free(copy);
    tti_gemm_free(h);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* The workspace holds a panel of B, not B, and what is planned for a shape does for smaller ones.
 */
Test(gemm_types, panels_of_a_large_b) {
    tti_device *d = td_open();
    tti_gemm *g;
    OK(tti_gemm_new(&g, d, "clblast"));
    const tti_gemm_shape huge = {false, true, 128, 128256, 8192, TTI_NF4};
    cr_expect_leq(td_plan(d, "clblast", 0, &huge).workspace, (size_t)10 << 20);
    const tti_gemm_shape largest = {false, false, 5, 1100, 2100, TTI_Q8};
    tti_gemm_plan plan = td_plan(d, "clblast", 0, &largest);
    static const struct {
        size_t m, n, k;
        td_mode mode;
        tti_act act;
    } cases[] = {{5, 1100, 2100, BIAS_RESIDUAL, TTI_ACT_RELU},
                 {3, 1026, 2100, ACCUMULATE, TTI_ACT_NONE},
                 {4, 600, 2060, RESIDUAL_IN_C, TTI_ACT_SILU},
                 {5, 512, 1000, PLAIN, TTI_ACT_NONE}};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const td_case t = {.s = {false, false, cases[i].m, cases[i].n, cases[i].k, TTI_Q8},
                           .alpha = 0.5f,
                           .mode = cases[i].mode,
                           .act = cases[i].act,
                           .at = 3};
        td_data x = td_data_new(&t, 17);
        float *c = td_run(g, d, &plan, &t, &x);
        td_near("clblast", &t, c, &x, 1e-4);
        free(c);
        td_data_free(&x);
    }
    tti_gemm_free(g);
    tti_device_close(d);
}

typedef struct {
    const char *what, *part;
    tt_status status;
    void (*spoil)(tti_gemm_call *c, tti_layout *l);
} refusal;

#define SPOIL(name, change)                             \
    static void name(tti_gemm_call *c, tti_layout *l) { \
        (void)c, (void)l;                               \
        change;                                         \
    }
SPOIL(no_layout, c->b_layout = NULL)
SPOIL(other_type, l->type = TTI_Q8)
SPOIL(other_plan, c->shape.bt = TTI_F32)
SPOIL(few_rows, l->rows = 47)
SPOIL(other_ldb, c->ldb = 65)
SPOIL(odd_block, l->block = 48)
SPOIL(small_block, l->block = 16)
SPOIL(more_bytes, l->bytes += 64)
SPOIL(far_a, c->a_at = 1)
SPOIL(far_c, c->c_at = (size_t)1 << 40)
SPOIL(far_bias, c->bias_at = 1)

Test(gemm_types, refused_calls) {
    static const refusal cases[] = {
        {"no layout", "no layout of type nf4", TT_E_ARG, no_layout},
        {"another type", "no layout of type nf4", TT_E_ARG, other_type},
        {"another plan", "over the planned nt nf4", TT_E_ARG, other_plan},
        {"few rows", "a layout of 47 x 64, needed is 48 x 64", TT_E_SHAPE, few_rows},
        {"another ldb", "in rows of 65", TT_E_SHAPE, other_ldb},
        {"odd block", "blocks of 48 elements", TT_E_UNSUPPORTED, odd_block},
        {"small block", "blocks of 16 elements", TT_E_UNSUPPORTED, small_block},
        {"more bytes", "B: buffer of", TT_E_SHAPE, more_bytes},
        {"far A", "A: buffer of", TT_E_SHAPE, far_a},
        {"far C", "too many", TT_E_SHAPE, far_c},
        {"far bias", "bias: buffer of", TT_E_SHAPE, far_bias},
    };
    tti_device *d = td_open();
    tti_gemm *g;
    cl_mem a, b, c, bias;
    OK(tti_gemm_new(&g, d, "tile"));
    const tti_gemm_shape s = {false, true, 40, 48, 64, TTI_NF4};
    const tti_layout layout = tti_layout_plain(TTI_NF4, 48, 64);
    OK(tti_mem_new(&a, d, 40 * 64 * 4, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&b, d, layout.bytes, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&c, d, 40 * 48 * 4, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&bias, d, 48 * 4, TTI_MEM_OTHER, true));
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_layout l = layout;
        tti_gemm_call call = {.shape = s,
                              .lda = 64,
                              .ldb = 64,
                              .ldc = 48,
                              .alpha = 1,
                              .a = a,
                              .b = b,
                              .c = c,
                              .bias = bias,
                              .b_layout = &l};
        const tti_gemm_plan plan = td_plan(d, "tile", 0, &s);
        cases[i].spoil(&call, &l);
        td_expect_error(tti_gemm_run(g, &plan, &call, NULL), cases[i].status, cases[i].part,
                        cases[i].what);
    }
    tti_mem_free(d, a), tti_mem_free(d, b), tti_mem_free(d, c), tti_mem_free(d, bias);
    tti_gemm_free(g);
    tti_device_close(d);
}
