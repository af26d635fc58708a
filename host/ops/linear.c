// SPDX-License-Identifier: Apache-2.0
/* linear.c - y = alpha x w^T (+ b) (+ residual), and its gradients, all by the GEMM service:
 *   dx = alpha dy w (+ what has arrived at x already)     dw = alpha dy^T x     db = column sums of
 * dy w is [out,in], or [in,out] where attr.i[TRANSPOSED]. */
#include "host/ops/ops.h"

#include <string.h>

enum { X, W, B, RESIDUAL };  /* inputs of the forward op */
enum { DY, OTHER, ARRIVED }; /* inputs of the gradient ops; OTHER: w for dx, x for dw */
enum { TRANSPOSED, ACT };    /* attr.i */
enum { ALPHA };              /* attr.f */

static tt_status shape_forward(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]), w = *tti_val_shape(g, n->in[W]);
    const bool t = n->attr.i[TRANSPOSED] != 0;
    const size_t in = t ? w.n : w.cols, out = t ? w.cols : w.n;
    if (w.kind != TTI_ROWS_CONST || x.cols != in)
        return tti_fail(TT_E_SHAPE, "linear: x is %s, w is %s", tti_shape_str(&x),
                        tti_shape_str(&w));
    tti_shape y = x;
    y.cols = out;
    if (n->in[B] != TTI_NONE && tti_val_shape(g, n->in[B])->cols != out)
        return tti_fail(TT_E_SHAPE, "linear: b has %zu elements, y has %zu columns",
                        tti_val_shape(g, n->in[B])->cols, out);
    if (n->in[RESIDUAL] != TTI_NONE) {
        const tti_shape *r = tti_val_shape(g, n->in[RESIDUAL]);
        if (r->cols != out || r->kind != y.kind || r->n != y.n)
            return tti_fail(TT_E_SHAPE, "linear: residual is %s, y is %s", tti_shape_str(r),
                            tti_shape_str(&y));
    }
    tti_out(g, n, 0, y);
    return TT_OK;
}

/* The GEMM of a node for given row counts: where its operands lie is filled in by `operands`. */
static tti_gemm_shape gemm_shape(const tti_graph *g, const tti_node *n, const tti_rows *rows);

static tt_status prepare(tti_exec *e, tti_node *n) {
    n->workspace = 0;
    if (!e->gemm) return TT_OK;
    tti_gemm_shape s = gemm_shape(e->graph, n, &e->max);
    TT_TRY(tti_gemm_choose(e->gemm, &s, &n->gemm));
    n->workspace = n->gemm.workspace;
    return TT_OK;
}

static double flops(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    tti_gemm_shape s = gemm_shape(g, n, rows);
    return 2.0 * (double)s.m * (double)s.n * (double)s.k;
}

static tt_status run(tti_exec *e, const tti_node *n, tti_val a, tti_val b, tti_val bias,
                     tti_val residual, bool accumulate) {
    tti_gemm_call c = {.shape = gemm_shape(e->graph, n, &e->rows),
                       .lda = tti_x_cols(e, a),
                       .ldb = tti_x_cols(e, b),
                       .ldc = tti_x_cols(e, n->out[0]),
                       .alpha = n->attr.f[ALPHA],
                       .accumulate = accumulate,
                       .act = (tti_act)n->attr.i[ACT],
                       .a = tti_x_mem(e, a),
                       .b = tti_x_mem(e, b),
                       .c = tti_x_mem(e, n->out[0]),
                       .bias = tti_x_mem(e, bias),
                       .residual = tti_x_mem(e, residual)};
    return tti_gemm_run(e->gemm, &n->gemm, &c, e->workspace);
}

static tt_status enqueue_forward(tti_exec *e, const tti_node *n) {
    return run(e, n, n->in[X], n->in[W], n->in[B], n->in[RESIDUAL], false);
}

static bool absorb(tti_node *n, const tti_node *next) {
    if (strcmp(next->op->name, "activation") || n->attr.i[ACT] != TTI_ACT_NONE) return false;
    n->attr.i[ACT] = next->attr.i[0];
    return true;
}

