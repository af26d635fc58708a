// SPDX-License-Identifier: Apache-2.0
/* engine.c - two graphs over one model and one cache: for pieces of many rows, and for steps of one
 * row a sequence, whose products are chosen for few rows. */
#include "host/generate/engine.h"

#include <string.h>

enum { ROWS = 512 };

/* A graph, planned and allocated. */
typedef struct {
    tti_graph *graph;
    tti_plan *plan;
    tti_exec *exec;
    tti_forward_out out;
} side;

/* The inputs of a run. */
typedef struct {
    int32_t *ids, *pos, *posid, *type, *seq, *off, *blk, *cache, *cache_row;
    size_t *piece; /* by sequence of the run: its piece, where the run ends that one, else n */
    tti_feed feed;
} layout;

struct tti_engine {
    tti_device *dev;
    tti_gemm *gemm;
    tti_model *model;
    tti_engine_opts opts;
    int att_rows;
    side many, one;
    cl_mem *cache;
    size_t ncaches, cache_bytes;
    size_t *kept, *done; /* by slot; by slot: tokens read of the piece in hand */
    int32_t *words;      /* memory of layout */
    layout in;
    float *rows; /* logits of a run that does not end all its pieces */
};

/* ---- set-up ---- */

static tt_status check_opts(tti_engine *e) {
    const tti_model_info *info = tti_model_get_info(e->model);
    tti_engine_opts *o = &e->opts;
    size_t rows;
    if (!info->decoder || info->task != TTI_TASK_CAUSAL)
        return tti_fail(TT_E_ARG, "%s: generation needs a decoder that predicts tokens",
                        info->architecture);
    if (o->slots < 1 || o->capacity < 1)
        return tti_fail(TT_E_ARG, "a cache of %zu sequences of %zu tokens: both must be 1 or more",
                        o->slots, o->capacity);
    if (info->max_len > 0 && o->capacity > (size_t)info->max_len)
        return tti_fail(TT_E_ARG, "a cache of %zu tokens: the model's context is %d tokens",
                        o->capacity, info->max_len);
    if (!tti_mul(o->slots, o->capacity, &rows) || rows > INT32_MAX)
        return tti_fail(TT_E_ARG, "a cache of %zu sequences of %zu tokens is too large", o->slots,
                        o->capacity);
    if (!o->rows) o->rows = ROWS;
    o->rows = TT_MAX(TT_MIN(o->rows, rows), o->slots);
    return TT_OK;
}

static tt_status open_side(tti_engine *e, side *x, size_t rows) {
    const tti_caps *caps = tti_device_caps(e->dev);
    const size_t a = (size_t)e->att_rows, seqs = TT_MIN(rows, e->opts.slots);
    const tti_forward_opts f = {.logits = TTI_LOGITS_LAST,
                                .cache_rows = e->opts.slots * e->opts.capacity};
    tti_rows max = {{0}};
    max.n[TTI_ROWS_SEL] = rows;
    max.n[TTI_ROWS_BLK_SEL] = TT_MIN(rows, (rows + seqs * (a - 1)) / a);
    max.n[TTI_ROWS_SEQ] = seqs;
    max.n[TTI_ROWS_SEQ1] = seqs + 1;
    if (!(x->graph = tti_graph_new())) return TT_E_NOMEM;
    TT_TRY(tti_model_forward(e->model, x->graph, &f, &x->out));
    TT_TRY(tti_graph_finish(x->graph));
    TT_TRY(tti_plan_new(&x->plan, x->graph, &max, caps->align, caps->max_alloc));
    return tti_exec_new(&x->exec, e->dev, e->gemm, x->graph, x->plan);
}

static void close_side(side *x) {
    tti_exec_free(x->exec);
    tti_plan_free(x->plan);
    tti_graph_free(x->graph);
}

static tt_status make_cache(tti_engine *e) {
    const tti_rows none = {{0}};
    const tti_shape *s = tti_val_shape(e->one.graph, e->one.out.cache);
    const size_t bytes = tti_shape_bytes(s, &none);
    e->ncaches = 2 * (size_t)tti_model_get_info(e->model)->layers;
    e->cache_bytes = bytes * e->ncaches;
    e->cache = tti_calloc(e->ncaches, sizeof *e->cache);
    if (!e->cache) return TT_E_NOMEM;
    for (size_t i = 0; i < e->ncaches; i++) {
        const tt_status s_new =
            tti_mem_new(&e->cache[i], e->dev, bytes, TTI_MEM_ACTIVATIONS, false);
        if (s_new != TT_OK)
            return tti_fail_in(s_new,
                               "keeping keys and values of %zu x %zu tokens (%.1f MiB; fewer at "
                               "once, or shorter ones, need less)",
                               e->opts.slots, e->opts.capacity, (double)e->cache_bytes / (1 << 20));
    }
    return TT_OK;
}

