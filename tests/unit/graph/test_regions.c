// SPDX-License-Identifier: Apache-2.0
/* Regions of chunks: the same bits as without, less memory; and what may not stand in one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/graph/run.h"
#include "host/ops/ops.h"

enum { WIDTH = 48, INNER = 160, BLOCKS = 3, VOCAB = 50, PARAMS = 5 * BLOCKS + 1, MAX = 1000 };

typedef struct {
    tti_graph *g;
    tti_val y, params[PARAMS];
    int n;
} stream;

static tti_val param(stream *s, size_t rows, size_t cols) {
    return s->params[s->n++] = tti_graph_param(s->g, "w", rows, cols, false);
}

static tti_val dense(stream *s, tti_val x, size_t rows, size_t cols, tti_val residual) {
    return tti_linear(s->g, x, param(s, rows, cols), TTI_NONE, residual, 1, false);
}

/* The MLPs of some blocks of unselected rows, each a region or not; the last value is kept. */
static stream build(bool chunked, bool stores) {
    stream s = {.g = tti_graph_new()};
    tti_graph_no_grad(s.g, true);
    tti_val x = tti_embed(s.g, param(&s, VOCAB, WIDTH), TTI_IN_IDS_REST, TTI_NONE);
    for (int i = 0; i < BLOCKS; i++) {
        cr_expect(!tti_graph_chunked(s.g, chunked));
        tti_val h = dense(&s, x, WIDTH, WIDTH, x);
        tti_val y = tti_rmsnorm(s.g, h, param(&s, 1, WIDTH), 1e-5f, 0, WIDTH);
        const tti_val gate = dense(&s, y, INNER, WIDTH, TTI_NONE);
        const tti_val up = dense(&s, y, INNER, WIDTH, TTI_NONE);
        y = tti_dropout(s.g, tti_glu(s.g, gate, up, TTI_ACT_SILU), 0.25f, i);
        if (stores && i == 1) {
            const tti_attr as = {.i = {TTI_BF16}};
            y = tti_emit(s.g, &tti_op_store, &y, 1, &as);
            y = tti_emit(s.g, &tti_op_load, &y, 1, &as);
        }
        x = dense(&s, y, WIDTH, INNER, h);
        tti_graph_chunked(s.g, false);
    }
    s.y = x;
    tti_graph_keep(s.g, x);
    cr_assert_eq(tti_graph_finish(s.g), TT_OK, "%s", tt_error());
    return s;
}

/* ---- the run ---- */

static int32_t ids[MAX], pos[MAX], seq[MAX];

static float *run(tti_device *d, tti_gemm *gemm, stream *s, size_t rest, size_t *bytes) {
    const tti_caps *caps = tti_device_caps(d);
    tti_rows max = {{0}};
    max.n[TTI_ROWS_REST] = MAX;
    tti_plan *plan;
    tti_exec *e;
    cl_mem mem[PARAMS];
    cr_assert_eq(tti_plan_new(&plan, s->g, &max, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&e, d, gemm, s->g, plan), TT_OK, "%s", tt_error());
    for (int p = 0; p < s->n; p++) {
        const tti_shape *shape = tti_val_shape(s->g, s->params[p]);
        float w[INNER * WIDTH];
        const size_t n = shape->n * shape->cols;
        for (size_t i = 0; i < n; i++)
            w[i] = tti_unit(tti_philox((uint32_t)i, (uint32_t)p, 0, 0, 1, 2).v[0]) - 0.5f;
        cr_assert_eq(tti_mem_new(&mem[p], d, n * sizeof *w, TTI_MEM_OTHER, false), TT_OK);
        cr_assert_eq(tti_mem_write(d, mem[p], 0, w, n * sizeof *w), TT_OK);
        cr_assert_eq(tti_device_finish(d), TT_OK);
        tti_exec_bind(e, s->params[p], mem[p]);
    }
    tti_feed feed = {
        .data = {[TTI_IN_IDS_REST] = ids, [TTI_IN_POS_REST] = pos, [TTI_IN_SEQ_REST] = seq}};
    e->training = true;
    float *y = tti_calloc(MAX * WIDTH, sizeof *y);
    for (int twice = 0; twice < 2; twice++) { /* nothing is left of a first, longer batch */
        feed.rows.n[TTI_ROWS_REST] = twice ? rest : MAX;
        cr_assert_eq(tti_exec_run(e, &feed), TT_OK, "%s", tt_error());
        cr_expect_eq(e->rows.n[TTI_ROWS_REST], feed.rows.n[TTI_ROWS_REST]);
    }
    cr_expect_eq(e->max.n[TTI_ROWS_REST], MAX);
    cr_assert_eq(tti_exec_read(e, s->y, y, rest * WIDTH), TT_OK, "%s", tt_error());
    *bytes = tti_exec_bytes(e).transient;
    cr_expect_eq(*bytes, tti_mem_allocated(d, TTI_MEM_ACTIVATIONS));
    tti_exec_free(e);
    for (int p = 0; p < s->n; p++) tti_mem_free(d, mem[p]);
    tti_plan_free(plan);
    return y;
}

