// SPDX-License-Identifier: Apache-2.0
/* attention.c - softmax attention over both streams, and its gradients; kernels cl/attention*.cl.
 * On CPUs one kernel does dq, dk and dv by sequence and key head; on GPUs, and where there are too
 * few sequences and heads to go round, dq goes by blocks of queries and then dk, dv by blocks of
 * keys. Sequences of one new row each, behind a cache, have a kernel of their own. */
#include "host/ops/ops.h"
#include "host/core/philox.h"

#include <math.h>

/* Inputs; BLK, QPOS, QSEQ are the query stream's, QSEQ NONE without dropout, KR, VR, RPOS, ROFF
 * NONE without REST rows. With a cache KR, VR are it, RPOS NONE, ROFF pairs of first row and end.
 */
enum { Q, KS, VS, KR, VR, BLK, QPOS, QSEQ, SPOS, RPOS, SOFF, ROFF, INPUTS };
enum { LSE = INPUTS, O, DO, INPUTS_BWD }; /* of the gradient, beside those */
enum {
    HEADS,
    KV_HEADS,
    DIM,
    CAUSAL,
    WINDOW,
    SITE,
    WANT,
    CACHED
};                                /* attr.i; WANT: of the gradient */
enum { SCALE, DROPOUT, SOFTCAP }; /* attr.f */
enum {
    WANT_DQ = 1,
    WANT_DK = 2,
    WANT_DV = 4
}; /* outputs in this order, those not wanted left out */

/* ---- kernels ---- */

typedef struct {
    size_t wg, heads, kv_heads;
    char defines[480];
} launch_shape;

/* The defines of cl/attention.clh; the block of a CPU is one work-item's att_rows / vw vectors,
 * that of a GPU one row a work-item. want: gradients. */
static void shape_kernels(launch_shape *s, const tti_exec *e, const tti_node *n, int want) {
    const tti_caps *c = e->caps;
    const int *i = n->attr.i, dim = i[DIM];
    const int vw = c->cpu ? c->vw : 1, wg = c->cpu ? 1 : c->att_rows;
    const int nq = c->cpu ? TT_MAX(1, c->att_rows / vw) : 1;
    const int group = c->cpu && vw < 16 ? 4 : 8; /* accumulators of group * nq vectors stay in
                                                    registers: 32 with AVX-512, else 16 */
    int cw = vw;
    while (dim % cw) cw /= 2;
    /* In 65536ths, not rounded down to none; what is kept grows by as much, so the mean stays. */
    const double share = e->training ? (double)n->attr.f[DROPOUT] : 0.0;
    const double drop = share > 0 ? fmin(fmax(rint(share * 0x1p16), 1), 65535) : 0.0;
    s->wg = (size_t)wg;
    s->heads = (size_t)i[HEADS];
    s->kv_heads = (size_t)i[KV_HEADS];
    int at = snprintf(s->defines, sizeof s->defines,
                      "-DWG=%d -DVW=%d -DNQ=%d -DKB=%d -DKG=%d -DCW=%d -DDH=%d -DHEADS=%d -DKVH=%d"
                      " -DSCALE=%.9ef -DCAUSAL=%d -DWINDOW=%d -DDROP=%uu"
                      " -DKEEP=%.9ef",
                      wg, vw, nq, c->cpu ? 32 : group, group, cw, dim, i[HEADS], i[KV_HEADS],
                      (double)n->attr.f[SCALE], i[CAUSAL], i[WINDOW], (unsigned)drop,
                      65536.0 / (65536.0 - drop));
    if (i[CACHED]) at += snprintf(s->defines + at, sizeof s->defines - (size_t)at, " -DCACHED=1");
    if (n->attr.f[SOFTCAP] > 0)
        at += snprintf(s->defines + at, sizeof s->defines - (size_t)at, " -DSOFTCAP=1 -DCAP=%.9ef",
                       (double)n->attr.f[SOFTCAP]);
    if (want)
        at += snprintf(s->defines + at, sizeof s->defines - (size_t)at,
                       " -DWANT_DQ=%d -DWANT_DK=%d -DWANT_DV=%d", (want & WANT_DQ) != 0,
                       (want & WANT_DK) != 0, (want & WANT_DV) != 0);
    TT_ASSERT((size_t)at < sizeof s->defines);
}

