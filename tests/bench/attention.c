// SPDX-License-Identifier: Apache-2.0
/* attention.c - speed of the attention op alone, forwards for both streams and backwards:
 *   bench_attention [sequences length selected heads kv_heads head_dim causal dropout]
 * GFLOP/s count useful products only (each pair of rows that sees the other: 4 head_dim a head
 * forwards; 6 backwards, 4 more where the key is selected). attention.py does the same in torch. */
#include "host/core/philox.h"
#include "host/graph/run.h"
#include "host/ops/ops.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 64, REPEAT = 20 }; /* rows of the tables that q, k, v are read from */

typedef struct {
    int seqs, length, selected, heads, kv_heads, dim, causal;
    float dropout;
} setting;

static tti_feed make_feed(const setting *t, int att_rows) {
    tti_feed f = {0};
    const size_t room = (size_t)t->seqs * (size_t)t->length * 4 + 8;
    int32_t *in[TTI_IN_COUNT];
    for (int i = 0; i < TTI_IN_COUNT; i++) f.data[i] = in[i] = calloc(room, sizeof(int32_t));
    size_t *n = f.rows.n;
    for (int s = 0; s < t->seqs; s++) {
        size_t first[2] = {n[TTI_ROWS_SEL], n[TTI_ROWS_REST]};
        int left = t->selected;
        for (int pos = 0; pos < t->length; pos++) {
            const uint32_t r = tti_philox((uint32_t)pos, (uint32_t)s, 0, 0, 1, 2).v[0];
            const int st = (int)tti_below(r, (uint32_t)(t->length - pos)) >= left;
            const size_t row = n[TTI_ROWS_SEL + st]++;
            left -= !st;
            in[TTI_IN_IDS_SEL + st][row] = (int32_t)(r % TOKENS);
            in[TTI_IN_POS_SEL + st][row] = pos;
            in[TTI_IN_SEQ_SEL + st][row] = s;
        }
        for (int st = 0; st < 2; st++) {
            const size_t end = n[TTI_ROWS_SEL + st];
            in[TTI_IN_OFF_SEL + st][s + 1] = (int32_t)end;
            for (size_t r = first[st]; r < end; r += (size_t)att_rows) {
                int32_t *b = in[TTI_IN_BLK_SEL + st] + 4 * n[TTI_ROWS_BLK_SEL + st]++;
                b[0] = (int32_t)r;
                b[1] = (int32_t)TT_MIN((size_t)att_rows, end - r);
                b[2] = s;
            }
        }
    }
    n[TTI_ROWS_SEQ] = (size_t)t->seqs;
    n[TTI_ROWS_SEQ1] = (size_t)t->seqs + 1;
    return f;
}

static tti_val rows_of(tti_graph *g, tti_val table, tti_input ids) {
    const tti_val v = tti_embed(g, table, ids, TTI_NONE);
    tti_graph_keep(g, v); /* its memory stays its own while one op is repeated */
    return v;
}

static tti_graph *build(const setting *t) {
    tti_graph *g = tti_graph_new();
    if (!g) return NULL;
    const size_t width = (size_t)(t->heads * t->dim), kv = (size_t)(t->kv_heads * t->dim);
    const tti_val tq = tti_graph_param(g, "q", TOKENS, width, true);
    const tti_val tk = tti_graph_param(g, "k", TOKENS, kv, true);
    const tti_val tv = tti_graph_param(g, "v", TOKENS, kv, true);
    tti_attention_opts o = {.heads = t->heads,
                            .kv_heads = t->kv_heads,
                            .head_dim = t->dim,
                            .scale = 0.5f,
                            .causal = t->causal != 0,
                            .dropout = t->dropout};
    const tti_val q = rows_of(g, tq, TTI_IN_IDS_SEL);
    const tti_val k = rows_of(g, tk, TTI_IN_IDS_SEL), v = rows_of(g, tv, TTI_IN_IDS_SEL);
    tti_graph_no_grad(g, true);
    const tti_val dy = rows_of(g, tq, TTI_IN_IDS_SEL);
    tti_val kr = TTI_NONE, vr = TTI_NONE;
    if (t->selected < t->length) {
        kr = rows_of(g, tk, TTI_IN_IDS_REST), vr = rows_of(g, tv, TTI_IN_IDS_REST);
        o.query_rest = true;
        tti_graph_keep(g, tti_attention(g, rows_of(g, tq, TTI_IN_IDS_REST), k, v, kr, vr, &o));
        o.query_rest = false;
    }
    tti_graph_no_grad(g, false);
    const tti_val y = tti_attention(g, q, k, v, kr, vr, &o);
    tti_graph_keep(g, y);
    tti_graph_keep(g, tti_emit_out(g, y, 1));
    tti_grad_set(g, y, dy);
    tti_graph_backward(g);
    const tti_val x[] = {q, k, v};
    for (int i = 0; i < 3; i++) tti_graph_keep(g, tti_grad_of(g, x[i]));
    tti_graph_finish(g);
    return g;
}

