// SPDX-License-Identifier: Apache-2.0
/* A second executor in the buffers of a first: exactly the bytes that were foretold, and the same
 * numbers as with buffers of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "host/graph/run.h"
#include "host/ops/ops.h"

enum { COLS = 32, VOCAB = 20, SEL = 300, DEPTH = 4 };

typedef struct {
    tti_graph *g;
    tti_val table, w, y;
    tti_plan *plan;
    tti_exec *e;
} net;

/* `wide` values live at the same time beside each other; types reads a second input. */
static net build(tti_device *d, size_t rows, int wide, bool types, size_t max_alloc) {
    net n = {.g = tti_graph_new()};
    n.table = tti_graph_param(n.g, "table", VOCAB, COLS, false);
    n.w = tti_graph_param(n.g, "w", COLS, COLS, false);
    tti_val x = tti_embed(n.g, n.table, TTI_IN_IDS_SEL, TTI_NONE), side[DEPTH];
    if (types) x = tti_embed(n.g, n.table, TTI_IN_TYPE_SEL, x);
    for (int i = 0; i < wide; i++)
        side[i] = tti_linear(n.g, i ? side[i - 1] : x, n.w, TTI_NONE, TTI_NONE, 0.5f, false);
    for (int i = 0; i < wide; i++) x = tti_add(n.g, tti_scale(n.g, x, 1.5f), side[i]);
    n.y = x;
    tti_graph_keep(n.g, x);
    cr_assert_eq(tti_graph_finish(n.g), TT_OK, "%s", tt_error());
    tti_rows max = {{0}};
    max.n[TTI_ROWS_SEL] = rows;
    cr_assert_eq(tti_plan_new(&n.plan, n.g, &max, tti_device_caps(d)->align, max_alloc), TT_OK,
                 "%s", tt_error());
    return n;
}

static void release(net *n) {
    tti_exec_free(n->e);
    tti_plan_free(n->plan);
    tti_graph_free(n->g);
}

static void compute(net *n, size_t rows, cl_mem table, cl_mem w, float *y) {
    int32_t ids[SEL], types[SEL];
    for (int i = 0; i < SEL; i++) ids[i] = i * 3 % VOCAB, types[i] = i % 2;
    tti_feed feed = {.data = {[TTI_IN_IDS_SEL] = ids, [TTI_IN_TYPE_SEL] = types}};
    feed.rows.n[TTI_ROWS_SEL] = rows;
    tti_exec_bind(n->e, n->table, table);
    tti_exec_bind(n->e, n->w, w);
    cr_assert_eq(tti_exec_run(n->e, &feed), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_exec_read(n->e, n->y, y, rows * COLS), TT_OK, "%s", tt_error());
}

static size_t held(tti_device *d) {
    size_t sum = 0;
    for (int c = 0; c < TTI_MEM_CATEGORIES; c++) sum += tti_mem_allocated(d, (tti_mem_category)c);
    return sum;
}

static cl_mem numbers(tti_device *d, size_t n) {
    cl_mem m;
    float *p = tti_malloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = (float)((int)(i * 37 % 101) - 50) / 100.0f;
    cr_assert_eq(tti_mem_new(&m, d, n * sizeof *p, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_write(d, m, 0, p, n * sizeof *p), TT_OK);
    cr_assert_eq(tti_device_finish(d), TT_OK);
    tti_free(p);
    return m;
}

typedef struct {
    const char *why;
    size_t rows;
    int wide;
    bool types;
    size_t max_alloc; /* of both */
    bool fits;        /* nothing is allocated beside the first */
} shared_case;

static void check(tti_device *d, tti_gemm *gemm, const shared_case *c, cl_mem table, cl_mem w) {
    net first = build(d, 200, 2, false, c->max_alloc);
    net second = build(d, c->rows, c->wide, c->types, c->max_alloc);
    net alone = build(d, c->rows, c->wide, c->types, c->max_alloc);
    const size_t before = held(d);
    cr_assert_eq(tti_exec_new(&first.e, d, gemm, first.g, first.plan), TT_OK, "%s", tt_error());
    const tti_plan_bytes own = tti_exec_bytes(first.e);
    cr_expect_eq(held(d) - before, own.kept + own.transient + own.inputs + own.workspace);
    const size_t between = held(d);
    cr_assert_eq(tti_exec_new_shared(&second.e, first.e, second.g, second.plan), TT_OK, "%s",
                 tt_error());
    const tti_plan_bytes b = tti_plan_bytes_beside(second.plan, first.plan);
    const tti_plan_bytes got = tti_exec_bytes(second.e);
    cr_expect_eq(held(d) - between, b.kept + b.transient + b.inputs + got.workspace, "%s", c->why);
    cr_expect_eq(b.transient, got.transient, "%s", c->why);
    cr_expect_eq(b.inputs, got.inputs, "%s", c->why);
    cr_expect_eq(b.transient + b.inputs == 0, c->fits, "%s: %zu, %zu", c->why, b.transient,
                 b.inputs);
    cr_assert_eq(tti_exec_new(&alone.e, d, gemm, alone.g, alone.plan), TT_OK, "%s", tt_error());
    static float y[3][SEL * COLS];
    compute(&alone, c->rows, table, w, y[0]);
    compute(&first, 200, table, w, y[1]);
    compute(&second, c->rows, table, w, y[2]);
    cr_expect(memcmp(y[0], y[2], c->rows * COLS * sizeof(float)) == 0, "%s", c->why);
    compute(&first, 200, table, w, y[2]);
    cr_expect(memcmp(y[1], y[2], 200 * COLS * sizeof(float)) == 0, "%s: the first", c->why);
    release(&second);
    release(&alone);
    release(&first);
    cr_expect_eq(held(d), before, "%s: all is freed", c->why);
}

Test(exec_shared, bytes_and_numbers) {
    static const shared_case cases[] = {
        {"smaller", 100, 1, false, 1 << 26, true},
        {"the same", 200, 2, false, 1 << 26, true},
        {"more rows", SEL, 2, false, 1 << 26, false},
        {"another input", 200, 2, true, 1 << 26, false},
        {"more values", 200, DEPTH, false, 1 << 26, false},
        {"several arenas, smaller", 100, 2, false, 30000, true},
        {"several arenas, some of them new", 200, DEPTH, false, 30000, false},
    };
    tti_device *d = NULL;
    if (tti_device_open(&d, NULL) != TT_OK) {
        cr_assert(!getenv("TT_REQUIRE_DEVICE"), "no device: %s", tt_error());
        cr_skip_test("no device: %s", tt_error());
    }
    tti_gemm *gemm;
    cr_assert_eq(tti_gemm_new(&gemm, d, "tile"), TT_OK, "%s", tt_error());
    cl_mem table = numbers(d, VOCAB * COLS), w = numbers(d, COLS * COLS);
    for (size_t i = 0; i < TT_COUNT(cases); i++) check(d, gemm, &cases[i], table, w);
    tti_mem_free(d, table);
    tti_mem_free(d, w);
    tti_gemm_free(gemm);
    tti_device_close(d);
}
