// SPDX-License-Identifier: Apache-2.0
/* linear.c - y = alpha x w^T (+ b) (+ residual), and its gradients, all by the GEMM service:
 *   dx = alpha dy w (+ what has arrived at x already)
 *   dw = alpha dy^T x      db = column sums of dy
 * w is [out,in], or [in,out] where attr.i[TRANSPOSED]; it may lie in slabs of any type. A dw in
 * 16 bits is made in f32, a panel of its rows at a time, and put there by cl/linear.cl. */
#include "host/ops/launch.h"
#include "host/ops/product.h"

#include <string.h>

enum { X, W, B, RESIDUAL };  /* inputs of the forward op */
enum { DY, OTHER, ARRIVED }; /* inputs of the gradient ops; OTHER: w for dx, x for dw */
enum { TRANSPOSED, ACT };    /* attr.i */
enum { ALPHA };              /* attr.f */
enum { PANEL = 1 };          /* output of dw in 16 bits: some rows of it in f32 */
enum { PANEL_BYTES = 8 << 20 };

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

/* The product that the whole node is. */
static tti_gemm_shape whole(const tti_graph *g, const tti_node *n, const tti_rows *rows);

/* The same as it is planned: its parameter may lie in slabs, which are smaller, and a gradient in
 * fewer bits is made panel by panel. */
static tti_gemm_shape planned(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    tti_gemm_shape s = whole(g, n, rows);
    if (n->nout > PANEL) s.m = tti_val_shape(g, n->out[PANEL])->n;
    return s;
}

static tt_status prepare(tti_exec *e, tti_node *n) {
    n->workspace = 0;
    if (!e->gemm) return TT_OK;
    tti_gemm_shape s = planned(e->graph, n, &e->max);
    TT_TRY(tti_gemm_choose(e->gemm, &s, &n->gemm));
    n->workspace = n->gemm.workspace;
    return TT_OK;
}

static double flops(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    tti_gemm_shape s = whole(g, n, rows);
    return 2.0 * (double)s.m * (double)s.n * (double)s.k;
}

/* Of the forward product or that of dx: operand A and C, the parameter is B. */
static tti_gemm_call call_of(tti_exec *e, const tti_node *n, tti_val a, tti_val residual) {
    return (tti_gemm_call){.shape = whole(e->graph, n, &e->rows),
                           .lda = tti_x_cols(e, a),
                           .ldc = tti_x_cols(e, n->out[0]),
                           .alpha = n->attr.f[ALPHA],
                           .act = (tti_act)n->attr.i[ACT],
                           .a = tti_x_mem(e, a),
                           .c = tti_x_mem(e, n->out[0]),
                           .residual = tti_x_mem(e, residual)};
}

static tt_status enqueue_forward(tti_exec *e, const tti_node *n) {
    tti_gemm_call c = call_of(e, n, n->in[X], n->in[RESIDUAL]);
    c.bias = tti_x_mem(e, n->in[B]);
    return tti_x_product(e, &n->gemm, &c, n->in[W],
                         n->attr.i[TRANSPOSED] ? TTI_ROWS_ARE_K : TTI_ROWS_ARE_N);
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
    const tti_gemm_call c = call_of(e, n, n->in[DY], n->in[ARRIVED]);
    return tti_x_product(e, &n->gemm, &c, n->in[OTHER],
                         n->attr.i[TRANSPOSED] ? TTI_ROWS_ARE_N : TTI_ROWS_ARE_K);
}

static const tti_op op_dx = {.name = "linear_dx",
                             .shape = shape_dx,
                             .prepare = prepare,
                             .enqueue = enqueue_dx,
                             .flops = flops};

