// SPDX-License-Identifier: Apache-2.0
/* Streamed weights: the bits of resident ones, the bytes that were foretold, and no copy more than
 * is needed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "host/graph/stream.h"
#include "host/ops/ops.h"

enum { LAYERS = 6, COLS = 192, VOCAB = 40, SEL = 300, CUT = 80, ITEMS = 3 * LAYERS };

/* A frozen parameter in host memory: one slab, or two. */
typedef struct {
    tti_slab slabs[2];
    const void *data[2];
    cl_mem resident[2];
    size_t n;
} weight;

typedef struct {
    tti_graph *g;
    tti_val table, norm, loss, frozen[ITEMS];
    tti_plan *plan;
    tti_exec *e;
    cl_mem loss_mem, grad_mem;
} net;

static tti_device *d;
static tti_gemm *gemm;
static weight weights[ITEMS];
static tti_stream_item items[ITEMS];
static cl_mem table_mem, norm_mem;

static float number(size_t i, size_t seed) {
    return (float)((int)((i * 7919 + seed * 104729) % 2003) - 1001) / 16000.0f;
}

static cl_mem upload(const void *p, size_t bytes) {
    cl_mem m;
    cr_assert_eq(tti_mem_new(&m, d, bytes, TTI_MEM_OTHER, true), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_mem_write(d, m, 0, p, bytes), TT_OK);
    cr_assert_eq(tti_device_finish(d), TT_OK);
    return m;
}

static cl_mem upload_numbers(size_t n, float plus) {
    float *p = tti_malloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = plus + number(i, 77);
    cl_mem m = upload(p, n * sizeof *p);
    tti_free(p);
    return m;
}

/* Three matrices a layer: one whole, one in two slabs, one in 8 bits. */
static void make_weight(int i) {
    weight *w = &weights[i];
    w->n = i % 3 == 1 ? 2 : 1;
    for (size_t k = 0; k < w->n; k++) {
        const size_t rows = w->n == 1 ? COLS : k ? COLS - CUT : CUT, count = rows * COLS;
        tti_slab *s = &w->slabs[k];
        *s = (tti_slab){.row0 = k ? CUT : 0, .rows = rows};
        s->layout = tti_layout_plain(i % 3 == 2 ? TTI_Q8 : TTI_F32, rows, COLS);
        float *p = tti_malloc(count * sizeof *p);
        for (size_t c = 0; c < count; c++) p[c] = number(c + (k ? CUT * COLS : 0), (size_t)i);
        void *packed = tti_malloc(s->layout.bytes);
        cr_assert_eq(tti_quantise(&s->layout, p, packed), TT_OK, "%s", tt_error());
        tti_free(p);
        w->data[k] = packed;
        w->resident[k] = upload(packed, s->layout.bytes);
    }
    items[i] = (tti_stream_item){i / 3, w->slabs, w->n, w->data};
}

static void open_all(void) {
    if (tti_device_open(&d, NULL) != TT_OK) {
        cr_assert(!getenv("TT_REQUIRE_DEVICE"), "no device: %s", tt_error());
        cr_skip_test("no device: %s", tt_error());
    }
    cr_assert_eq(tti_gemm_new(&gemm, d, "tile"), TT_OK, "%s", tt_error());
    for (int i = 0; i < ITEMS; i++) make_weight(i);
    table_mem = upload_numbers(VOCAB * COLS, 0);
    norm_mem = upload_numbers(COLS, 1);
}

static void close_all(void) {
    for (int i = 0; i < ITEMS; i++)
        for (size_t k = 0; k < weights[i].n; k++) {
            tti_mem_free(d, weights[i].resident[k]);
            tti_free((void *)(uintptr_t)weights[i].data[k]);
        }
    tti_mem_free(d, table_mem);
    tti_mem_free(d, norm_mem);
    tti_gemm_free(gemm);
    tti_device_close(d);
}

