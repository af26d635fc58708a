// SPDX-License-Identifier: Apache-2.0
/* embed.c - lookups in a table, and the gradient of the rows looked up; kernels cl/embed.cl. A
 * table and its gradient may lie in slabs: each launch does the rows of one. */
#include "host/gemm/stored.h"
#include "host/ops/launch.h"

enum { TABLE, IDS, ADD };      /* inputs */
enum { DY, PERM, START, DST }; /* inputs of the gradient */
enum { WHICH };                /* attr.i: the tti_input of IDS */
enum { FEW };                  /* attr.i of the gradient: a few table rows, many terms each */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape t = *tti_val_shape(g, n->in[TABLE]);
    tti_shape y = *tti_val_shape(g, n->in[IDS]);
    y.cols = t.cols;
    y.dtype = TTI_F32;
    if (t.kind != TTI_ROWS_CONST)
        return tti_fail(TT_E_SHAPE, "embed: the table is %s", tti_shape_str(&t));
    if (n->in[ADD] != TTI_NONE) {
        const tti_shape *a = tti_val_shape(g, n->in[ADD]);
        if (a->kind != y.kind || a->cols != y.cols)
            return tti_fail(TT_E_SHAPE, "embed: add is %s, y is %s", tti_shape_str(a),
                            tti_shape_str(&y));
        n->reuse_in = ADD;
    }
    tti_out(g, n, 0, y);
    return TT_OK;
}

/* The rows of y whose id lies in the slab. */
static tt_status look_up(tti_exec *e, const tti_node *n, const tti_slab *s) {
    const bool add = n->in[ADD] != TTI_NONE;
    char stored[TTI_STORED_DEFINES];
    tti_stored_defines(stored, &s->layout);
    TT_TRY(tti_stored_check(&s->layout, s->mem, "embed: the table"));
    tti_launch k = tti_kernel(e->dev, "embed", "embed_fwd",
                              tti_x_defines(e, "-DADD=%d -DCOLV=%d%s", add, e->caps->wg, stored));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[IDS]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[add ? ADD : IDS]));
    tti_arg_i32(&k, (int)s->row0);
    tti_arg_i32(&k, (int)s->rows);
    tti_arg_i32(&k, (int)tti_x_cols(e, n->out[0]));
    tti_arg_stored(&k, s->mem, &s->layout);
    return tti_run_groups(&k, tti_x_rows(e, n->out[0]));
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    size_t nslabs;
    const tti_slab *slabs = tti_x_slabs(e, n->in[TABLE], &nslabs);
    for (size_t i = 0; i < nslabs; i++) TT_TRY(look_up(e, n, &slabs[i]));
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    const tti_shape *dy = tti_val_shape(g, n->in[DY]), *dt = tti_val_shape(g, n->out[0]);
    if (dy->cols != dt->cols)
        return tti_fail(TT_E_SHAPE, "embed_bwd: dy is %s, the gradient %s", tti_shape_str(dy),
                        tti_shape_str(dt));
    if (dt->dtype != TTI_F32)
        return tti_fail(TT_E_UNSUPPORTED, "embed_bwd: the gradient of a table is %s, not f32",
                        tti_dtype_name(dt->dtype));
    return TT_OK;
}

/* Adds the terms of the gradient rows that lie in the slab. */
static tt_status add_up(tti_exec *e, const tti_node *n, const tti_slab *s, size_t rows) {
    const size_t cols = tti_x_cols(e, n->in[DY]);
    if (!tti_x_accumulate(e, n))
        TT_TRY(tti_mem_fill0(e->dev, s->mem, 0, rows * cols * sizeof(float)));
    /* Many rows: a work-group takes a whole one. Few rows (token types): the columns are shared out
     * and, on GPUs, the terms too. */
    const bool few = n->attr.i[FEW] != 0;
    const int colv = few ? tti_x_colv(e) : e->caps->wg;
    tti_launch k =
        tti_kernel(e->dev, "embed", "embed_bwd", tti_x_defines(e, "-DADD=0 -DCOLV=%d", colv));
    tti_arg_mem(&k, s->mem);
    for (int i = DY; i <= DST; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)s->row0);
    tti_arg_i32(&k, (int)rows);
    tti_arg_i32(&k, (int)cols);
    return tti_x_run_2d(e, &k, tti_x_rows(e, n->in[DST]),
                        few ? tti_x_column_groups(e, cols, colv) : 1);
}

static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) {
    size_t nslabs;
    const tti_slab *slabs = tti_x_slabs(e, n->out[0], &nslabs);
    if (nslabs == 1) return add_up(e, n, slabs, tti_x_rows(e, n->out[0])); /* slots of this step */
    for (size_t i = 0; i < nslabs; i++) TT_TRY(add_up(e, n, &slabs[i], slabs[i].rows));
    return TT_OK;
}

static const tti_op op_bwd = {.name = "embed_bwd", .shape = shape_bwd, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[0]);
    const int which = n->attr.i[WHICH];
    if (tti_grad_wanted(g, n->in[TABLE])) {
        tti_input perm = TTI_IN_IDS_PERM; /* START and DST follow it */
        if (which == TTI_IN_POSID_SEL) perm = TTI_IN_POS_PERM;
        if (which == TTI_IN_TYPE_SEL) perm = TTI_IN_TYPE_PERM;
        const tti_val in[] = {dy, tti_graph_input(g, perm),
                              tti_graph_input(g, (tti_input)(perm + 1)),
                              tti_graph_input(g, (tti_input)(perm + 2))};
        const tti_attr attr = {.i = {[FEW] = which == TTI_IN_TYPE_SEL}};
        tti_grad_emit_param(g, n->in[TABLE], &op_bwd, in, 4, &attr);
    }
    tti_grad_add(g, n->in[ADD], dy);
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "embed", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_embed(tti_graph *g, tti_val table, tti_input which, tti_val add) {
    const tti_attr attr = {.i = {[WHICH] = (int)which}};
    const tti_val in[] = {table, tti_graph_input(g, which), add};
    /* Rows of REST get no gradient whatever the region in which they are built. */
    const bool rest =
        which == TTI_IN_IDS_REST || which == TTI_IN_POSID_REST || which == TTI_IN_TYPE_REST;
    const bool before = tti_graph_no_grad(g, true);
    tti_graph_no_grad(g, before || rest);
    const tti_val y = tti_emit(g, &op, in, 3, &attr);
    tti_graph_no_grad(g, before);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true; /* rows of the table, which is there */
    return y;
}