static void args(tti_launch *k, const tti_exec *e, const tti_node *n, const int *which) {
    for (; *which >= 0; which++) tti_arg_mem(k, tti_x_mem(e, n->in[*which]));
}

/* groups x heads work-groups, after the dropout key as last arguments */
static tt_status launch(tti_launch *k, const tti_exec *e, const tti_node *n, size_t groups,
                        size_t heads, size_t wg) {
    tti_arg_u32(k, e->seed);
    tti_arg_u32(k, e->step);
    tti_arg_u32(k, TTI_STREAM_DROPOUT + 16 * (uint32_t)n->attr.i[SITE]);
    return tti_run(k, 2, (size_t[]){groups * wg, heads}, (size_t[]){wg, 1});
}

static tt_status run_step(tti_exec *e, const tti_node *n) {
    static const int order[] = {Q, KS, VS, KR, VR, BLK, QPOS, ROFF, -1};
    launch_shape s;
    shape_kernels(&s, e, n, 0);
    tti_launch k = tti_kernel(e->dev, "attention_step", "attention_step", s.defines);
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    args(&k, e, n, order);
    return tti_run(&k, 2, (size_t[]){tti_x_rows(e, n->in[BLK]) * s.wg, s.heads},
                   (size_t[]){s.wg, 1});
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    if (n->attr.i[CACHED] && e->max.n[TTI_ROWS_SEL] <= e->max.n[TTI_ROWS_SEQ])
        return run_step(e, n);
    static const int order[] = {Q, KS, VS, KR, VR, BLK, QPOS, QSEQ, SPOS, RPOS, SOFF, ROFF, -1};
    launch_shape s;
    shape_kernels(&s, e, n, 0);
    tti_launch k = tti_kernel(e->dev, "attention", "attention_fwd", s.defines);
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[1]));
    args(&k, e, n, order);
    return launch(&k, e, n, tti_x_rows(e, n->in[BLK]), s.heads, s.wg);
}

/* Gradient outputs by bit, TTI_NONE where not wanted; delta is the last. */
typedef struct {
    tti_val dq, dk, dv, delta;
} outputs;

static outputs outputs_of(const tti_node *n) {
    const int want = n->attr.i[WANT];
    int i = 0;
    outputs o = {TTI_NONE, TTI_NONE, TTI_NONE, TTI_NONE};
    if (want & WANT_DQ) o.dq = n->out[i++];
    if (want & WANT_DK) o.dk = n->out[i++];
    if (want & WANT_DV) o.dv = n->out[i++];
    o.delta = n->out[i];
    return o;
}

static tt_status run_dq(tti_exec *e, const tti_node *n, const outputs *o) {
    static const int order[] = {DO,  O,    LSE,  Q,    KS,   VS,   KR, VR,
                                BLK, QSEQ, SPOS, RPOS, SOFF, ROFF, -1};
    const int want = n->attr.i[WANT] & WANT_DQ;
    launch_shape s;
    shape_kernels(&s, e, n, want ? want : 8); /* delta alone */
    tti_launch k = tti_kernel(e->dev, "attention_bwd", "attention_dq", s.defines);
    tti_arg_mem(&k, tti_x_mem(e, o->dq));
    tti_arg_mem(&k, tti_x_mem(e, o->delta));
    args(&k, e, n, order);
    return launch(&k, e, n, tti_x_rows(e, n->in[BLK]), s.heads, s.wg);
}