/* Layers of three linears beside a residual stream; gradient: down to the table below them all. */
static net build(bool gradient, int layers) {
    net n = {.g = tti_graph_new()};
    n.table = tti_graph_param(n.g, "table", VOCAB, COLS, gradient);
    n.norm = tti_graph_param(n.g, "norm", 1, COLS, false);
    tti_val x = tti_embed(n.g, n.table, TTI_IN_IDS_SEL, TTI_NONE);
    for (int i = 0; i < layers; i++) {
        tti_val y = tti_rmsnorm(n.g, x, n.norm, 1e-5f, 0, COLS);
        for (int k = 3 * i; k < 3 * i + 3; k++) {
            n.frozen[k] = tti_graph_param(n.g, "w", COLS, COLS, false);
            tti_graph_param_dtype(n.g, n.frozen[k], weights[k].slabs[0].layout.type);
            y = tti_linear(n.g, y, n.frozen[k], TTI_NONE, k % 3 == 2 ? x : TTI_NONE, 1, false);
        }
        x = y;
    }
    n.loss = tti_graph_accumulator(n.g, "loss", tti_shape_const(1, 1));
    tti_loss(n.g, tti_pool_rows(n.g, x, TTI_POOL_MEAN), n.loss, true);
    if (gradient) cr_assert_eq(tti_graph_backward(n.g), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_graph_finish(n.g), TT_OK, "%s", tt_error());
    tti_rows max = {{0}};
    for (int k = 0; k < TTI_ROWS_KINDS; k++) max.n[k] = SEL;
    const tti_caps *caps = tti_device_caps(d);
    cr_assert_eq(tti_plan_new(&n.plan, n.g, &max, caps->align, (size_t)64 << 20), TT_OK);
    cr_assert_eq(tti_exec_new(&n.e, d, gemm, n.g, n.plan), TT_OK, "%s", tt_error());
    n.loss_mem = upload_numbers(1, 0);
    n.grad_mem = upload_numbers(VOCAB * COLS, 0);
    tti_exec_bind(n.e, n.table, table_mem);
    tti_exec_bind(n.e, n.norm, norm_mem);
    tti_exec_bind(n.e, n.loss, n.loss_mem);
    if (gradient) tti_exec_bind(n.e, tti_value_at(n.g, n.table)->grad, n.grad_mem);
    return n;
}

static void stay(net *n, int layers) {
    for (int i = 0; i < 3 * layers; i++) {
        for (size_t k = 0; k < weights[i].n; k++) weights[i].slabs[k].mem = weights[i].resident[k];
        tti_exec_bind_slabs(n->e, n->frozen[i], weights[i].slabs, weights[i].n);
    }
}

static void release(net *n) {
    tti_exec_free(n->e);
    tti_plan_free(n->plan);
    tti_graph_free(n->g);
    tti_mem_free(d, n->loss_mem);
    tti_mem_free(d, n->grad_mem);
}

/* Enqueues one batch of `seqs` texts. */
static void enqueue(net *n, int seqs) {
    static int32_t ids[SEL], off[SEL + 1], labels[SEL], perm[SEL], start[SEL + 1], dst[SEL];
    const int each = SEL / seqs;
    int at = 0;
    for (int i = 0; i < SEL; i++) ids[i] = i * 3 % VOCAB, labels[i] = i * 5 % COLS;
    for (int i = 0; i <= seqs; i++) off[i] = i * each;
    for (int u = 0; u < VOCAB; u++) {
        start[u] = at;
        dst[u] = u;
        for (int i = 0; i < seqs * each; i++)
            if (ids[i] == u) perm[at++] = i;
    }
    start[VOCAB] = at;
    tti_feed f = {.data = {[TTI_IN_IDS_SEL] = ids,
                           [TTI_IN_OFF_SEL] = off,
                           [TTI_IN_LABELS] = labels,
                           [TTI_IN_IDS_PERM] = perm,
                           [TTI_IN_IDS_START] = start,
                           [TTI_IN_IDS_DST] = dst}};
    f.rows.n[TTI_ROWS_SEL] = (size_t)(seqs * each);
    f.rows.n[TTI_ROWS_SEQ] = (size_t)seqs;
    f.rows.n[TTI_ROWS_SEQ1] = (size_t)seqs + 1;
    f.rows.n[TTI_ROWS_UNIQ] = VOCAB;
    f.rows.n[TTI_ROWS_UNIQ1] = VOCAB + 1;
    cr_assert_eq(tti_exec_run(n->e, &f), TT_OK, "%s", tt_error());
}

