// SPDX-License-Identifier: Apache-2.0
/* next_token_loss.c - output projection, cross-entropy and all their gradients, some rows at a
 * time, so that logits of so few rows exist; kernels cl/next_token_loss.cl and three matrix
 * products:
 *   logits = x w^T     dx = dlogits w     dw (+)= dlogits^T x
 * w and dw may lie in slabs, w in any type: a slab is columns of the logits, a part of the sums of
 * dx, rows of dw. */
#include "host/ops/launch.h"
#include "host/ops/product.h"

#include <math.h>

enum { X, W, LABELS };                    /* inputs */
enum { LOSS, ROW_LOSS, LOGITS, GRADS };   /* outputs; GRADS: DX and DW where wanted */
enum { CHUNK, HAS_DX, HAS_DW, DW_AGAIN }; /* attr.i; DW_AGAIN: dw was begun before */
enum { CAP };                             /* attr.f */
typedef enum { FORWARD, BY_X, BY_W } product;

static tti_val out_dx(const tti_node *n) { return n->attr.i[HAS_DX] ? n->out[GRADS] : TTI_NONE; }
static tti_val out_dw(const tti_node *n) {
    return n->attr.i[HAS_DW] ? n->out[GRADS + n->attr.i[HAS_DX]] : TTI_NONE;
}

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]), w = *tti_val_shape(g, n->in[W]);
    if (x.kind != TTI_ROWS_LAB || w.kind != TTI_ROWS_CONST || w.cols != x.cols)
        return tti_fail(TT_E_SHAPE, "next_token_loss: x is %s, not [lab,d], or w is %s, not [C,d]",
                        tti_shape_str(&x), tti_shape_str(&w));
    const size_t chunk = (size_t)n->attr.i[CHUNK];
    tti_out(g, n, LOSS, tti_shape_const(1, 1));
    tti_out(g, n, ROW_LOSS, tti_shape_rows(TTI_ROWS_LAB, 1));
    tti_out(g, n, LOGITS, tti_shape_const(chunk, w.n));
    if (n->attr.i[HAS_DX]) tti_out(g, n, GRADS, x);
    if (!n->attr.i[HAS_DW]) return TT_OK;
    tti_out(g, n, GRADS + n->attr.i[HAS_DX], w);
    const tti_dtype type = tti_val_shape(g, out_dw(n))->dtype;
    if (type != TTI_F32)
        return tti_fail(TT_E_UNSUPPORTED, "next_token_loss: the gradient of w is %s, not f32",
                        tti_dtype_name(type));
    return TT_OK;
}

/* One of the products, for some rows. */
static tti_gemm_shape product_shape(const tti_graph *g, const tti_node *n, product p, size_t rows) {
    const tti_shape *w = tti_val_shape(g, n->in[W]);
    if (p == BY_W) return (tti_gemm_shape){true, false, w->n, w->cols, rows, TTI_F32};
    if (p == BY_X) return (tti_gemm_shape){false, false, rows, w->cols, w->n, w->dtype};
    return (tti_gemm_shape){false, true, rows, w->n, w->cols, w->dtype};
}

static bool has(const tti_node *n, product p) {
    return p == FORWARD || n->attr.i[p == BY_X ? HAS_DX : HAS_DW];
}

static tti_gemm_plan *plan_of(tti_node *n, product p) {
    return p == FORWARD ? &n->gemm : &n->more_gemms[p - BY_X];
}

static tt_status prepare(tti_exec *e, tti_node *n) {
    n->workspace = 0;
    if (!e->gemm) return TT_OK;
    const size_t most = TT_MIN((size_t)n->attr.i[CHUNK], e->max.n[TTI_ROWS_LAB]);
    for (product p = FORWARD; p <= BY_W; p++) {
        if (!has(n, p)) continue;
        const tti_gemm_shape s = product_shape(e->graph, n, p, TT_MAX(most, 1));
        TT_TRY(tti_gemm_choose(e->gemm, &s, plan_of(n, p)));
        n->workspace = TT_MAX(n->workspace, plan_of(n, p)->workspace);
    }
    return TT_OK;
}

static double flops(const tti_graph *g, const tti_node *n, const tti_rows *rows) {
    double sum = 0;
    for (product p = FORWARD; p <= BY_W; p++) {
        const tti_gemm_shape s = product_shape(g, n, p, rows->n[TTI_ROWS_LAB]);
        if (has(n, p)) sum += 2.0 * (double)s.m * (double)s.n * (double)s.k;
    }
    return sum;
}

/* logits = x w^T, for rows of x from `first` on */
static tt_status project(tti_exec *e, const tti_node *n, size_t first, size_t rows) {
    const size_t d = tti_x_cols(e, n->in[X]);
    const tti_gemm_call c = {.shape = product_shape(e->graph, n, FORWARD, rows),
                             .lda = d,
                             .ldc = tti_x_cols(e, n->out[LOGITS]),
                             .alpha = 1.0f,
                             .a = tti_x_mem(e, n->in[X]),
                             .a_at = first * d,
                             .c = tti_x_mem(e, n->out[LOGITS])};
    return tti_x_product(e, &n->gemm, &c, n->in[W], TTI_ROWS_ARE_N);
}