static tt_status run_dkv(tti_exec *e, const tti_node *n, const outputs *o) {
    static const int first[] = {DO, LSE, -1}, then[] = {Q, KS, VS, BLK, QSEQ, SPOS, SOFF, -1};
    launch_shape s;
    shape_kernels(&s, e, n, n->attr.i[WANT]);
    tti_launch k = tti_kernel(e->dev, "attention_dkv", "attention_dkv", s.defines);
    tti_arg_mem(&k, tti_x_mem(e, o->dk));
    tti_arg_mem(&k, tti_x_mem(e, o->dv));
    args(&k, e, n, first);
    tti_arg_mem(&k, tti_x_mem(e, o->delta));
    args(&k, e, n, then);
    return launch(&k, e, n, tti_x_rows(e, n->in[BLK]), s.kv_heads, s.wg);
}

static tt_status run_together(tti_exec *e, const tti_node *n, const outputs *o) {
    static const int order[] = {DO, O, LSE, Q, KS, VS, KR, VR, QSEQ, SPOS, RPOS, SOFF, ROFF, -1};
    launch_shape s;
    shape_kernels(&s, e, n, n->attr.i[WANT]);
    tti_launch k = tti_kernel(e->dev, "attention_bwd", "attention_bwd", s.defines);
    tti_arg_mem(&k, tti_x_mem(e, o->dq));
    tti_arg_mem(&k, tti_x_mem(e, o->dk));
    tti_arg_mem(&k, tti_x_mem(e, o->dv));
    args(&k, e, n, order);
    return launch(&k, e, n, tti_x_rows(e, n->in[SOFF]) - 1, s.kv_heads, 1);
}

static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) {
    const outputs o = outputs_of(n);
    /* By what is planned, not by the batch in hand: the way of computing decides the bits. */
    const size_t items = e->max.n[TTI_ROWS_SEQ] * (size_t)n->attr.i[KV_HEADS];
    if (e->caps->cpu && items >= 2 * (size_t)tti_device_get_info(e->dev)->compute_units)
        return run_together(e, n, &o);
    TT_TRY(run_dq(e, n, &o));
    return n->attr.i[WANT] & (WANT_DK | WANT_DV) ? run_dkv(e, n, &o) : TT_OK;
}

/* ---- shapes, costs ---- */

static tt_status check_value(const tti_graph *g, const char *what, tti_val v, tti_rows_kind kind,
                             size_t cols) {
    const tti_shape *s = tti_val_shape(g, v);
    if (s->kind == kind && s->cols == cols && s->dtype == TTI_F32) return TT_OK;
    const tti_shape must = tti_shape_rows(kind, cols);
    return tti_fail(TT_E_SHAPE, "attention: %s is %s, must be %s", what, tti_shape_str(s),
                    tti_shape_str(&must));
}

static tt_status shape(tti_graph *g, tti_node *n) {
    const int *i = n->attr.i;
    const size_t width = (size_t)i[HEADS] * (size_t)i[DIM];
    const size_t kv = (size_t)i[KV_HEADS] * (size_t)i[DIM];
    const bool rest = tti_val_shape(g, n->in[BLK])->kind == TTI_ROWS_BLK_REST;
    TT_TRY(check_value(g, "q", n->in[Q], rest ? TTI_ROWS_REST : TTI_ROWS_SEL, width));
    TT_TRY(check_value(g, "k of SEL rows", n->in[KS], TTI_ROWS_SEL, kv));
    TT_TRY(check_value(g, "v of SEL rows", n->in[VS], TTI_ROWS_SEL, kv));
    if (i[CACHED]) {
        const tti_shape *k = tti_val_shape(g, n->in[KR]), *v = tti_val_shape(g, n->in[VR]);
        if (k->kind != TTI_ROWS_CONST || k->cols != kv || v->kind != k->kind || v->n != k->n ||
            v->cols != kv)
            return tti_fail(TT_E_SHAPE, "attention: caches are %s and %s, rows must be of %zu",
                            tti_shape_str(k), tti_shape_str(v), kv);
    } else if (n->in[KR] != TTI_NONE) {
        TT_TRY(check_value(g, "k of REST rows", n->in[KR], TTI_ROWS_REST, kv));
        TT_TRY(check_value(g, "v of REST rows", n->in[VR], TTI_ROWS_REST, kv));
    }
    tti_shape o = *tti_val_shape(g, n->in[Q]);
    tti_out(g, n, 0, o);
    o.cols = (size_t)i[HEADS];
    tti_out(g, n, 1, o);
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    static const int like[] = {Q, KS, VS};
    int at = 0;
    for (int i = 0; i < 3; i++)
        if (n->attr.i[WANT] & 1 << i) tti_out(g, n, at++, *tti_val_shape(g, n->in[like[i]]));
    tti_out(g, n, at, *tti_val_shape(g, n->in[LSE])); /* delta */
    return TT_OK;
}

