// SPDX-License-Identifier: Apache-2.0
/* clblast.c - provider `clblast`, and the only caller of that library. Its scratch is our
 * workspace, so that no device memory is taken behind the ledger; large products are cut into parts
 * of at most PART rows, columns and ks, which bounds the scratch. A B that is not f32 is unpacked
 * into a panel of the workspace (cl/dequantise.cl), one part of it after another. */
#include "host/gemm/internal.h"

#include <clblast_c.h>
#include <string.h>

enum {
    PART = 2048,
    PANEL_COLS = TTI_GEMM_PANEL / (PART * (int)sizeof(float)), /* with PART ks */
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

/* Columns of a part: fewer where a panel of B is made. The same for every shape, so that smaller
 * ones need no more workspace; ks are cut as ever, so that they are added in the same order. */
static size_t most_n(const tti_gemm_shape *s) { return s->bt == TTI_F32 ? PART : PANEL_COLS; }

static size_t padded(size_t x, size_t at_most) {
    return (TT_MIN(x, at_most) + TILE - 1) / TILE * TILE;
}

/* Whether an operand is copied depends on its form and on CLBlast's tuning: count all three. */
static size_t workspace(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)c, (void)variant;
    const size_t m = padded(s->m, PART), n = padded(s->n, most_n(s));
    const size_t k = padded(s->k, PART);
    return sizeof(float) * (m * k + k * n + m * n) + (s->bt == TTI_F32 ? 0 : TTI_GEMM_PANEL);
}

static tt_status status(CLBlastStatusCode code, const tti_gemm_shape *s) {
    if (code == CLBlastSuccess) return TT_OK;
    char what[96];
    snprintf(what, sizeof what, "CLBlast's SGEMM of %zu x %zu x %zu", s->m, s->n, s->k);
    if (code > -64) return tti_cl((cl_int)code, what); /* OpenCL's codes keep their numbers */
    return tti_fail(TT_E_DEVICE, "%s: CLBlast status %d; --gemm tile does without CLBlast", what,
                    (int)code);
}

/* Where B's part of a product lies as f32. */
typedef struct {
    cl_mem mem;
    size_t at, ld;
} part_of_b;

/* A part of the product, from row i, column j and k index p on. */
static tt_status run_part(tti_device *d, const tti_gemm_call *c, const size_t at[3],
                          const tti_gemm_shape *part, const part_of_b *b, float beta,
                          cl_mem scratch) {
    const tti_gemm_shape *s = &c->shape;
    const size_t i = at[0], j = at[1], p = at[2], to = c->c_at + i * c->ldc + j;
    const size_t a = c->a_at + (s->ta ? p * c->lda + i : i * c->lda + p);
    const CLBlastTranspose ta = s->ta ? CLBlastTransposeYes : CLBlastTransposeNo;
    const CLBlastTranspose tb = s->tb ? CLBlastTransposeYes : CLBlastTransposeNo;
    cl_command_queue queue = tti_device_queue(d);
    size_t need = 0, have = 0;
    TT_TRY(
        status(CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, ta, tb, part->m, part->n, part->k,
                                          a, c->lda, b->at, b->ld, to, c->ldc, &queue, &need),
               part));
    TT_TRY(tti_cl(clGetMemObjectInfo(scratch, CL_MEM_SIZE, sizeof have, &have, NULL),
                  "gemm: the workspace"));
    have = s->bt == TTI_F32 ? have : have - TT_MIN(have, TTI_GEMM_PANEL);
    if (need > have)
        return tti_fail(TT_E_INTERNAL,
                        "CLBlast wants %zu bytes of scratch for %zu x %zu x %zu, planned are %zu; "
                        "--gemm tile needs none",
                        need, part->m, part->n, part->k, have);
    return status(CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, ta, tb, part->m, part->n,
                                             part->k, c->alpha, c->a, a, c->lda, b->mem, b->at,
                                             b->ld, beta, c->c, to, c->ldc, &queue, NULL,
                                             need ? scratch : NULL),
                  part);
}

/* Makes the panel of B that begins at column j of the product and k index p, at the workspace's
 * end, which CLBlast does not get. */
static tt_status unpack(tti_device *d, const tti_gemm_call *c, const size_t at[3],
                        const tti_gemm_shape *part, cl_mem workspace, part_of_b *b) {
    const bool tb = c->shape.tb, cpu = tti_device_caps(d)->wg == 1;
    const size_t rows = tb ? part->n : part->k, cols = tb ? part->k : part->n;
    const size_t run = cpu ? 256 : 4;
    size_t have = 0;
    TT_TRY(tti_cl(clGetMemObjectInfo(workspace, CL_MEM_SIZE, sizeof have, &have, NULL),
                  "gemm: the workspace"));
    *b = (part_of_b){workspace, (have - TTI_GEMM_PANEL) / sizeof(float), cols};
    char defines[128], stored[TTI_STORED_DEFINES];
    tti_stored_defines(stored, c->b_layout);
    snprintf(defines, sizeof defines, "-DRUN=%zu -DVW=%d%s", run, cpu ? tti_device_caps(d)->vw : 4,
             stored);
    tti_launch l = tti_kernel(d, "dequantise", "dequantise", defines);
    tti_arg_stored(&l, c->b, c->b_layout);
    tti_arg_i32(&l, (int)c->ldb);
    tti_arg_i32(&l, (int)(tb ? at[1] : at[2]));
    tti_arg_i32(&l, (int)(tb ? at[2] : at[1]));
    tti_arg_i32(&l, (int)cols);
    tti_arg_mem(&l, workspace);
    tti_arg_u32(&l, (uint32_t)b->at);
    const size_t global[] = {(cols + run - 1) / run, rows};
    return tti_run(&l, 2, global, NULL);
}

/* ks come in order for every element of C, the first part of them with beta. */
static tt_status run_parts(tti_device *d, const tti_gemm_call *c, float beta, cl_mem scratch) {
    const tti_gemm_shape *s = &c->shape;
    const size_t cols = most_n(s);
    for (size_t j = 0; j < s->n; j += cols)
        for (size_t p = 0; p < s->k; p += PART) {
            tti_gemm_shape part = {
                .ta = s->ta, .tb = s->tb, .n = TT_MIN(s->n - j, cols), .k = TT_MIN(s->k - p, PART)};
            size_t at[] = {0, j, p};
            part_of_b b = {c->b, c->b_at + (s->tb ? j * c->ldb + p : p * c->ldb + j), c->ldb};
            if (s->bt != TTI_F32) TT_TRY(unpack(d, c, at, &part, scratch, &b));
            for (size_t i = 0; i < s->m; i += PART) {
                at[0] = i;
                part.m = TT_MIN(s->m - i, PART);
                TT_TRY(run_part(d, c, at, &part, &b, p ? 1.0f : beta, scratch));
            }
        }
    return TT_OK;
}

static tt_status run_epilogue(tti_device *d, const tti_gemm_call *c) {
    const size_t run = tti_device_caps(d)->cpu ? 64 : 1; /* neighbours together on GPUs */
    tti_launch l = tti_kernel(d, "gemm_epilogue", "gemm_epilogue", run == 1 ? "-DRUN=1" : "");
    tti_arg_i32(&l, (int)c->shape.n);
    tti_arg_i32(&l, (int)c->ldc);
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
