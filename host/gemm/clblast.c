// SPDX-License-Identifier: Apache-2.0
/* clblast.c - provider `clblast`, and the only caller of that library. Its scratch is our
 * workspace, so that no device memory is taken behind the ledger; large products are cut into parts
 * of at most PART rows, columns and ks, which bounds the scratch. */
#include "host/gemm/internal.h"

#include <clblast_c.h>
#include <string.h>

enum {
    PART = 2048,
    TILE = 128 /* CLBlast pads each operand up to multiples of its tile, which is no larger */
};

static const char *variant_name(int variant) {
    (void)variant;
    return "";
}

static bool suits(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)c, (void)variant, (void)s;
    return true;
}

static size_t padded(size_t x) { return (TT_MIN(x, PART) + TILE - 1) / TILE * TILE; }

/* Whether an operand is copied depends on its form and on CLBlast's tuning: count all three. */
static size_t workspace(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)c, (void)variant;
    const size_t m = padded(s->m), n = padded(s->n), k = padded(s->k);
    return sizeof(float) * (m * k + k * n + m * n);
}

static tt_status status(CLBlastStatusCode code, const tti_gemm_shape *s) {
    if (code == CLBlastSuccess) return TT_OK;
    char what[96];
    snprintf(what, sizeof what, "CLBlast's SGEMM of %zu x %zu x %zu", s->m, s->n, s->k);
    if (code > -64) return tti_cl((cl_int)code, what); /* OpenCL's codes keep their numbers */
    return tti_fail(TT_E_DEVICE, "%s: CLBlast status %d; --gemm tile does without CLBlast", what,
                    (int)code);
}

/* A part of the product, from row i, column j and k index p on. */
static tt_status run_part(tti_device *d, const tti_gemm_call *c, const size_t at[3],
                          const tti_gemm_shape *part, float beta, cl_mem scratch) {
    const tti_gemm_shape *s = &c->shape;
    const size_t i = at[0], j = at[1], p = at[2];
    const size_t a = s->ta ? p * c->lda + i : i * c->lda + p;
    const size_t b = s->tb ? j * c->ldb + p : p * c->ldb + j;
    const CLBlastTranspose ta = s->ta ? CLBlastTransposeYes : CLBlastTransposeNo;
    const CLBlastTranspose tb = s->tb ? CLBlastTransposeYes : CLBlastTransposeNo;
    cl_command_queue queue = tti_device_queue(d);
    size_t need = 0, have = 0;
    TT_TRY(status(CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, ta, tb, part->m, part->n,
                                             part->k, a, c->lda, b, c->ldb, i * c->ldc + j, c->ldc,
                                             &queue, &need),
                  part));
    TT_TRY(tti_cl(clGetMemObjectInfo(scratch, CL_MEM_SIZE, sizeof have, &have, NULL),
                  "gemm: the workspace"));
    if (need > have)
        return tti_fail(TT_E_INTERNAL,
                        "CLBlast wants %zu bytes of scratch for %zu x %zu x %zu, planned are %zu; "
                        "--gemm tile needs none",
                        need, part->m, part->n, part->k, have);
    return status(CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, ta, tb, part->m, part->n,
                                             part->k, c->alpha, c->a, a, c->lda, c->b, b, c->ldb,
                                             beta, c->c, i * c->ldc + j, c->ldc, &queue, NULL,
                                             need ? scratch : NULL),
                  part);
}

static tt_status run_parts(tti_device *d, const tti_gemm_call *c, float beta, cl_mem scratch) {
    const tti_gemm_shape *s = &c->shape;
    for (size_t i = 0; i < s->m; i += PART)
        for (size_t j = 0; j < s->n; j += PART)
            for (size_t p = 0; p < s->k; p += PART) {
                const tti_gemm_shape part = {.ta = s->ta,
                                             .tb = s->tb,
                                             .m = TT_MIN(s->m - i, PART),
                                             .n = TT_MIN(s->n - j, PART),
                                             .k = TT_MIN(s->k - p, PART)};
                const size_t at[] = {i, j, p};
                TT_TRY(run_part(d, c, at, &part, p ? 1.0f : beta, scratch));
            }
    return TT_OK;
}

static tt_status run_epilogue(tti_device *d, const tti_gemm_call *c) {
    const size_t run = tti_device_caps(d)->cpu ? 64 : 1; /* neighbours together on GPUs */
    tti_launch l = tti_kernel(d, "gemm_epilogue", "gemm_epilogue", run == 1 ? "-DRUN=1" : "");
    tti_arg_i32(&l, (int)c->shape.n);
    tti_arg_i32(&l, (int)c->ldc);
    tti_arg_mem(&l, c->c);
    tti_gemm_arg_end(&l, c);
    tti_arg_i32(&l, c->shape.k > 0);
    tti_arg_i32(&l, tti_gemm_flags(c));
    const size_t global[] = {(c->shape.n + run - 1) / run, c->shape.m};
    return tti_run(&l, 2, global, NULL);
}

static tt_status run(tti_device *d, int variant, const tti_gemm_call *c, cl_mem scratch) {
    (void)variant;
    tti_gemm_call rest = *c;
    /* What lies in C already can be added by CLBlast itself. */
    const bool residual_is_c = c->residual && c->residual == c->c && c->shape.k > 0;
    if (residual_is_c) rest.residual = NULL;
    if (c->shape.k > 0)
        TT_TRY(run_parts(d, c, c->accumulate || residual_is_c ? 1.0f : 0.0f, scratch));
    rest.accumulate = false;
    if (c->shape.k == 0 || tti_gemm_flags(&rest)) return run_epilogue(d, &rest);
    return TT_OK;
}

const tti_gemm_provider tti_gemm_clblast = {.name = "clblast",
                                            .variants = 1,
                                            .variant_name = variant_name,
                                            .suits = suits,
                                            .workspace = workspace,
                                            .run = run};