static tt_status bind(tti_exec *e, tti_device *d) {
    for (size_t v = 0; v < tti_graph_values(e->graph); v++) {
        const tti_value *p = tti_value_at(e->graph, (tti_val)v);
        if (p->kind != TTI_VALUE_PARAM && p->kind != TTI_VALUE_GRAD) continue;
        const size_t n = tti_shape_count(&p->shape, &e->max) * p->shape.cols;
        float *x = tti_malloc(n * sizeof *x);
        if (!x) return TT_E_NOMEM;
        for (size_t i = 0; i < n; i++)
            x[i] = 2 * tti_unit(tti_philox((uint32_t)i, (uint32_t)v, 0, 0, 1, 2).v[0]) - 1;
        cl_mem m;
        TT_TRY(tti_mem_new(&m, d, n * sizeof *x, TTI_MEM_OTHER, false));
        TT_TRY(tti_mem_write(d, m, 0, x, n * sizeof *x));
        TT_TRY(tti_device_finish(d));
        tti_exec_bind(e, (tti_val)v, m); /* freed with the process */
        tti_free(x);
    }
    return TT_OK;
}

static tt_status measure(tti_exec *e, tti_device *d) {
    for (size_t i = 0; i < tti_graph_nodes(e->graph); i++) {
        const tti_node *n = tti_node_at(e->graph, i);
        if (strncmp(n->op->name, "attention", 9) != 0) continue;
        double best = 1e9, sum = 0;
        for (int r = 0; r < REPEAT; r++) {
            const double start = tti_now();
            TT_TRY(n->op->enqueue(e, n));
            TT_TRY(tti_device_finish(d));
            const double s = tti_now() - start;
            best = TT_MIN(best, s), sum += s;
        }
        const double flops = n->op->flops(e->graph, n, &e->rows);
        printf("%-14s %-5s best %8.3f ms, mean %8.3f ms, %7.1f GFLOP/s\n", n->op->name,
               tti_val_shape(e->graph, n->in[0])->kind == TTI_ROWS_REST ? "REST" : "SEL",
               best * 1e3, sum / REPEAT * 1e3, flops / best * 1e-9);
    }
    return TT_OK;
}

static tt_status bench(const setting *t) {
    tti_device *d;
    tti_plan *plan;
    tti_exec *e;
    TT_TRY(tti_device_open(&d, NULL));
    const tti_caps *caps = tti_device_caps(d);
    tti_feed feed = make_feed(t, caps->att_rows);
    tti_graph *g = build(t);
    if (!g || tti_graph_status(g) != TT_OK) return g ? tti_graph_status(g) : TT_E_NOMEM;
    TT_TRY(tti_plan_new(&plan, g, &feed.rows, caps->align, caps->max_alloc));
    TT_TRY(tti_exec_new(&e, d, NULL, g, plan));
    TT_TRY(bind(e, d));
    e->training = true;
    TT_TRY(tti_exec_run(e, &feed));
    TT_TRY(tti_device_finish(d));
    printf("%s\n", tti_device_key(d));
    return measure(e, d);
}

int main(int argc, char **argv) {
    setting t = {8, 256, 77, 12, 12, 32, 0, 0};
    int *const number[] = {&t.seqs,     &t.length, &t.selected, &t.heads,
                           &t.kv_heads, &t.dim,    &t.causal};
    for (int i = 1; i < argc && i <= 7; i++) *number[i - 1] = (int)strtol(argv[i], NULL, 10);
    if (argc > 8) t.dropout = strtof(argv[8], NULL);
    if (t.selected < 1 || t.selected > t.length || t.seqs < 1) {
        fprintf(stderr, "selected must be 1 to length\n");
        return 2;
    }
    if (bench(&t) == TT_OK) return 0;
    fprintf(stderr, "%s\n", tt_error());
    return 1;
}