/* Products of query rows with key rows, taking the batch's sequences to be of one length. */
static double pairs(const tti_node *n, const tti_rows *rows, size_t queries, bool all_keys) {
    const size_t rest = all_keys && n->in[KR] != TTI_NONE ? rows->n[TTI_ROWS_REST] : 0;
    const double keys = (double)(rows->n[TTI_ROWS_SEL] + rest);
    const double seqs = (double)TT_MAX(rows->n[TTI_ROWS_SEQ], (size_t)1);
    const double seen = (double)queries * keys / seqs * (n->attr.i[CAUSAL] ? 0.5 : 1.0);
    const double most = (double)queries * (double)n->attr.i[WINDOW];
    return n->attr.i[WINDOW] && most < seen ? most : seen;
}

static double flops(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    const size_t queries = tti_shape_count(tti_val_shape(g, n->in[Q]), rows);
    return 4.0 * pairs(n, rows, queries, true) * n->attr.i[HEADS] * n->attr.i[DIM];
}

static double flops_bwd(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    const size_t queries = tti_shape_count(tti_val_shape(g, n->in[Q]), rows);
    const int want = n->attr.i[WANT];
    const double dkv = 2.0 * ((want & WANT_DK) != 0) + 2.0 * ((want & WANT_DV) != 0);
    const double sum = (want & WANT_DQ ? 6.0 : 0.0) * pairs(n, rows, queries, true) +
                       (dkv + (want & WANT_DQ ? 0.0 : 4.0)) * pairs(n, rows, queries, false);
    return sum * n->attr.i[HEADS] * n->attr.i[DIM];
}

/* ---- gradient ---- */

static const tti_op op_bwd = {
    .name = "attention_bwd",
    .shape = shape_bwd,
    .enqueue = enqueue_bwd,
    .flops = flops_bwd,
    /* scores are made again from these, and lse is that of the scores as they were */
    .exact_ins = 1u << Q | 1u << KS | 1u << VS | 1u << KR | 1u << VR};

static tt_status backward(tti_graph *g, const tti_node *n) {
    if (tti_val_shape(g, n->in[Q])->kind != TTI_ROWS_SEL)
        return tti_fail(TT_E_INTERNAL, "attention: a gradient arrived at REST rows");
    if (n->attr.i[CACHED])
        return tti_fail(TT_E_UNSUPPORTED, "attention: no gradient flows through a cache");
    tti_attr attr = n->attr;
    static const int of[] = {Q, KS, VS};
    for (int i = 0; i < 3; i++)
        if (tti_grad_wanted(g, n->in[of[i]])) attr.i[WANT] |= 1 << i;
    if (!attr.i[WANT]) return TT_OK;
    tti_val in[INPUTS_BWD];
    for (int i = 0; i < INPUTS; i++) in[i] = i < BLK ? tti_grad_read(g, n->in[i]) : n->in[i];
    in[O] = tti_grad_read(g, n->out[0]);
    in[LSE] = tti_grad_read(g, n->out[1]);
    in[DO] = tti_grad_of(g, n->out[0]);
    const tti_val inputs[] = {n->in[Q], n->in[KS], n->in[VS]}; /* n may move when ops are added */
    const tti_val first = tti_emit(g, &op_bwd, in, INPUTS_BWD, &attr);
    int at = 0;
    for (int i = 0; i < 3; i++)
        if (attr.i[WANT] & 1 << i) tti_grad_add(g, inputs[i], tti_emit_out(g, first, at++));
    return tti_graph_status(g);
}