static void same(net *a, net *b, bool gradient, const char *what) {
    static float x[VOCAB * COLS], y[VOCAB * COLS];
    cr_assert_eq(tti_mem_read(d, a->loss_mem, 0, x, 4), TT_OK);
    cr_assert_eq(tti_mem_read(d, b->loss_mem, 0, y, 4), TT_OK);
    cr_expect(x[0] == y[0], "%s: loss %.9g, then %.9g", what, (double)x[0], (double)y[0]);
    if (!gradient) return;
    cr_assert_eq(tti_mem_read(d, a->grad_mem, 0, x, sizeof x), TT_OK);
    cr_assert_eq(tti_mem_read(d, b->grad_mem, 0, y, sizeof y), TT_OK);
    cr_expect(memcmp(x, y, sizeof x) == 0, "%s: gradients differ", what);
    double norm = 0;
    for (size_t i = 0; i < TT_COUNT(x); i++) norm += (double)x[i] * (double)x[i];
    cr_expect_gt(norm, 1e-6, "%s: no gradient", what);
}

static size_t group_bytes(void) {
    size_t sum = 0;
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < weights[i].n; k++) sum += weights[i].slabs[k].layout.bytes;
    return sum;
}

static tti_stream *open_stream(size_t n) {
    const tti_caps *caps = tti_device_caps(d);
    tti_stream *s;
    size_t bytes;
    cr_assert_eq(tti_stream_bytes(&bytes, items, n, caps->align, caps->max_alloc), TT_OK);
    const size_t before = tti_mem_allocated(d, TTI_MEM_WEIGHTS);
    cr_assert_eq(tti_stream_new(&s, d, items, n), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS) - before, bytes, "as foretold");
    return s;
}

Test(stream, same_bits_as_resident_weights) {
    open_all();
    net a = build(true, LAYERS), b = build(true, LAYERS);
    stay(&a, LAYERS);
    tti_stream *s = open_stream(ITEMS);
    cr_assert_eq(tti_exec_stream(b.e, s, b.frozen), TT_OK, "%s", tt_error());
    /* forward all, backward all but the last two, and the first two stay for the next run */
    const size_t g = group_bytes();
    for (int run = 0; run < 4; run++) {
        const size_t before = tti_stream_copied(s);
        enqueue(&b, 3 + run);
        enqueue(&a, 3 + run);
        same(&a, &b, true, "a run");
        const size_t groups = (tti_stream_copied(s) - before) / g;
        cr_expect_eq(groups, run ? 2 * LAYERS - 4 : 2 * LAYERS - 2, "run %d: %zu", run, groups);
    }
    for (int run = 0; run < 6; run++) enqueue(&b, 3); /* without waiting in between */
    enqueue(&a, 3);
    same(&a, &b, true, "several runs at once");
    release(&b);
    tti_stream_free(s);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS), 0);
    release(&a);
    close_all();
}

/* Evaluation between training steps uses the same slots. */
Test(stream, two_executors_take_turns) {
    open_all();
    net a = build(true, LAYERS), b = build(true, LAYERS), c = build(false, LAYERS);
    stay(&a, LAYERS);
    tti_stream *s = open_stream(ITEMS);
    cr_assert_eq(tti_exec_stream(b.e, s, b.frozen), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_exec_stream(c.e, s, c.frozen), TT_OK, "%s", tt_error());
    for (int run = 0; run < 3; run++) {
        enqueue(&c, 4);
        enqueue(&b, 4);
        enqueue(&c, 4);
        enqueue(&a, 4);
        same(&a, &b, true, "training");
        same(&a, &c, false, "evaluation");
    }
    release(&c);
    release(&b);
    tti_stream_free(s);
    release(&a);
    close_all();
}