/* dx = dlogits w, for rows of dx from `first` on */
static tt_status back_to_x(tti_exec *e, const tti_node *n, size_t first, size_t rows) {
    const size_t d = tti_x_cols(e, n->in[X]);
    const tti_gemm_call c = {.shape = product_shape(e->graph, n, BY_X, rows),
                             .lda = tti_x_cols(e, n->out[LOGITS]),
                             .ldc = d,
                             .alpha = 1.0f,
                             .a = tti_x_mem(e, n->out[LOGITS]),
                             .c = tti_x_mem(e, out_dx(n)),
                             .c_at = first * d};
    return tti_x_product(e, &n->more_gemms[0], &c, n->in[W], TTI_ROWS_ARE_K);
}

/* dw (+)= dlogits^T x; no rows: zeros where nothing is to be added to */
static tt_status back_to_w(tti_exec *e, const tti_node *n, size_t first, size_t rows) {
    const size_t d = tti_x_cols(e, n->in[X]);
    const tti_gemm_call c = {.shape = product_shape(e->graph, n, BY_W, rows),
                             .lda = tti_x_cols(e, n->out[LOGITS]),
                             .ldb = d,
                             .ldc = d,
                             .alpha = 1.0f,
                             .accumulate = first > 0 || e->micro > 0 || n->attr.i[DW_AGAIN],
                             .a = tti_x_mem(e, n->out[LOGITS]),
                             .b = tti_x_mem(e, n->in[X]),
                             .b_at = first * d};
    return tti_x_product(e, &n->more_gemms[1], &c, out_dw(n), TTI_ROWS_ARE_M);
}

static const char *defines(tti_exec *e, const tti_node *n) {
    const int grad = n->attr.i[HAS_DX] || n->attr.i[HAS_DW];
    if (n->attr.f[CAP] > 0)
        return tti_x_defines(e, "-DGRAD=%d -DCAP=%.9ef", grad, (double)n->attr.f[CAP]);
    return tti_x_defines(e, "-DGRAD=%d", grad);
}

static tt_status row_losses(tti_exec *e, const tti_node *n, size_t first, size_t rows) {
    tti_launch k = tti_kernel(e->dev, "next_token_loss", "next_token_loss_rows", defines(e, n));
    tti_arg_mem(&k, tti_x_mem(e, n->out[LOGITS]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[ROW_LOSS]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[LABELS]));
    tti_arg_i32(&k, (int)first);
    tti_arg_i32(&k, (int)tti_x_cols(e, n->out[LOGITS]));
    tti_arg_f32(&k, e->loss_scale);
    return tti_run_groups(&k, rows);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const size_t all = tti_x_rows(e, n->in[X]), chunk = (size_t)n->attr.i[CHUNK];
    for (size_t first = 0; first < all; first += chunk) {
        const size_t rows = TT_MIN(chunk, all - first);
        TT_TRY(project(e, n, first, rows));
        TT_TRY(row_losses(e, n, first, rows));
        if (n->attr.i[HAS_DW]) TT_TRY(back_to_w(e, n, first, rows));
        if (n->attr.i[HAS_DX]) TT_TRY(back_to_x(e, n, first, rows));
    }
    if (all == 0 && n->attr.i[HAS_DW]) TT_TRY(back_to_w(e, n, 0, 0));
    tti_launch k = tti_kernel(e->dev, "next_token_loss", "next_token_loss_sum", defines(e, n));
    tti_arg_mem(&k, tti_x_mem(e, n->out[LOSS]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[ROW_LOSS]));
    tti_arg_i32(&k, (int)all);
    tti_arg_f32(&k, e->loss_scale);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run_groups(&k, 1);
}

static const tti_op op = {.name = "next_token_loss",
                          .shape = shape,
                          .prepare = prepare,
                          .enqueue = enqueue,
                          .flops = flops,
                          .exact_outs = ~0u};

tti_val tti_next_token_loss(tti_graph *g, tti_val x, tti_val w, tti_val loss, float cap,
                            int chunk) {
    if (tti_graph_status(g) != TT_OK) return TTI_NONE;
    if (chunk < 1 || !(cap >= 0) || !isfinite(cap)) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "next_token_loss: %d rows at a time, cap %g", chunk,
                                   (double)cap));
        return TTI_NONE;
    }
    const bool no_grad = tti_graph_no_grad(g, true);
    tti_graph_no_grad(g, no_grad);
    const bool dx = !no_grad && tti_grad_wanted(g, x), dw = !no_grad && tti_grad_wanted(g, w);
    bool again = false;
    tti_val out[TTI_MAX_OUT];
    for (int i = 0; i < TTI_MAX_OUT; i++) out[i] = TTI_NONE;
    out[LOSS] = loss;
    if (dw) out[GRADS + dx] = tti_grad_param(g, w, &again);
    const tti_attr attr = {.i = {[CHUNK] = chunk, [HAS_DX] = dx, [HAS_DW] = dw, [DW_AGAIN] = again},
                           .f = {[CAP] = cap}};
    const tti_val in[] = {x, w, tti_graph_input(g, TTI_IN_LAB_ID)};
    if (tti_emit_outs(g, &op, in, 3, &attr, out, GRADS + dx + dw, false) == TTI_NONE)
        return TTI_NONE;
    const tti_node *n = tti_node_at(g, tti_graph_nodes(g) - 1);
    const tti_val row_loss = n->out[ROW_LOSS];
    tti_grad_add(g, x, out_dx(n)); /* the backward pass starts here */
    return row_loss;
}