static tt_status bind(tti_engine *e, side *x) {
    TT_TRY(tti_model_bind(e->model, x->graph, x->exec));
    for (size_t i = 0; i < e->ncaches; i++)
        tti_exec_bind(x->exec, x->out.cache + (tti_val)i, e->cache[i]);
    return TT_OK;
}

static tt_status make_layout(tti_engine *e) {
    const size_t r = e->opts.rows, s = e->opts.slots;
    layout *in = &e->in;
    e->words = tti_calloc(11 * r + 3 * s + 1, sizeof *e->words);
    in->piece = tti_calloc(s, sizeof *in->piece);
    e->kept = tti_calloc(s, sizeof *e->kept);
    e->done = tti_calloc(s, sizeof *e->done);
    e->rows = tti_malloc(s * tti_engine_vocab(e) * sizeof *e->rows);
    if (!e->words || !in->piece || !e->kept || !e->done || !e->rows) return TT_E_NOMEM;
    int32_t *at = e->words;
    int32_t **const list[] = {&in->ids,       &in->pos, &in->posid, &in->type, &in->seq,
                              &in->cache_row, &in->blk, &in->off,   &in->cache};
    const size_t size[] = {r, r, r, r, r, r, 4 * r, s + 1, 2 * s};
    for (size_t i = 0; i < TT_COUNT(list); i++) {
        *list[i] = at;
        at += size[i];
    }
    in->feed.data[TTI_IN_IDS_SEL] = in->ids;
    in->feed.data[TTI_IN_POS_SEL] = in->pos;
    in->feed.data[TTI_IN_POSID_SEL] = in->posid;
    in->feed.data[TTI_IN_TYPE_SEL] = in->type;
    in->feed.data[TTI_IN_SEQ_SEL] = in->seq;
    in->feed.data[TTI_IN_OFF_SEL] = in->off;
    in->feed.data[TTI_IN_BLK_SEL] = in->blk;
    in->feed.data[TTI_IN_CACHE] = in->cache;
    in->feed.data[TTI_IN_CACHE_ROW] = in->cache_row;
    return TT_OK;
}

tt_status tti_engine_new(tti_engine **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                         const tti_engine_opts *o) {
    tti_engine *e = tti_calloc(1, sizeof *e);
    if (!e) return TT_E_NOMEM;
    *e = (tti_engine){.dev = d, .gemm = gemm, .model = model, .opts = *o};
    e->att_rows = tti_device_caps(d)->att_rows;
    tt_status s;
    TT_GO(check_opts(e));
    TT_GO(open_side(e, &e->one, e->opts.slots));
    TT_GO(make_cache(e));
    TT_GO(open_side(e, &e->many, e->opts.rows));
    TT_GO(bind(e, &e->one));
    TT_GO(bind(e, &e->many));
    TT_GO(make_layout(e));
    *out = e;
    return TT_OK;
done:
    tti_engine_free(e);
    return s;
}

void tti_engine_free(tti_engine *e) {
    if (!e) return;
    tti_device_finish(e->dev); /* what is enqueued still uses the buffers */
    close_side(&e->many);
    close_side(&e->one);
    for (size_t i = 0; e->cache && i < e->ncaches; i++) tti_mem_free(e->dev, e->cache[i]);
    tti_free(e->cache);
    tti_free(e->words);
    tti_free(e->in.piece);
    tti_free(e->kept);
    tti_free(e->done);
    tti_free(e->rows);
    tti_free(e);
}

tti_engine_opts tti_engine_get_opts(const tti_engine *e) { return e->opts; }
size_t tti_engine_vocab(const tti_engine *e) { return (size_t)tti_model_get_info(e->model)->vocab; }
size_t tti_engine_cache_bytes(const tti_engine *e) { return e->cache_bytes; }
size_t tti_engine_kept(const tti_engine *e, size_t slot) { return e->kept[slot]; }
void tti_engine_forget(tti_engine *e, size_t slot, size_t n) {
    e->kept[slot] = TT_MIN(e->kept[slot], n);
}

/* ---- a run ---- */