/* A slot is several buffers where one may not be so large; one slot will do for one layer. */
Test(stream, slots) {
    open_all();
    tti_caps *caps = (tti_caps *)(uintptr_t)tti_device_caps(d);
    const size_t most = caps->max_alloc;
    size_t whole, pages, one;
    cr_assert_eq(tti_stream_bytes(&whole, items, ITEMS, caps->align, most), TT_OK);
    cr_expect_geq(whole, 2 * group_bytes());
    cr_expect_leq(whole, 2 * group_bytes() + 2 * 4 * caps->align);
    caps->max_alloc = COLS * COLS * sizeof(float);
    cr_assert_eq(tti_stream_bytes(&pages, items, ITEMS, caps->align, caps->max_alloc), TT_OK);
    cr_expect_leq(pages, 2 * group_bytes() + 2 * 4 * caps->align);
    cr_expect_eq(tti_stream_bytes(&one, items, ITEMS, caps->align, 1000), TT_E_MEMORY);
    tti_stream *s = open_stream(ITEMS);
    caps->max_alloc = most;
    net a = build(true, LAYERS), b = build(true, LAYERS);
    stay(&a, LAYERS);
    cr_assert_eq(tti_exec_stream(b.e, s, b.frozen), TT_OK, "%s", tt_error());
    enqueue(&b, 4);
    enqueue(&a, 4);
    same(&a, &b, true, "pages");
    release(&b);
    tti_stream_free(s);
    release(&a);

    cr_assert_eq(tti_stream_bytes(&one, items, 3, caps->align, most), TT_OK);
    cr_expect_eq(one, whole / 2);
    a = build(true, 1);
    b = build(true, 1);
    stay(&a, 1);
    s = open_stream(3);
    cr_assert_eq(tti_exec_stream(b.e, s, b.frozen), TT_OK, "%s", tt_error());
    for (int run = 0; run < 2; run++) enqueue(&b, 4);
    enqueue(&a, 4);
    same(&a, &b, true, "one layer");
    cr_expect_eq(tti_stream_copied(s), group_bytes(), "copied once");
    release(&b);
    tti_stream_free(s);
    release(&a);
    close_all();
}

Test(stream, what_cannot_be_streamed) {
    open_all();
    tti_stream *s = open_stream(ITEMS);
    net a = build(false, LAYERS);
    tti_val values[ITEMS];
    memcpy(values, a.frozen, sizeof values);
    const tti_val swap =
        values[0]; /* layer 1 reads what is said to be layer 0's, and the reverse */
    values[0] = values[5];
    values[5] = swap;
    cr_expect_eq(tti_exec_stream(a.e, s, values), TT_OK, "any order of visits will do");
    release(&a);
    a = build(true, LAYERS);
    memcpy(values, a.frozen, sizeof values);
    values[1] = a.table;
    cr_expect_eq(tti_exec_stream(a.e, s, values), TT_E_ARG);
    cr_expect(strstr(tt_error(), "table trains"), "%s", tt_error());
    release(&a);

    tti_graph *g = tti_graph_new(); /* a product of two weights of different layers */
    const tti_val p = tti_graph_param(g, "p", COLS, COLS, false);
    values[0] = p;
    values[3] = tti_graph_param(g, "q", COLS, COLS, false);
    for (int i = 0; i < ITEMS; i++)
        if (i != 0 && i != 3) values[i] = TTI_NONE;
    tti_graph_keep(g, tti_linear(g, p, values[3], TTI_NONE, TTI_NONE, 1, false));
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    const tti_rows max = {{0}};
    tti_plan *plan;
    tti_exec *e;
    cr_assert_eq(tti_plan_new(&plan, g, &max, 128, 1 << 24), TT_OK);
    cr_assert_eq(tti_exec_new(&e, d, gemm, g, plan), TT_OK);
    cr_expect_eq(tti_exec_stream(e, s, values), TT_E_UNSUPPORTED);
    cr_expect(strstr(tt_error(), "of the groups 0 and 1"), "%s", tt_error());
    tti_exec_free(e);
    tti_plan_free(plan);
    tti_graph_free(g);
    tti_stream_free(s);
    close_all();
}

/* Every allocation failing in turn gives an error and leaves nothing behind. */
Test(stream, failures) {
    open_all();
    const size_t before = tti_mem_allocated(d, TTI_MEM_WEIGHTS);
    tti_stream *s;
    int failed = 0;
    for (long n = 1; n < 200; n++) {
        tti_alloc_fail_at(n);
        const tt_status status = tti_stream_new(&s, d, items, ITEMS);
        tti_alloc_fail_at(0);
        if (status == TT_OK) {
            tti_stream_free(s);
            break;
        }
        cr_expect_eq(status, TT_E_NOMEM);
        cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS), before);
        failed++;
    }
    for (long n = 1; n <= 2; n++) {
        tti_mem_fail_at(n);
        cr_expect_eq(tti_stream_new(&s, d, items, ITEMS), TT_E_MEMORY, "allocation %ld", n);
        tti_mem_fail_at(0);
        cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS), before);
    }
    cr_expect_gt(failed, 6);
    close_all();
}