/* dw */
static tt_status shape_dw(tti_graph *g, tti_node *n) {
    size_t out = tti_val_shape(g, n->in[DY])->cols, in = tti_val_shape(g, n->in[OTHER])->cols;
    const tti_shape dw =
        n->attr.i[TRANSPOSED] ? tti_shape_const(in, out) : tti_shape_const(out, in);
    tti_out(g, n, 0, dw);
    const tti_dtype type = tti_val_shape(g, n->out[0])->dtype;
    if (type == TTI_F32) return TT_OK;
    if (type != TTI_F16 && type != TTI_BF16)
        return tti_fail(TT_E_UNSUPPORTED, "linear: a gradient of type %s; one of f32, f16, bf16",
                        tti_dtype_name(type));
    const size_t rows = PANEL_BYTES / sizeof(float) / TT_MAX(dw.cols, 1);
    tti_out(g, n, PANEL, tti_shape_const(TT_MIN(TT_MAX(rows, 1), dw.n), dw.cols));
    return TT_OK;
}

/* The panel, rows first .. first + rows - 1 of the slab, is rounded or added to it. */
static tt_status put_panel(tti_exec *e, const tti_node *n, const tti_slab *s, size_t first,
                           size_t rows) {
    const size_t cols = s->layout.cols, count = rows * cols;
    tti_launch k = tti_kernel(
        e->dev, "linear", "linear_put",
        tti_x_defines(e, "-DCHUNK=%d -DBF16=%d", tti_x_chunk(e), s->layout.type == TTI_BF16));
    tti_arg_mem(&k, s->mem);
    tti_arg_mem(&k, tti_x_mem(e, n->out[PANEL]));
    tti_arg_i32(&k, (int)first);
    tti_arg_i32(&k, (int)rows);
    tti_arg_i32(&k, (int)cols);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run_groups(&k, tti_ceil_div(count, (size_t)tti_x_chunk(e)));
}

static tt_status enqueue_panels(tti_exec *e, const tti_node *n, tti_gemm_call c) {
    const size_t panel = tti_val_shape(e->graph, n->out[PANEL])->n;
    size_t nslabs;
    const tti_slab *slabs = tti_x_slabs(e, n->out[0], &nslabs);
    c.c = tti_x_mem(e, n->out[PANEL]);
    c.accumulate = false;
    for (size_t i = 0; i < nslabs; i++)
        for (size_t first = 0; first < slabs[i].rows; first += panel) {
            c.shape.m = TT_MIN(panel, slabs[i].rows - first);
            c.a_at = slabs[i].row0 + first;
            TT_TRY(tti_gemm_run(e->gemm, &n->gemm, &c, e->workspace));
            TT_TRY(put_panel(e, n, &slabs[i], first, c.shape.m));
        }
    return TT_OK;
}

static tt_status enqueue_dw(tti_exec *e, const tti_node *n) {
    const bool t = n->attr.i[TRANSPOSED] != 0;
    const tti_val a = t ? n->in[OTHER] : n->in[DY], b = t ? n->in[DY] : n->in[OTHER];
    const tti_gemm_call c = {.shape = whole(e->graph, n, &e->rows),
                             .lda = tti_x_cols(e, a),
                             .ldb = tti_x_cols(e, b),
                             .ldc = tti_x_cols(e, n->out[0]),
                             .alpha = n->attr.f[ALPHA],
                             .accumulate = tti_x_accumulate(e, n),
                             .a = tti_x_mem(e, a),
                             .b = tti_x_mem(e, b)};
    if (n->nout > PANEL) return enqueue_panels(e, n, c);
    return tti_x_product(e, &n->gemm, &c, n->out[0], TTI_ROWS_ARE_M);
}

static const tti_op op_dw = {.name = "linear_dw",
                             .shape = shape_dw,
                             .prepare = prepare,
                             .enqueue = enqueue_dw,
                             .flops = flops};

static tti_gemm_shape whole(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    const tti_shape *a = tti_val_shape(g, n->in[0]), *b = tti_val_shape(g, n->in[1]);
    const bool t = n->attr.i[TRANSPOSED] != 0;
    const size_t m = tti_shape_count(a, rows);
    if (n->op == &op_dw)
        return (tti_gemm_shape){true, false,  t ? b->cols : a->cols, t ? a->cols : b->cols,
                                m,    TTI_F32};
    if (n->op == &op_dx)
        return (tti_gemm_shape){false, t, m, t ? b->n : b->cols, a->cols, b->dtype};
    return (tti_gemm_shape){false, !t, m, t ? b->cols : b->n, a->cols, b->dtype};
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