/* dx */
static tt_status shape_dx(tti_graph *g, tti_node *n) {
    const tti_shape w = *tti_val_shape(g, n->in[OTHER]);
    tti_shape dx = *tti_val_shape(g, n->in[DY]);
    dx.cols = n->attr.i[TRANSPOSED] ? w.n : w.cols;
    n->reuse_in = n->in[ARRIVED] == TTI_NONE ? -1 : ARRIVED;
    tti_out(g, n, 0, dx);
    return TT_OK;
}

static tt_status enqueue_dx(tti_exec *e, const tti_node *n) {
    return run(e, n, n->in[DY], n->in[OTHER], TTI_NONE, n->in[ARRIVED], false);
}

static const tti_op op_dx = {.name = "linear_dx",
                             .shape = shape_dx,
                             .prepare = prepare,
                             .enqueue = enqueue_dx,
                             .flops = flops};

/* dw */
static tt_status shape_dw(tti_graph *g, tti_node *n) {
    size_t out = tti_val_shape(g, n->in[DY])->cols, in = tti_val_shape(g, n->in[OTHER])->cols;
    tti_out(g, n, 0, n->attr.i[TRANSPOSED] ? tti_shape_const(in, out) : tti_shape_const(out, in));
    return TT_OK;
}

static tt_status enqueue_dw(tti_exec *e, const tti_node *n) {
    const bool t = n->attr.i[TRANSPOSED] != 0;
    tti_val a = t ? n->in[OTHER] : n->in[DY], b = t ? n->in[DY] : n->in[OTHER];
    return run(e, n, a, b, TTI_NONE, TTI_NONE, tti_x_accumulate(e, n));
}

static const tti_op op_dw = {.name = "linear_dw",
                             .shape = shape_dw,
                             .prepare = prepare,
                             .enqueue = enqueue_dw,
                             .flops = flops};

static tti_gemm_shape gemm_shape(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    const tti_shape *a = tti_val_shape(g, n->in[0]), *b = tti_val_shape(g, n->in[1]);
    const bool t = n->attr.i[TRANSPOSED] != 0;
    const size_t m = tti_shape_count(a, rows);
    if (n->op == &op_dw)
        return (tti_gemm_shape){true, false,  t ? b->cols : a->cols, t ? a->cols : b->cols,
                                m,    TTI_F32};
    if (n->op == &op_dx) return (tti_gemm_shape){false, t, m, t ? b->n : b->cols, a->cols, TTI_F32};
    return (tti_gemm_shape){false, !t, m, t ? b->cols : b->n, a->cols, TTI_F32};
}

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[0]);
    if (tti_grad_wanted(g, n->in[W])) {
        tti_val in[] = {dy, tti_grad_read(g, n->in[X])};
        tti_grad_emit_param(g, n->in[W], &op_dw, in, 2, &n->attr);
    }
    if (tti_grad_wanted(g, n->in[B]))
        tti_grad_emit_param(g, n->in[B], &tti_op_colsum, &dy, 1, NULL);
    if (tti_grad_wanted(g, n->in[X])) {
        tti_val in[] = {dy, n->in[W], tti_grad_of(g, n->in[X])};
        tti_grad_set(g, n->in[X], tti_emit(g, &op_dx, in, 3, &n->attr));
    }
    tti_grad_add(g, n->in[RESIDUAL], dy);
    return tti_graph_status(g);
}

static const tti_op op_linear = {.name = "linear",
                                 .shape = shape_forward,
                                 .prepare = prepare,
                                 .enqueue = enqueue_forward,
                                 .backward = backward,
                                 .flops = flops,
                                 .absorb = absorb};

tti_val tti_linear(tti_graph *g, tti_val x, tti_val w, tti_val b, tti_val residual, float alpha,
                   bool transposed) {
    if (tti_graph_status(g) != TT_OK) return TTI_NONE;
    tti_val in[] = {x, w, b, residual};
    tti_attr attr = {.i = {[TRANSPOSED] = transposed}, .f = {[ALPHA] = alpha}};
    tti_val y = tti_emit(g, &op_linear, in, 4, &attr);
    tti_node *n = tti_producer(g, y);
    if (n && residual != TTI_NONE) n->reuse_in = RESIDUAL;
    return y;
}