static const tti_op op = {.name = "attention",
                          .shape = shape,
                          .enqueue = enqueue,
                          .backward = backward,
                          .flops = flops,
                          .exact_outs = 1u << 1}; /* lse */

/* ---- builder ---- */

static tt_status check_opts(const tti_attention_opts *o, bool rest) {
    enum { MOST = 4096 }; /* dropout keys hold the head in 12 bits, 16 * site in 20 */
    if (o->kv_heads < 1 || o->heads < o->kv_heads || o->heads % o->kv_heads || o->heads > MOST)
        return tti_fail(TT_E_ARG,
                        "attention: %d heads over %d key heads; there must be 1 to %d, a multiple",
                        o->heads, o->kv_heads, MOST);
    if (o->head_dim < 1 || o->head_dim > 1024)
        return tti_fail(TT_E_UNSUPPORTED, "attention: heads of %d columns; 1 to 1024 are supported",
                        o->head_dim);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return tti_fail(TT_E_ARG, "attention: dropout is %g, must be in [0,1)", (double)o->dropout);
    if (!isfinite(o->scale) || !(o->softcap >= 0) || !isfinite(o->softcap) || o->window < 0)
        return tti_fail(TT_E_ARG, "attention: scale %g, softcap %g, window %d", (double)o->scale,
                        (double)o->softcap, o->window);
    if (o->site < 0 || o->site > 65535)
        return tti_fail(TT_E_ARG, "attention: dropout site %d, must be 0 to 65535", o->site);
    if (o->query_rest && !rest)
        return tti_fail(TT_E_ARG, "attention: queries of REST rows without their keys");
    if (o->cached && (!rest || !o->causal || o->query_rest || o->dropout > 0))
        return tti_fail(TT_E_ARG, "attention: a cache is for causal SEL rows without dropout");
    return TT_OK;
}

tti_val tti_attention(tti_graph *g, tti_val q, tti_val k_sel, tti_val v_sel, tti_val k_rest,
                      tti_val v_rest, const tti_attention_opts *o) {
    if (tti_graph_status(g) != TT_OK) return TTI_NONE;
    const bool rest = k_rest != TTI_NONE && v_rest != TTI_NONE, far = o->query_rest;
    const tt_status s = check_opts(o, rest);
    if (s != TT_OK) {
        tti_graph_fail(g, s);
        return TTI_NONE;
    }
    tti_val in[INPUTS] = {[Q] = q, [KS] = k_sel, [VS] = v_sel};
    in[KR] = rest ? k_rest : TTI_NONE;
    in[VR] = rest ? v_rest : TTI_NONE;
    in[BLK] = tti_graph_input(g, far ? TTI_IN_BLK_REST : TTI_IN_BLK_SEL);
    in[QPOS] = tti_graph_input(g, far ? TTI_IN_POS_REST : TTI_IN_POS_SEL);
    in[QSEQ] = TTI_NONE;
    if (o->dropout > 0) in[QSEQ] = tti_graph_input(g, far ? TTI_IN_SEQ_REST : TTI_IN_SEQ_SEL);
    in[SPOS] = tti_graph_input(g, TTI_IN_POS_SEL);
    in[RPOS] = rest && !o->cached ? tti_graph_input(g, TTI_IN_POS_REST) : TTI_NONE;
    in[SOFF] = tti_graph_input(g, TTI_IN_OFF_SEL);
    in[ROFF] = rest ? tti_graph_input(g, o->cached ? TTI_IN_CACHE : TTI_IN_OFF_REST) : TTI_NONE;
    const tti_attr attr = {
        .i = {[HEADS] = o->heads,
              [KV_HEADS] = o->kv_heads,
              [DIM] = o->head_dim,
              [CAUSAL] = o->causal,
              [WINDOW] = o->window,
              [SITE] = o->site,
              [CACHED] = o->cached},
        .f = {[SCALE] = o->scale, [DROPOUT] = o->dropout, [SOFTCAP] = o->softcap}};
    return tti_emit(g, &op, in, INPUTS, &attr);
}
