// SPDX-License-Identifier: Apache-2.0
/* tile.c - provider `tile`: cl/gemm_tile.cl on CPUs, cl/gemm_group.cl on GPUs. It needs no
 * workspace: its scratch is local memory. */
#include "host/gemm/internal.h"

#define ANY SIZE_MAX

/* For CPUs: ROWS x VECTORS x VW. The first that suits is the one used where nothing is measured.
 * min_n and max_n: for so many columns; a class of shapes lies on one side of each bound. */
typedef struct {
    const char *name;
    int rows, vectors, vw;
    size_t min_n, max_n;
} cpu_tile;
static const cpu_tile cpu_tiles[] = {
    {"8x3x16", 8, 3, 16, 33, ANY}, {"12x2x16", 12, 2, 16, 17, ANY}, {"8x1x16", 8, 1, 16, 9, 16},
    {"12x1x16", 12, 1, 16, 9, 16}, {"6x2x8", 6, 2, 8, 9, ANY},      {"4x3x8", 4, 3, 8, 17, ANY},
    {"8x1x8", 8, 1, 8, 0, 8},      {"12x1x8", 12, 1, 8, 0, 8},
};
#define CPU_TILES ((int)TT_COUNT(cpu_tiles))

/* For GPUs: work-items TX x TY, elements of each RX x RY, DEPTH. */
typedef struct {
    const char *name;
    int tx, ty, rx, ry, depth;
    size_t min_m, max_m, min_n, max_n;
} gpu_tile;
static const gpu_tile gpu_tiles[] = {
    {"g64x64", 16, 16, 4, 4, 16, 17, ANY, 17, ANY}, {"g128x128", 16, 16, 8, 8, 8, 65, ANY, 65, ANY},
    {"g32x32", 8, 8, 4, 4, 16, 0, ANY, 0, ANY},     {"g64x8", 8, 8, 1, 8, 16, 0, ANY, 0, 16},
    {"g8x64", 8, 8, 8, 1, 16, 0, 16, 0, ANY},
};
#define GPU_TILES ((int)TT_COUNT(gpu_tiles))

static const char *variant_name(int variant) {
    return variant < CPU_TILES ? cpu_tiles[variant].name : gpu_tiles[variant - CPU_TILES].name;
}

/* Panels need room. A CPU device with little local memory (llvmpipe has 32 KiB, and ends loops
 * after 65535 rounds) gets the kernels for GPUs. */
static bool has_room(const tti_caps *c) { return c->cpu && c->local_mem >= 64 * 1024; }

static bool suits(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    if (variant < CPU_TILES) {
        const cpu_tile *t = &cpu_tiles[variant];
        const int vw = c->vw >= 16 && s->n > 8 ? 16 : 8;
        return has_room(c) && t->vw == vw && s->n >= t->min_n && s->n <= t->max_n;
    }
    const gpu_tile *t = &gpu_tiles[variant - CPU_TILES];
    const size_t local = sizeof(float) * (size_t)(t->depth * (t->tx * t->rx + t->ty * t->ry + 2) +
                                                  t->tx * t->ty * t->rx);
    return !has_room(c) && local <= c->local_mem && s->m >= t->min_m && s->m <= t->max_m &&
           s->n >= t->min_n && s->n <= t->max_n;
}

static size_t workspace(const tti_caps *c, int variant, const tti_gemm_shape *s) {
    (void)c, (void)variant, (void)s;
    return 0;
}

static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t b) { return divide_up(a, b) * b; }

/* How many ks and rows a work-item takes at once. */
typedef struct {
    size_t k_block, rows, scratch; /* scratch in bytes */
} blocking;

/* The panel should stay in a core's second-level cache, and everything must fit local memory: k
 * whole where that is small enough, else in blocks of whole steps, with the sums of so many rows
 * waiting. */
