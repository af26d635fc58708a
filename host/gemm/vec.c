// SPDX-License-Identifier: Apache-2.0
/* vec.c - provider `vec`: cl/gemm_vec.cl, for few rows of A. It reads B as it lies, without packing
 * it first: a product of one row takes the time of reading B. */
#include "host/gemm/internal.h"

enum { MOST_ROWS = 16, VECTORS = 4 }; /* VECTORS: of a band of columns of [k,n] on CPUs */

static const char *variant_name(int variant) {
    (void)variant;
    return "";
}

static bool suits(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)variant;
    /* llvmpipe (32 KiB of local memory) ends loops after 65535 rounds: up to 32 for each k in the
     * last columns of [k,n]. */
    if (c->cpu && c->local_mem < 64 * 1024 && !s->tb && s->k > 65535 / 32) return false;
    return !s->ta && s->m <= MOST_ROWS;
}

static size_t workspace(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)c, (void)variant, (void)s;
    return 0;
}

/* Columns a work-item of a CPU goes through: few enough that all cores have some to the end, many
 * enough that a work-group's start, about a microsecond, does not show. */
static size_t columns(const tti_device *d, const tti_gemm_shape *s) {
    if (!s->tb) return (size_t)(VECTORS * tti_device_caps(d)->vw);
    const size_t units = TT_MAX(tti_device_get_info(d)->compute_units, 1);
    size_t cols = 16;
    while (cols < 256 && s->n / (2 * cols) >= 16 * units) cols *= 2;
    return cols;
}

static tt_status run(tti_device *d, int variant, const tti_gemm_call *c, cl_mem unused) {
    (void)variant, (void)unused;
    const tti_caps *caps = tti_device_caps(d);
    const tti_gemm_shape *s = &c->shape;
    const bool alone = caps->wg == 1;
    const size_t wg = (size_t)caps->wg, cols = alone ? columns(d, s) : 1;
    char defines[160], stored[TTI_STORED_DEFINES];
    tti_stored_defines(stored, tti_gemm_layout(c));
    snprintf(defines, sizeof defines, "-DTB=%d -DRM=%d -DCOLS=%zu -DVW=%d -DWG=%zu%s", s->tb,
             s->m >= 4 ? 4 : (int)s->m, cols, alone ? caps->vw : 1, wg, stored);
    tti_launch l = tti_kernel(d, "gemm_vec", "gemm_vec", defines);
    tti_gemm_args(&l, c);
    const size_t items = alone || s->tb ? (s->n + cols - 1) / cols : (s->n + wg - 1) / wg;
    return tti_run_groups(&l, items);
}

const tti_gemm_provider tti_gemm_vec = {.name = "vec",
                                        .variants = 1,
                                        .partial = true,
                                        .variant_name = variant_name,
                                        .suits = suits,
                                        .workspace = workspace,
                                        .run = run};
