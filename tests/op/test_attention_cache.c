// SPDX-License-Identifier: Apache-2.0
/* test_attention_cache.c - attention over kept keys and values, and their keeping: the cached form
 * of host/ops/attention.c with cl/attention_step.cl, and host/ops/cache_append.c. Sequences grow in
 * runs of several rows and of one; each run is compared with attention over all rows so far. */
#include "tests/op/support_op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQS = 3, SLOTS = 4, CAPACITY = 90, MOST = 56 };

/* Rows that each sequence gets in each run; 0: it is not in the run. */
static const int runs[][SEQS] = {{5, 1, 33}, {12, 40, 0}, {1, 1, 1},
                                 {0, 1, 1},  {1, 0, 0},   {2, 1, 9}};
static const int slot_of[SEQS] = {2, 0, 3};

typedef struct {
    const char *why;
    tti_attention_opts o;
} cache_case;

static const cache_case cases[] = {
    {"plain", {2, 2, 12, 0.29f, .causal = true, .cached = true}},
    {"grouped heads, wide", {4, 2, 64, 0.125f, .causal = true, .cached = true}},
    {"window, one key head, soft cap",
     {3, 1, 5, 0.5f, .causal = true, .cached = true, .window = 7, .softcap = 1.5f}},
};

/* Row pos of sequence s: what of q (0), k (1), v (2). */
static float value(int s, int pos, int what, int col) {
    const uint32_t row = (uint32_t)(s * CAPACITY + pos);
    return 2 * td_random(row * 1024u + (uint32_t)col, (uint32_t)what + 1);
}

static double expected(const tti_attention_opts *o, int s, int pos, int h, int col) {
    double p[CAPACITY], top = -INFINITY, sum = 0, y = 0;
    const int kh = h / (o->heads / o->kv_heads), d = o->head_dim;
    const int first = o->window ? TT_MAX(0, pos - o->window + 1) : 0;
    for (int j = first; j <= pos; j++) {
        p[j] = 0;
        for (int c = 0; c < d; c++)
            p[j] += (double)value(s, pos, 0, h * d + c) * (double)value(s, j, 1, kh * d + c);
        p[j] *= (double)o->scale;
        if (o->softcap > 0) p[j] = (double)o->softcap * tanh(p[j] / (double)o->softcap);
        top = fmax(top, p[j]);
    }
    for (int j = first; j <= pos; j++) sum += p[j] = exp(p[j] - top);
    for (int j = first; j <= pos; j++) y += p[j] / sum * (double)value(s, j, 2, kh * d + col);
    return y;
}

/* A graph with its plan; the caches and the tables of rows are shared by both. */
typedef struct {
    tti_graph *g;
    tti_plan *plan;
    tti_exec *e;
    tti_val table[3], cache[2], y;
} side;

static void build(side *x, td_env *env, const cache_case *c, const tti_rows *max) {
    const tti_attention_opts *o = &c->o;
    static const char *const names[] = {"q", "k", "v", "kept k", "kept v"};
    const size_t kv = (size_t)(o->kv_heads * o->head_dim);
    tti_val row[3];
    x->g = tti_graph_new();
    cr_assert_not_null(x->g);
    for (int i = 0; i < 3; i++) {
        const size_t cols = i ? kv : (size_t)(o->heads * o->head_dim);
        x->table[i] = tti_graph_param(x->g, names[i], MOST, cols, false);
        row[i] = tti_embed(x->g, x->table[i], TTI_IN_IDS_SEL, TTI_NONE);
    }
    for (int i = 0; i < 2; i++)
        x->cache[i] =
            tti_graph_accumulator(x->g, names[3 + i], tti_shape_const(SLOTS * CAPACITY, kv));
    x->y = tti_attention(x->g, row[0], row[1], row[2], x->cache[0], x->cache[1], o);
    tti_cache_append(x->g, row[1], row[2], x->cache[0], x->cache[1]);
    tti_graph_keep(x->g, x->y);
    cr_assert_eq(tti_graph_finish(x->g), TT_OK, "%s: %s", c->why, tt_error());
    const tti_caps *caps = tti_device_caps(env->d);
    cr_assert_eq(tti_plan_new(&x->plan, x->g, max, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&x->e, env->d, env->gemm, x->g, x->plan), TT_OK, "%s", tt_error());
}