static tti_device *open_device(void) {
    tti_device *d = NULL;
    if (tti_device_open(&d, NULL) == TT_OK) return d;
    cr_assert(!getenv("TT_REQUIRE_DEVICE"), "no device: %s", tt_error());
    cr_skip_test("no device: %s", tt_error());
    return NULL;
}

Test(regions, chunks_have_the_bits_of_the_whole) {
    static const size_t rows[] = {0, 1, 255, 256, 257, 700, MAX};
    tti_device *d = open_device();
    tti_gemm *gemm;
    cr_assert_eq(tti_gemm_new(&gemm, d, "tile"), TT_OK, "%s", tt_error());
    for (int i = 0; i < MAX; i++) ids[i] = i * 7 % VOCAB, pos[i] = i % 100, seq[i] = i / 100;
    for (size_t i = 0; i < TT_COUNT(rows); i++)
        for (int stores = 0; stores < 2; stores++) {
            stream whole = build(false, stores), parts = build(true, stores);
            size_t a, b;
            float *want = run(d, gemm, &whole, rows[i], &a);
            float *got = run(d, gemm, &parts, rows[i], &b);
            cr_expect(memcmp(got, want, rows[i] * WIDTH * sizeof *want) == 0, "%zu rows", rows[i]);
            cr_expect_lt(b, a / 2, "%zu bytes in chunks, %zu as a whole", b, a);
            tti_free(want);
            tti_free(got);
            tti_graph_free(whole.g);
            tti_graph_free(parts.g);
        }
    tti_gemm_free(gemm);
    tti_device_close(d);
}

/* ---- without a device ---- */

/* Values of whole streams of a region lie apart, but for one that takes over rows already read;
 * values of a chunk are of a chunk's size. */
Test(regions, places) {
    for (int stores = 0; stores < 2; stores++) {
        stream s = build(true, stores);
        tti_rows max = {{0}};
        max.n[TTI_ROWS_REST] = MAX;
        tti_plan *p;
        cr_assert_eq(tti_plan_new(&p, s.g, &max, 64, 1 << 24), TT_OK);
        for (size_t i = 0; i < tti_graph_nodes(s.g); i++) {
            const tti_node *n = tti_node_at(s.g, i);
            const tti_value *v = tti_value_at(s.g, n->out[0]);
            size_t arena, offset, bytes;
            const bool outlives = i == 0 || (i + 1 < tti_graph_nodes(s.g) &&
                                             tti_node_at(s.g, i + 1)->chunk != n->chunk);
            if (i + 1 == tti_graph_nodes(s.g)) continue; /* kept */
            cr_expect_eq(v->chunked, !outlives, "node %zu", i);
            cr_assert(tti_plan_place(p, n->out[0], &arena, &offset, &bytes));
            const size_t rows = outlives ? MAX : TTI_CHUNK_ROWS;
            cr_expect_eq(bytes, rows * tti_row_bytes(v->shape.dtype, v->shape.cols), "node %zu", i);
        }
        /* the whole streams x and, in its place, x of the next block; what exists for a chunk */
        const size_t row = sizeof(float);
        const size_t chunk = (size_t)TTI_CHUNK_ROWS * (2 * INNER + 2 * WIDTH) * row;
        cr_expect_leq(tti_plan_get_bytes(p).transient, MAX * WIDTH * row + chunk + 4096);
        tti_plan_free(p);
        tti_graph_free(s.g);
    }
}