static void block_k(blocking *b, const cpu_tile *t, size_t k, size_t step, size_t local_mem) {
    enum { PANEL = 400 * 1024, K = 512, WAITING = 256 };
    const size_t cols = (size_t)(t->vectors * t->vw), rows = (size_t)t->rows;
    const size_t most = local_mem - TT_MIN(local_mem / 8, 1024), row = cols * sizeof(float);
    b->k_block = k;
    b->scratch = row * (k + rows);
    if (b->scratch <= TT_MIN(most, PANEL)) return;
    size_t waiting = TT_MIN(round_up(WAITING, rows), most / 3 / row / rows * rows);
    waiting = TT_MAX(waiting, rows);
    size_t ks = most / row > waiting ? TT_MIN(most / row - waiting, K) : 1;
    ks = divide_up(k, divide_up(k, ks));
    b->k_block = ks > step ? TT_MIN(round_up(ks, step), most / row - waiting) : ks;
    b->rows = TT_MIN(b->rows, waiting);
    b->scratch = row * (b->k_block + round_up(b->rows, rows));
}

/* Enough work-items to keep the cores busy to the end, each with so many rows that packing its
 * panel, which costs as much as about 8 rows (turning) or 3, does not show. */
static blocking plan_blocks(const tti_device *d, const cpu_tile *t, const tti_gemm_shape *s) {
    const size_t units = TT_MAX(tti_device_get_info(d)->compute_units, 1);
    const size_t rows = (size_t)t->rows, panels = divide_up(s->n, (size_t)(t->vectors * t->vw));
    size_t blocks = TT_MIN(divide_up(8 * units, panels), s->m / (s->tb ? 128 : 64));
    if (panels * TT_MAX(blocks, 1) < units)
        blocks = TT_MIN(divide_up(units, panels), divide_up(s->m, rows));
    blocking b = {.rows = round_up(divide_up(s->m, TT_MAX(blocks, 1)), rows)};
    /* A block of ks begins where a block of quantised numbers does. */
    block_k(&b, t, s->k, tti_dtype_quantised(s->bt) ? 64 : 4, tti_device_caps(d)->local_mem);
    return b;
}

static tt_status run_cpu(tti_device *d, const cpu_tile *t, const tti_gemm_call *c) {
    char defines[160], stored[TTI_STORED_DEFINES];
    tti_stored_defines(stored, tti_gemm_layout(c));
    snprintf(defines, sizeof defines, "-DTA=%d -DTB=%d -DROWS=%d -DVECTORS=%d -DVW=%d%s",
             c->shape.ta, c->shape.tb, t->rows, t->vectors, t->vw, stored);
    const blocking b = plan_blocks(d, t, &c->shape);
    tti_launch l = tti_kernel(d, "gemm_tile", "gemm_tile", defines);
    tti_gemm_args(&l, c);
    tti_arg_i32(&l, (int)b.rows);
    tti_arg_i32(&l, (int)b.k_block);
    tti_arg_local(&l, b.scratch);
    const size_t global[] = {divide_up(c->shape.n, (size_t)(t->vectors * t->vw)),
                             divide_up(c->shape.m, b.rows)};
    return tti_run(&l, 2, global, NULL);
}

static tt_status run_gpu(tti_device *d, const gpu_tile *t, const tti_gemm_call *c) {
    char defines[160], stored[TTI_STORED_DEFINES];
    tti_stored_defines(stored, tti_gemm_layout(c));
    snprintf(defines, sizeof defines,
             "-DTA=%d -DTB=%d -DTX=%d -DTY=%d -DRX=%d -DRY=%d -DDEPTH=%d%s", c->shape.ta,
             c->shape.tb, t->tx, t->ty, t->rx, t->ry, t->depth, stored);
    tti_launch l = tti_kernel(d, "gemm_group", "gemm_group", defines);
    tti_gemm_args(&l, c);
    const size_t local[] = {(size_t)t->tx, (size_t)t->ty};
    const size_t global[] = {local[0] * divide_up(c->shape.n, (size_t)(t->tx * t->rx)),
                             local[1] * divide_up(c->shape.m, (size_t)(t->ty * t->ry))};
    return tti_run(&l, 2, global, local);
}

static tt_status run(tti_device *d, int variant, const tti_gemm_call *c, cl_mem unused) {
    (void)unused;
    return variant < CPU_TILES ? run_cpu(d, &cpu_tiles[variant], c)
                               : run_gpu(d, &gpu_tiles[variant - CPU_TILES], c);
}

const tti_gemm_provider tti_gemm_tile = {.name = "tile",
                                         .variants = CPU_TILES + GPU_TILES,
                                         .variant_name = variant_name,
                                         .suits = suits,
                                         .workspace = workspace,
                                         .run = run};
