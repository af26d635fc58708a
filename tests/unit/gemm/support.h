// SPDX-License-Identifier: Apache-2.0
/* support.h - a device with an empty cache folder, and products of any form checked against host
 * arithmetic, for the tests of host/gemm. */
#ifndef TT_TESTS_UNIT_GEMM_SUPPORT_H
#define TT_TESTS_UNIT_GEMM_SUPPORT_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/gemm/internal.h"

#define OK(call)                                                      \
    do {                                                              \
        tt_status ok_status_ = (call);                                \
        cr_assert_eq(ok_status_, TT_OK, "%s: %s", #call, tt_error()); \
    } while (0)

static char td_root[] = "/tmp/tt-gemm-XXXXXX";

static inline void td_setup(void) {
    cr_assert(mkdtemp(td_root), "mkdtemp");
    setenv("TT_CACHE_DIR", td_root, 1);
    static const char *const unset[] = {"TT_MAX_ALLOC", "TT_DEVICE_MEMORY", "TT_WG",    "TT_VW",
                                        "TT_GEMM",      "TT_GEMM_TUNE",     "TT_CL_DIR"};
    for (size_t i = 0; i < TT_COUNT(unset); i++) unsetenv(unset[i]);
}

static inline void td_teardown(void) { tti_dir_remove(td_root); }

/* Skips the test without a device; fails it where TT_REQUIRE_DEVICE=1. */
static inline tti_device *td_open(void) {
    tti_device *d = NULL;
    tt_status s = tti_device_open(&d, NULL);
    if (s == TT_OK) return d;
    const char *require = getenv("TT_REQUIRE_DEVICE");
    cr_assert(!require || strcmp(require, "1") != 0, "no device: %s", tt_error());
    cr_assert_eq(s, TT_E_DEVICE, "%s", tt_error());
    cr_skip_test("no device: %s", tt_error());
    return NULL;
}

static inline void td_expect_error(tt_status got, tt_status want, const char *part,
                                   const char *what) {
    cr_expect_eq(got, want, "%s: status %d, not %d (%s)", what, got, want, tt_error());
    if (got != TT_OK)
        cr_expect(strstr(tt_error(), part), "%s: \"%s\" lacks \"%s\"", what, tt_error(), part);
}

/* Whether the device says that its fma is one rounding, as the host's is; without it kernels may
 * use product and sum, and their bits can only be compared with each other. */
static inline bool td_fma(const tti_device *d) {
    cl_device_fp_config c = 0;
    clGetDeviceInfo(tti_device_get_info(d)->cl_device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof c, &c,
                    NULL);
    return (c & CL_FP_FMA) != 0;
}

/* The numbers of a provider and of its variant by name; "" is the first variant. */
static inline tti_gemm_plan td_plan(const tti_device *d, const char *provider, int variant,
                                    const tti_gemm_shape *largest) {
    int p = 0;
    while (strcmp(tti_gemm_providers[p]->name, provider) != 0) p++;
    tti_gemm_plan plan = {.provider = p, .variant = variant, .largest = *largest};
    plan.workspace = tti_gemm_providers[p]->workspace(tti_device_caps(d), variant, largest);
    return plan;
}

/* ---- one product ---- */

typedef enum { PLAIN, ACCUMULATE, BIAS, RESIDUAL, RESIDUAL_IN_C, BIAS_RESIDUAL, MODES } td_mode;

typedef struct {
    tti_gemm_shape s;
    size_t pad; /* elements between the rows of A (pad), B (2 pad) and C (3 pad) */
    float alpha;
    td_mode mode;
    tti_act act;
    bool whole;   /* small whole numbers: every sum is exact */
    size_t block; /* of a quantised B; 0: the usual one */
    bool nested;
    size_t at; /* operands, but a quantised B, begin so many elements into their buffers */
} td_case;

static const float td_canary = 12345.678f;

typedef struct {
    size_t lda, ldb, ldc, na, nb, nc; /* n*: elements of the buffers, exactly as many as needed */
    float *a, *b, *bias, *res, *c0;   /* c0: C before */
    float *chain;                     /* [m,n]: float results, the k products added in order */
    double *sum;                      /* [m,n]: double results */
    tti_layout layout;                /* of a B in another type, and its bytes */
    void *stored;
} td_data;

static inline size_t td_extent(size_t rows, size_t cols, size_t ld) {
    return rows && cols ? (rows - 1) * ld + cols : 0;
}

static inline float *td_random(size_t n, uint32_t *seed, bool whole) {
    float *p = malloc((n + 1) * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        p[i] = whole ? (float)((int)(*seed >> 20) % 9 - 4)
                     : (float)(*seed >> 8) * (2.0f / 16777216.0f) - 1.0f;
    }
    return p;
}

static inline double td_act(tti_act act, double x) {
    switch (act) {
    case TTI_ACT_GELU: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case TTI_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case TTI_ACT_RELU: return x > 0 ? x : 0;
    case TTI_ACT_SILU: return x / (1 + exp(-x));
    case TTI_ACT_TANH: return tanh(x);
    default: return x;
    }
}

/* volatile: no rounding is to be saved by contracting */
static inline float td_plus(float x, float y) {
    volatile float z = x + y;
    return z;
}

static inline void td_element(td_data *x, const td_case *t, size_t i, size_t j) {
    const tti_gemm_shape *s = &t->s;
    float chain = 0;
    double sum = 0;
    for (size_t k = 0; k < s->k; k++) {
        const float a = x->a[s->ta ? k * x->lda + i : i * x->lda + k];
        const float b = x->b[s->tb ? j * x->ldb + k : k * x->ldb + j];
        chain = fmaf(a, b, chain);
        sum += (double)a * (double)b;
    }
    volatile float scaled = t->alpha * chain;
    chain = scaled;
    sum *= (double)t->alpha;
    const size_t at = i * x->ldc + j;
    if (t->mode == ACCUMULATE) chain = td_plus(x->c0[at], chain), sum += (double)x->c0[at];
    if (t->mode == BIAS || t->mode == BIAS_RESIDUAL)
        chain = td_plus(chain, x->bias[j]), sum += (double)x->bias[j];
    if (t->mode >= RESIDUAL) chain = td_plus(chain, x->res[at]), sum += (double)x->res[at];
    x->chain[i * s->n + j] = chain;
    x->sum[i * s->n + j] = td_act(t->act, sum);
}

/* Turns B into one of the case's type: the kernels' is x->stored, the reference's what that holds.
 * Codes are not the usual ones, since a file may bring its own. */
static inline void td_store(td_data *x, const td_case *t, uint32_t seed) {
    const size_t rows = t->s.tb ? t->s.n : t->s.k;
    x->layout =
        tti_layout_of(t->s.bt, rows, x->ldb, t->block ? t->block : TTI_QUANT_BLOCK, t->nested);
    const size_t count = rows * x->ldb;
    float *b = td_random(count, &seed, t->whole);
    x->stored = calloc(1, x->layout.bytes + 1);
    if (count) OK(tti_quantise(&x->layout, b, x->stored));
    if (t->s.bt == TTI_NF4) {
        float *code = td_random(TTI_CODE, &seed, false);
        memcpy((char *)x->stored + x->layout.tables, code, TTI_CODE * sizeof *code);
        free(code);
    }
    if (count) tti_dequantise(&x->layout, x->stored, 0, count, b);
    free(x->b);
    x->b = b;
}

/* Gives operands and expected results (td_data_free). */
static inline td_data td_data_new(const td_case *t, uint32_t seed) {
    const tti_gemm_shape *s = &t->s;
    td_data x = {.lda = (s->ta ? s->m : s->k) + t->pad,
                 .ldb = (s->tb ? s->k : s->n) + 2 * t->pad,
                 .ldc = s->n + 3 * t->pad};
    x.na = td_extent(s->ta ? s->k : s->m, s->ta ? s->m : s->k, x.lda);
    x.nb = td_extent(s->tb ? s->n : s->k, s->tb ? s->k : s->n, x.ldb);
    x.nc = td_extent(s->m, s->n, x.ldc);
    x.a = td_random(x.na, &seed, t->whole);
    x.b = td_random(x.nb, &seed, t->whole);
    if (t->s.bt != TTI_F32) td_store(&x, t, seed);
    x.bias = td_random(s->n, &seed, t->whole);
    x.res = td_random(x.nc, &seed, t->whole);
    x.c0 = td_random(x.nc, &seed, t->whole);
    for (size_t i = 0; i < x.nc; i++) {
        const bool inside = i % x.ldc < s->n;
        if (!inside) x.c0[i] = td_canary;
        if (inside && t->mode == RESIDUAL_IN_C) x.c0[i] = x.res[i];
        if (inside && t->mode != ACCUMULATE && t->mode != RESIDUAL_IN_C) x.c0[i] = NAN;
    }
    x.chain = calloc(s->m * s->n + 1, sizeof *x.chain);
    x.sum = calloc(s->m * s->n + 1, sizeof *x.sum);
    for (size_t i = 0; i < s->m; i++)
        for (size_t j = 0; j < s->n; j++) td_element(&x, t, i, j);
    return x;
}

static inline void td_data_free(td_data *x) {
    free(x->a), free(x->b), free(x->bias), free(x->res), free(x->c0), free(x->chain), free(x->sum);
    free(x->stored);
}

static inline cl_mem td_buffer_at(tti_device *d, const float *p, size_t n, size_t at) {
    cl_mem m = NULL;
    OK(tti_mem_new(&m, d, TT_MAX(n + at, 1) * sizeof *p, TTI_MEM_OTHER, true));
    if (n) OK(tti_mem_write(d, m, at * sizeof *p, p, n * sizeof *p));
    return m;
}

static inline cl_mem td_buffer(tti_device *d, const float *p, size_t n) {
    return td_buffer_at(d, p, n, 0);
}

static inline cl_mem td_buffer_b(tti_device *d, const td_data *x, size_t at) {
    cl_mem m = NULL;
    if (!x->stored) return td_buffer_at(d, x->b, x->nb, at);
    OK(tti_mem_new(&m, d, TT_MAX(x->layout.bytes, 1), TTI_MEM_OTHER, true));
    if (x->layout.bytes) OK(tti_mem_write(d, m, 0, x->stored, x->layout.bytes));
    return m;
}

static inline const char *td_name(const td_case *t) {
    static char name[160];
    static const char *const modes[] = {"plain",    "accumulate",    "bias",
                                        "residual", "residual in C", "bias and residual"};
    snprintf(name, sizeof name, "%c%c %s%s/%zu %zu x %zu x %zu pad %zu at %zu alpha %g %s act %d%s",
             t->s.ta ? 't' : 'n', t->s.tb ? 't' : 'n', tti_dtype_name(t->s.bt),
             t->nested ? " nested" : "", t->block, t->s.m, t->s.n, t->s.k, t->pad, t->at,
             (double)t->alpha, modes[t->mode], (int)t->act, t->whole ? " whole" : "");
    return name;
}

/* Runs the product in a part of a larger buffer; gives C [m,n] (free). Around C, between its rows
 * and in the operands nothing may change. */
static inline float *td_run(tti_gemm *g, tti_device *d, const tti_gemm_plan *plan, const td_case *t,
                            const td_data *x) {
    const size_t align = tti_device_caps(d)->align, gap = align / sizeof(float);
    const size_t first = gap + t->at, around = x->nc + first + gap;
    float *all = malloc(around * sizeof *all), *c = malloc((t->s.m * t->s.n + 1) * sizeof *c);
    for (size_t i = 0; i < around; i++) all[i] = td_canary;
    memcpy(all + first, x->c0, x->nc * sizeof *all);
    cl_mem a = td_buffer_at(d, x->a, x->na, t->at), b = td_buffer_b(d, x, t->at), scratch = NULL,
           part = NULL;
    cl_mem whole = td_buffer(d, all, around), bias = td_buffer_at(d, x->bias, t->s.n, t->at);
    cl_mem res = td_buffer_at(d, x->res, x->nc, t->at);
    if (plan->workspace) OK(tti_mem_new(&scratch, d, plan->workspace, TTI_MEM_WORKSPACE, false));
    OK(tti_mem_sub(&part, d, whole, align, TT_MAX(x->nc + t->at, 1) * sizeof *all));
    const tti_gemm_call call = {.shape = t->s,
                                .lda = x->lda,
                                .ldb = x->ldb,
                                .ldc = x->ldc,
                                .alpha = t->alpha,
                                .accumulate = t->mode == ACCUMULATE,
                                .act = t->act,
                                .a = a,
                                .b = b,
                                .a_at = t->at,
                                .b_at = x->stored ? 0 : t->at,
                                .c_at = t->at,
                                .bias_at = t->at,
                                .b_layout = &x->layout,
                                .c = part,
                                .bias = t->mode == BIAS || t->mode == BIAS_RESIDUAL ? bias : NULL,
                                .residual = t->mode == RESIDUAL_IN_C ? part
                                            : t->mode >= RESIDUAL    ? res
                                                                     : NULL};
    const char *way = tti_gemm_plan_name(g, plan);
    cr_assert_eq(tti_gemm_run(g, plan, &call, scratch), TT_OK, "%s, %s: %s", way, td_name(t),
                 tt_error());
    OK(tti_mem_read(d, whole, 0, all, around * sizeof *all));
    size_t spoilt = 0;
    for (size_t i = 0; i < around; i++) {
        const size_t e = i - first;
        const bool inside = i >= first && e < x->nc && e % x->ldc < t->s.n;
        if (inside)
            c[e / x->ldc * t->s.n + e % x->ldc] = all[i];
        else
            spoilt += memcmp(&all[i], &td_canary, sizeof td_canary) != 0;
    }
    cr_expect_eq(spoilt, 0, "%s, %s: wrote %zu floats outside C", way, td_name(t), spoilt);
    tti_mem_release(d, part);
    tti_mem_free(d, a), tti_mem_free(d, b), tti_mem_free(d, whole), tti_mem_free(d, bias);
    tti_mem_free(d, res), tti_mem_free(d, scratch);
    free(all);
    return c;
}

/* Passes when |got - want| <= tol * (1 + |want|) everywhere; NaN fails. */
static inline void td_near(const char *way, const td_case *t, const float *got, const td_data *x,
                           double tol) {
    for (size_t i = 0; i < t->s.m * t->s.n; i++) {
        const double want = x->sum[i];
        if (!(fabs((double)got[i] - want) <= tol * (1 + fabs(want)))) {
            cr_expect(false, "%s, %s: element %zu is %.9g, not %.9g", way, td_name(t), i,
                      (double)got[i], want);
            return;
        }
    }
}

static inline void td_same(const char *way, const td_case *t, const float *got, const float *want) {
    for (size_t i = 0; i < t->s.m * t->s.n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0) {
            cr_expect(false, "%s, %s: element %zu is %a, not %a bit for bit", way, td_name(t), i,
                      (double)got[i], (double)want[i]);
            return;
        }
}

/* The i-th of a list of cases that mixes sizes, forms and epilogues. */
static const size_t td_sizes[] = {1, 17, 0, 64, 3, 33, 7, 257, 16, 2, 93, 31, 65, 15, 144};
#define TD_CASES 45
static inline td_case td_case_at(size_t i, bool ta, bool tb) {
    const size_t n = TT_COUNT(td_sizes);
    td_case t = {.s = {ta, tb, td_sizes[i % n], td_sizes[(i * 4 + i / n * 5 + 3) % n],
                       td_sizes[(i * 7 + i / n * 2 + 5) % n], TTI_F32},
                 .pad = i % 4 == 0   ? 0
                        : i % 4 == 1 ? 1
                                     : i % 4 * 5,
                 .alpha = i % 3 == 0   ? 1.0f
                          : i % 3 == 1 ? 0.37f
                                       : -2.0f,
                 .mode = (td_mode)((i + i / 6) % MODES),
                 .whole = i % 5 == 4,
                 .at = i % 7 * 3};
    if (t.mode != ACCUMULATE) t.act = (tti_act)((i / 2) % (TTI_ACT_TANH + 1));
    if (t.whole) t.act = i % 2 ? TTI_ACT_RELU : TTI_ACT_NONE, t.alpha = 2.0f;
    if (t.mode == ACCUMULATE) t.act = TTI_ACT_NONE;
    return t;
}

#endif