Test(regions, only_unselected_rows_may_stand_there) {
    tti_graph *g = tti_graph_new();
    const tti_val w = tti_graph_param(g, "w", VOCAB, WIDTH, false);
    tti_graph_scope(g, "here");
    tti_graph_chunked(g, true);
    tti_val x = tti_embed(g, w, TTI_IN_IDS_SEL, TTI_NONE);
    tti_graph_chunked(g, false);
    tti_graph_keep(g, x);
    cr_expect_eq(tti_graph_finish(g), TT_E_INTERNAL);
    cr_expect(strstr(tt_error(), "embed (here.embed) stands with rows that are not REST's"), "%s",
              tt_error());
    tti_graph_free(g);
}

Test(regions, a_region_begins_each_time_it_is_switched_on) {
    tti_graph *g = tti_graph_new();
    cr_expect(!tti_graph_chunked(g, true));
    const tti_val w = tti_graph_param(g, "w", VOCAB, WIDTH, false);
    const tti_val x = tti_embed(g, w, TTI_IN_IDS_REST, TTI_NONE);
    cr_expect(tti_graph_chunked(g, true), "it was on, and goes on");
    const tti_val y = tti_add(g, x, x);
    cr_expect(tti_graph_chunked(g, false));
    cr_expect(!tti_graph_chunked(g, true));
    const tti_val z = tti_add(g, y, y);
    tti_graph_chunked(g, false);
    tti_graph_keep(g, tti_add(g, z, x));
    cr_assert_eq(tti_graph_finish(g), TT_OK, "%s", tt_error());
    const int region[] = {tti_node_at(g, 0)->chunk, tti_node_at(g, 1)->chunk,
                          tti_node_at(g, 2)->chunk, tti_node_at(g, 3)->chunk};
    cr_expect(region[0] && region[0] == region[1]);
    cr_expect(region[2] && region[2] != region[0]);
    cr_expect_eq(region[3], 0);
    for (size_t v = 0; v < tti_graph_values(g); v++) /* each is read by another region, or none */
        cr_expect(!tti_value_at(g, (tti_val)v)->chunked);
    tti_graph_free(g);
}

/* ---- random graphs, run on paper ---- */

static tt_status any_shape(tti_graph *g, tti_node *n) {
    for (int i = 0; i < n->attr.i[1]; i++)
        tti_out(g, n, i, tti_shape_rows(TTI_ROWS_REST, (size_t)(n->attr.i[0] + i)));
    return TT_OK;
}
static tt_status no_enqueue(tti_exec *e, const tti_node *n) {
    (void)e, (void)n;
    return TT_OK;
}
static const tti_op op_any = {.name = "any", .shape = any_shape, .enqueue = no_enqueue};

static uint32_t draw(uint32_t seed, uint32_t *at, uint32_t n) {
    return tti_below(tti_philox((*at)++, 0, 0, 98, seed, 0).v[0], n);
}

