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
    for (size_t q = 0; q < TT_COUNT(kinds); q++)
        for (size_t i = 0; i < SHAPES; i++)
            for (int tb = 0; tb < 2; tb++) {
                if (!(some & 1u << q) || (q >= COMMON && (i > 3 || !tb))) continue;
                td_case t = case_of(&kinds[q], i, tb);
                if (strcmp(provider, "vec") == 0)
                    t.s.m = i % 2 && q % 3 == 0 && some == ALL ? 1 : 4 + i;
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