static tt_status check_pieces(const tti_engine *e, const tti_piece *p, size_t n) {
    const int vocab = tti_model_get_info(e->model)->vocab;
    if (n > e->opts.slots) return tti_fail(TT_E_ARG, "%zu pieces for %zu slots", n, e->opts.slots);
    for (size_t i = 0; i < n; i++) {
        if (p[i].slot >= e->opts.slots || p[i].n < 1)
            return tti_fail(TT_E_ARG, "a piece of %zu tokens for slot %zu of %zu", p[i].n,
                            p[i].slot, e->opts.slots);
        if (p[i].n > e->opts.capacity - e->kept[p[i].slot])
            return tti_fail(TT_E_ARG, "%zu tokens behind %zu: the cache holds %zu", p[i].n,
                            e->kept[p[i].slot], e->opts.capacity);
        for (size_t k = 0; k < p[i].n; k++)
            if (p[i].ids[k] < 0 || p[i].ids[k] >= vocab)
                return tti_fail(TT_E_DATA,
                                "token id %d: the model has %d; the tokenizer belongs to "
                                "another model",
                                (int)p[i].ids[k], vocab);
    }
    return TT_OK;
}

/* The next `rows` tokens of a piece. */
static void add_rows(tti_engine *e, const tti_piece *p, size_t rows) {
    const tti_model_info *info = tti_model_get_info(e->model);
    layout *in = &e->in;
    size_t *n = in->feed.rows.n;
    const size_t b = n[TTI_ROWS_SEQ]++, a = (size_t)e->att_rows;
    const size_t first = p->slot * e->opts.capacity, kept = e->kept[p->slot];
    in->cache[2 * b] = (int32_t)first;
    in->cache[2 * b + 1] = (int32_t)(first + kept);
    for (size_t i = 0; i < rows; i++) {
        const size_t r = n[TTI_ROWS_SEL]++;
        in->ids[r] = p->ids[e->done[p->slot] + i];
        in->pos[r] = (int32_t)(kept + i);
        in->posid[r] = info->posid_offset + in->pos[r];
        in->seq[r] = (int32_t)b;
        in->cache_row[r] = (int32_t)(first + kept + i);
        if (i % a) continue;
        int32_t *k = in->blk + 4 * n[TTI_ROWS_BLK_SEL]++;
        k[0] = (int32_t)r;
        k[1] = (int32_t)TT_MIN(a, rows - i);
        k[2] = (int32_t)b;
    }
    in->off[b + 1] = (int32_t)n[TTI_ROWS_SEL];
}

/* As many rows as fit of the pieces that are not done, in order; how many pieces end with them. */
static size_t lay_out(tti_engine *e, const tti_piece *p, size_t n) {
    layout *in = &e->in;
    size_t *count = in->feed.rows.n, ends = 0;
    memset(&in->feed.rows, 0, sizeof in->feed.rows);
    for (size_t i = 0; i < n && count[TTI_ROWS_SEL] < e->opts.rows; i++) {
        const size_t left = p[i].n - e->done[p[i].slot];
        const size_t rows = TT_MIN(left, e->opts.rows - count[TTI_ROWS_SEL]);
        if (!rows) continue;
        in->piece[count[TTI_ROWS_SEQ]] = rows == left ? i : n;
        ends += rows == left;
        add_rows(e, &p[i], rows);
        e->done[p[i].slot] += rows;
        e->kept[p[i].slot] += rows;
    }
    count[TTI_ROWS_SEQ1] = count[TTI_ROWS_SEQ] + 1;
    return ends;
}

static tt_status run_once(tti_engine *e, const tti_piece *p, size_t n, float *logits) {
    const size_t vocab = tti_engine_vocab(e), ends = lay_out(e, p, n);
    const size_t seqs = e->in.feed.rows.n[TTI_ROWS_SEQ];
    const side *x = e->in.feed.rows.n[TTI_ROWS_SEL] == seqs ? &e->one : &e->many;
    TT_TRY(tti_exec_run(x->exec, &e->in.feed));
    if (!ends) return TT_OK;
    /* All pieces in one run: their logits lie as they are wanted. */
    const bool whole = ends == n;
    TT_TRY(tti_exec_read(x->exec, x->out.logits, whole ? logits : e->rows, seqs * vocab));
    for (size_t b = 0; b < seqs && !whole; b++)
        if (e->in.piece[b] < n)
            memcpy(logits + e->in.piece[b] * vocab, e->rows + b * vocab, vocab * sizeof *logits);
    return TT_OK;
}

tt_status tti_engine_run(tti_engine *e, const tti_piece *p, size_t n, float *logits) {
    TT_TRY(check_pieces(e, p, n));
    for (size_t i = 0; i < n; i++) e->done[p[i].slot] = 0;
    for (size_t i = 0; i < n;) {
        if (e->done[p[i].slot] == p[i].n)
            i++;
        else
            TT_TRY(run_once(e, p, n, logits));
    }
    return TT_OK;
}