static cl_mem memory(td_env *env, size_t count, float with) {
    float *p = malloc(count * sizeof *p);
    cl_mem m = NULL;
    for (size_t i = 0; i < count; i++) p[i] = with;
    cr_assert_eq(tti_mem_new(&m, env->d, count * sizeof *p, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_write(env->d, m, 0, p, count * sizeof *p), TT_OK);
    free(p);
    return m;
}

typedef struct {
    int32_t ids[MOST], pos[MOST], off[SEQS + 1], blk[4 * MOST], cache[2 * SEQS], to[MOST];
    int32_t seq[MOST];
    tti_feed feed;
} layout;

static void lay_out(layout *l, const int *rows, const int *kept, int att_rows) {
    size_t *n = l->feed.rows.n;
    memset(l, 0, sizeof *l);
    for (int s = 0; s < SEQS; s++) {
        if (!rows[s]) continue;
        const int b = (int)n[TTI_ROWS_SEQ]++;
        l->cache[2 * b] = slot_of[s] * CAPACITY;
        l->cache[2 * b + 1] = slot_of[s] * CAPACITY + kept[s];
        for (int r = 0; r < rows[s]; r++) {
            const size_t at = n[TTI_ROWS_SEL]++;
            l->ids[at] = (int32_t)at;
            l->pos[at] = kept[s] + r;
            l->seq[at] = s;
            l->to[at] = slot_of[s] * CAPACITY + kept[s] + r;
            if (r % att_rows) continue;
            int32_t *k = l->blk + 4 * n[TTI_ROWS_BLK_SEL]++;
            k[0] = (int32_t)at, k[1] = TT_MIN(att_rows, rows[s] - r), k[2] = b;
        }
        l->off[b + 1] = (int32_t)n[TTI_ROWS_SEL];
    }
    n[TTI_ROWS_SEQ1] = n[TTI_ROWS_SEQ] + 1;
    l->feed.data[TTI_IN_IDS_SEL] = l->ids;
    l->feed.data[TTI_IN_POS_SEL] = l->pos;
    l->feed.data[TTI_IN_OFF_SEL] = l->off;
    l->feed.data[TTI_IN_BLK_SEL] = l->blk;
    l->feed.data[TTI_IN_CACHE] = l->cache;
    l->feed.data[TTI_IN_CACHE_ROW] = l->to;
}

/* The rows of a run, into the tables that the graph looks them up in. */
static void put_rows(td_env *env, const cache_case *c, const layout *l, cl_mem const table[3]) {
    for (int i = 0; i < 3; i++) {
        const int cols = (i ? c->o.kv_heads : c->o.heads) * c->o.head_dim;
        const size_t n = l->feed.rows.n[TTI_ROWS_SEL];
        float *p = malloc(n * (size_t)cols * sizeof *p);
        for (size_t r = 0; r < n; r++)
            for (int k = 0; k < cols; k++)
                p[r * (size_t)cols + (size_t)k] = value(l->seq[r], l->pos[r], i, k);
        cr_assert_eq(tti_mem_write(env->d, table[i], 0, p, n * (size_t)cols * sizeof *p), TT_OK);
        free(p);
    }
}

static void compare(const cache_case *c, const side *x, const layout *l, size_t run) {
    const tti_attention_opts *o = &c->o;
    const int cols = o->heads * o->head_dim;
    const size_t n = l->feed.rows.n[TTI_ROWS_SEL];
    float *y = malloc(n * (size_t)cols * sizeof *y);
    cr_assert_eq(tti_exec_read(x->e, x->y, y, n * (size_t)cols), TT_OK, "%s", tt_error());
    size_t wrong = 0;
    for (size_t r = 0; r < n; r++)
        for (int k = 0; k < cols; k++) {
            const double want = expected(o, l->seq[r], l->pos[r], k / o->head_dim, k % o->head_dim);
            const double got = (double)y[r * (size_t)cols + (size_t)k];
            if (!(fabs(got - want) <= 3e-6 * (1 + fabs(want))) && !wrong++)
                cr_expect(false, "%s, run %zu: sequence %d, position %d, column %d: %g, not %g",
                          c->why, run, (int)l->seq[r], (int)l->pos[r], k, got, want);
        }
    cr_expect_eq(wrong, 0, "%s, run %zu: %zu wrong", c->why, run, wrong);
    free(y);
}

static void check(td_env *env, const cache_case *c) {
    const int att_rows = tti_device_caps(env->d)->att_rows;
    const size_t kv = (size_t)(c->o.kv_heads * c->o.head_dim);
    const size_t q = (size_t)(c->o.heads * c->o.head_dim);
    cl_mem table[3], cache[2];
    side many, one;
    int kept[SEQS] = {0};
    layout l;
    tti_rows max = {{0}};
    max.n[TTI_ROWS_SEL] = max.n[TTI_ROWS_BLK_SEL] = MOST * 2;
    max.n[TTI_ROWS_SEQ] = SEQS, max.n[TTI_ROWS_SEQ1] = SEQS + 1;
    build(&many, env, c, &max);
    max.n[TTI_ROWS_SEL] = max.n[TTI_ROWS_BLK_SEL] = SEQS;
    build(&one, env, c, &max);
    for (int i = 0; i < 3; i++) table[i] = memory(env, (MOST + 8) * (i ? kv : q), NAN);
    for (int i = 0; i < 2; i++) cache[i] = memory(env, SLOTS * CAPACITY * kv, NAN);
    for (int i = 0; i < 5; i++) {
        tti_exec_bind(many.e, i < 3 ? many.table[i] : many.cache[i - 3],
                      i < 3 ? table[i] : cache[i - 3]);
        tti_exec_bind(one.e, i < 3 ? one.table[i] : one.cache[i - 3],
                      i < 3 ? table[i] : cache[i - 3]);
    }
    for (size_t r = 0; r < TT_COUNT(runs); r++) {
        lay_out(&l, runs[r], kept, att_rows);
        put_rows(env, c, &l, table);
        const bool single = l.feed.rows.n[TTI_ROWS_SEL] == l.feed.rows.n[TTI_ROWS_SEQ];
        side *x = single ? &one : &many;
        cr_assert_eq(tti_exec_run(x->e, &l.feed), TT_OK, "%s: %s", c->why, tt_error());
        compare(c, x, &l, r);
        for (int s = 0; s < SEQS; s++) kept[s] += runs[r][s];
    }
    side *both[] = {&many, &one};
    for (int i = 0; i < 2; i++) {
        tti_exec_free(both[i]->e);
        tti_plan_free(both[i]->plan);
        tti_graph_free(both[i]->g);
        tti_mem_free(env->d, cache[i]);
    }
    for (int i = 0; i < 3; i++) tti_mem_free(env->d, table[i]);
}

Test(attention_cache, rows_see_what_was_kept) {
    static const int shapes[][2] = {{1, 16}, {1, 8}, {64, 4}, {64, 1}};
    td_env env = td_open();
    const tti_caps own = *tti_device_caps(env.d);
    for (size_t s = 0; s < TT_COUNT(shapes); s++)
        for (size_t i = 0; i < TT_COUNT(cases); i++) {
            td_shape(env.d, shapes[s][0], shapes[s][1]);
            check(&env, &cases[i]);
        }
    *(tti_caps *)(uintptr_t)tti_device_caps(env.d) = own;
    td_close(&env);
}

Test(attention_cache, what_does_not_fit) {
    static const struct {
        tti_attention_opts o;
        size_t cols;
        const char *part;
    } bad[] = {
        {{2, 2, 4, 1.0f, .cached = true}, 8, "causal"},
        {{2, 2, 4, 1.0f, .cached = true, .causal = true, .dropout = 0.1f}, 8, "dropout"},
        {{2, 2, 4, 1.0f, .cached = true, .causal = true}, 6, "caches are"},
    };
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        tti_graph *g = tti_graph_new();
        tti_val t = tti_graph_param(g, "t", 4, 8, false);
        tti_val x = tti_embed(g, t, TTI_IN_IDS_SEL, TTI_NONE);
        tti_val c = tti_graph_accumulator(g, "c", tti_shape_const(16, bad[i].cols));
        tti_attention(g, x, x, x, c, c, &bad[i].o);
        td_expect_error(g, i == 2 ? TT_E_SHAPE : TT_E_ARG, bad[i].part);
        tti_graph_free(g);
    }
}
