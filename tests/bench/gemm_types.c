// SPDX-License-Identifier: Apache-2.0
/* gemm_types.c - time of a product by the type of B:
 *   bench_gemm_types [m n k [tb [provider [variant]]]]    for example 205 4096 4096 1 tile 0
 * The least of several runs, a line each type, beside f32. */
#include <stdlib.h>
#include <string.h>
#include "host/gemm/internal.h"

enum { LEAST = 4, MOST = 1000 }; /* runs */
#define SECONDS 0.5

typedef struct {
    const char *name;
    tti_dtype type;
    bool nested;
} kind;
static const kind kinds[] = {{"f32", TTI_F32, false},      {"bf16", TTI_BF16, false},
                             {"f16", TTI_F16, false},      {"q8", TTI_Q8, false},
                             {"nf4 flat", TTI_NF4, false}, {"nf4", TTI_NF4, true}};

static tt_status measure(tti_gemm *g, tti_device *d, tti_gemm_plan plan, const kind *q,
                         tti_gemm_shape s, double *seconds) {
    s.bt = plan.largest.bt = q->type;
    const tti_layout l = tti_layout_of(q->type, s.tb ? s.n : s.k, s.tb ? s.k : s.n, 64, q->nested);
    plan.workspace = tti_gemm_providers[plan.provider]->workspace(tti_device_caps(d), plan.variant,
                                                                  &plan.largest);
    void *bytes = tti_malloc(l.bytes);
    float *values = tti_malloc(l.rows * l.cols * sizeof *values);
    tti_gemm_call c = {
        .shape = s, .lda = s.k, .ldb = l.cols, .ldc = s.n, .alpha = 1, .b_layout = &l};
    cl_mem scratch = NULL;
    tt_status st = bytes && values ? TT_OK : TT_E_NOMEM;
    TT_TRY(st);
    tti_gemm_fill(&l, bytes, values, 1);
    TT_TRY(tti_mem_new(&c.a, d, s.m * s.k * sizeof(float), TTI_MEM_OTHER, true));
    TT_TRY(tti_mem_new(&c.b, d, l.bytes, TTI_MEM_OTHER, false));
    TT_TRY(tti_mem_new(&c.c, d, s.m * s.n * sizeof(float), TTI_MEM_OTHER, true));
    if (plan.workspace) TT_TRY(tti_mem_new(&scratch, d, plan.workspace, TTI_MEM_OTHER, false));
    TT_TRY(tti_mem_write(d, c.b, 0, bytes, l.bytes));
    *seconds = 1e9;
    const double begin = tti_now();
    for (int i = 0; i < LEAST || (i < MOST && tti_now() - begin < SECONDS); i++) {
        TT_TRY(tti_device_finish(d));
        const double start = tti_now();
        TT_TRY(tti_gemm_run(g, &plan, &c, scratch));
        TT_TRY(tti_device_finish(d));
        if (i) *seconds = TT_MIN(*seconds, tti_now() - start);
    }
    tti_mem_free(d, c.a), tti_mem_free(d, c.b), tti_mem_free(d, c.c), tti_mem_free(d, scratch);
    tti_free(bytes);
    tti_free(values);
    return TT_OK;
}

static tt_status bench(int argc, char **argv) {
    size_t size[] = {205, 4096, 4096, 1};
    for (int i = 0; i < 4 && i + 1 < argc; i++) size[i] = strtoul(argv[i + 1], NULL, 10);
    const tti_gemm_shape s = {false, size[3] != 0, size[0], size[1], size[2], TTI_F32};
    tti_device *d;
    tti_gemm *g;
    tti_gemm_plan plan;
    TT_TRY(tti_device_open(&d, NULL));
    TT_TRY(tti_gemm_new(&g, d, NULL));
    TT_TRY(tti_gemm_choose(g, &s, &plan));
    for (int i = 0; argc > 5 && i < TTI_GEMM_PROVIDERS; i++)
        if (!strcmp(tti_gemm_providers[i]->name, argv[5])) {
            plan.provider = i;
            plan.variant = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 0;
        }
    printf("%zu x %zu x %zu %s, %s\n", s.m, s.n, s.k, s.tb ? "nt" : "nn",
           tti_gemm_plan_name(g, &plan));
    double first = 0;
    for (size_t i = 0; i < TT_COUNT(kinds); i++) {
        double t;
        TT_TRY(measure(g, d, plan, &kinds[i], s, &t));
        if (i == 0) first = t;
        printf("  %-10s %9.3f ms %8.1f GFLOP/s  %.2f of f32's time\n", kinds[i].name, t * 1e3,
               2e-9 * (double)s.m * (double)s.n * (double)s.k / t, t / first);
    }
    tti_gemm_free(g);
    tti_device_close(d);
    return TT_OK;
}

int main(int argc, char **argv) {
    if (bench(argc, argv) == TT_OK) return 0;
    fprintf(stderr, "%s\n", tt_error());
    return 1;
}
