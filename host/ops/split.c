// SPDX-License-Identifier: Apache-2.0
/* split.c - columns of a value as values of their own; kernels cl/split.cl. */
#include "host/ops/launch.h"

enum { X };         /* input; of the gradient the dy of each part, where TTI_NONE counts as zeros */
enum { PARTS = 4 }; /* at most */
enum { N, WIDTH };  /* attr.i: number of parts, then their widths */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]);
    size_t sum = 0;
    for (int i = 0; i < n->attr.i[N]; i++) {
        if (n->attr.i[WIDTH + i] < 1)
            return tti_fail(TT_E_SHAPE, "split: part %d has %d columns", i, n->attr.i[WIDTH + i]);
        sum += (size_t)n->attr.i[WIDTH + i];
    }
    if (sum != x.cols)
        return tti_fail(TT_E_SHAPE, "split: the parts have %zu columns, x is %s", sum,
                        tti_shape_str(&x));
    for (int i = 0; i < n->attr.i[N]; i++) {
        tti_shape part = x;
        part.cols = (size_t)n->attr.i[WIDTH + i];
        tti_out(g, n, i, part);
    }
    return TT_OK;
}

/* Part i, to from the others' columns or back; from NULL where the kernel reads nothing. */
static tt_status run(tti_exec *e, const tti_node *n, const char *kernel, int i, cl_mem to,
                     cl_mem from) {
    int first = 0, cols = 0;
    for (int p = 0; p < n->attr.i[N]; p++) {
        if (p < i) first += n->attr.i[WIDTH + p];
        cols += n->attr.i[WIDTH + p];
    }
    const size_t rows = tti_x_rows(e, n->out[0]);
    tti_launch k =
        tti_kernel(e->dev, "split", kernel, tti_x_defines(e, "-DEACH=%d", tti_x_each(e)));
    tti_arg_mem(&k, to);
    if (from) tti_arg_mem(&k, from);
    tti_arg_i32(&k, first);
    tti_arg_i32(&k, (int)rows);
    tti_arg_i32(&k, cols);
    tti_arg_i32(&k, n->attr.i[WIDTH + i]);
    return tti_x_run_rows(e, &k, rows, (size_t)n->attr.i[WIDTH + i]);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    for (int i = 0; i < n->nout; i++)
        TT_TRY(run(e, n, "split_take", i, tti_x_mem(e, n->out[i]), tti_x_mem(e, n->in[X])));
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    tti_shape x = {0};
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] != TTI_NONE) x = *tti_val_shape(g, n->in[i]);
    x.cols = 0;
    for (int i = 0; i < n->nin; i++) x.cols += (size_t)n->attr.i[WIDTH + i];
    tti_out(g, n, 0, x);
    return TT_OK;
}

static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) {
    for (int i = 0; i < n->nin; i++) {
        const cl_mem dy = tti_x_mem(e, n->in[i]);
        TT_TRY(run(e, n, dy ? "split_put" : "split_zero", i, tti_x_mem(e, n->out[0]), dy));
    }
    return TT_OK;
}

static const tti_op op_bwd = {.name = "split_bwd", .shape = shape_bwd, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    tti_val dy[PARTS];
    for (int i = 0; i < n->nout; i++) dy[i] = tti_grad_of(g, n->out[i]);
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, dy, n->nout, &n->attr));
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "split", .shape = shape, .enqueue = enqueue, .backward = backward};

void tti_split(tti_graph *g, tti_val x, const int *widths, int n, tti_val *out) {
    tti_attr attr = {.i = {[N] = n}};
    for (int i = 0; i < n; i++) out[i] = TTI_NONE;
    if (n < 2 || n > PARTS) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "split: %d parts, must be 2 to %d", n, PARTS));
        return;
    }
    for (int i = 0; i < n; i++) attr.i[WIDTH + i] = widths[i];
    const tti_val first = tti_emit(g, &op, &x, 1, &attr);
    for (int i = 0; i < n; i++) out[i] = tti_emit_out(g, first, i);
}