static tti_graph *random_graph(uint32_t seed) {
    uint32_t at = 0;
    tti_graph *g = tti_graph_new();
    tti_val made[60];
    int n = 0;
    made[n++] = tti_embed(g, tti_graph_param(g, "w", 9, 4, false), TTI_IN_IDS_REST, TTI_NONE);
    const int count = 8 + (int)draw(seed, &at, 50);
    while (n < count) {
        if (draw(seed, &at, 4) == 0) {
            tti_graph_chunked(g, false);
            tti_graph_chunked(g, draw(seed, &at, 3) > 0);
        }
        tti_val in[3];
        const int nin = 1 + (int)draw(seed, &at, 3);
        for (int i = 0; i < nin; i++) in[i] = made[n - 1 - (int)draw(seed, &at, TT_MIN(n, 6))];
        const tti_attr a = {.i = {4 + (int)draw(seed, &at, 2), 1 + (int)draw(seed, &at, 2)}};
        const tti_val v = tti_emit(g, &op_any, in, nin, &a);
        tti_producer(g, v)->reuse_in = (int)draw(seed, &at, 4) % nin;
        if (draw(seed, &at, 12) == 0) tti_graph_keep(g, v);
        made[n++] = v;
    }
    tti_graph_chunked(g, false);
    tti_graph_keep(g, made[n - 1]);
    return g;
}

enum { WORDS = 1 << 17 };
typedef struct {
    const tti_graph *g;
    const tti_plan *p;
    int32_t *word; /* what lies in each four bytes: its value and row */
    uint32_t seed;
} paper;

/* Writes or checks rows from .. from+rows-1 of v; chunked values lie from their beginning on. */
static void touch(const paper *m, tti_val v, size_t from, size_t rows, bool write) {
    size_t arena, offset, bytes;
    if (!tti_plan_place(m->p, v, &arena, &offset, &bytes)) return;
    const tti_value *x = tti_value_at(m->g, v);
    cr_assert_eq(arena, 0);
    int32_t *w = m->word + offset / 4 + (x->chunked ? 0 : from * x->shape.cols);
    for (size_t r = from; r < from + rows; r++)
        for (size_t c = 0; c < x->shape.cols; c++, w++) {
            if (write) *w = (int32_t)(v * MAX + (int)r);
            cr_assert_eq(*w, v * MAX + (int)r, "seed %u: row %zu of value %d is row %d of %d",
                         m->seed, r, v, *w % MAX, *w / MAX);
        }
}

static void run_on_paper(const paper *m, size_t rest) {
    for (size_t first = 0, end; first < tti_graph_nodes(m->g); first = end) {
        const int chunk = tti_node_at(m->g, first)->chunk;
        for (end = first; end < tti_graph_nodes(m->g); end++)
            if (tti_node_at(m->g, end)->chunk != chunk) break;
        const size_t step = chunk ? TTI_CHUNK_ROWS : rest;
        for (size_t from = 0; from < rest; from += step)
            for (size_t i = first; i < end; i++) {
                const tti_node *n = tti_node_at(m->g, i);
                const size_t rows = TT_MIN(step, rest - from);
                for (int k = 0; k < n->nin; k++) touch(m, n->in[k], from, rows, false);
                for (int k = 0; k < n->nout; k++) touch(m, n->out[k], from, rows, true);
            }
    }
}

Test(regions, nothing_is_overwritten_that_is_still_read) {
    paper m = {.word = tti_calloc(WORDS, sizeof *m.word)};
    for (m.seed = 1; m.seed <= 300; m.seed++) {
        const size_t rest = m.seed % 3 ? 700 : 200;
        tti_graph *g = random_graph(m.seed);
        cr_assert_eq(tti_graph_finish(g), TT_OK, "%s", tt_error());
        tti_rows max = {{0}};
        max.n[TTI_ROWS_REST] = rest;
        tti_plan *p;
        cr_assert_eq(tti_plan_new(&p, g, &max, 64, WORDS * 4), TT_OK, "%s", tt_error());
        m.g = g;
        m.p = p;
        run_on_paper(&m, rest);
        for (size_t v = 0; v < tti_graph_values(g); v++) { /* what is kept is there at the end */
            int from, to;
            if (tti_plan_life(p, (tti_val)v, &from, &to) && to == (int)tti_graph_nodes(g))
                touch(&m, (tti_val)v, 0, rest, false);
        }
        tti_plan_free(p);
        tti_graph_free(g);
    }
    tti_free(m.word);
}
