// SPDX-License-Identifier: Apache-2.0
/* store.c - values in fewer bits and back; kernels cl/store.cl. tti_graph_store puts these ops in.
 */
#include "host/ops/launch.h"

enum { X };    /* input */
enum { TYPE }; /* attr.i: the type in fewer bits, a tti_dtype */

/* All kernels of the file with one set of defines, so that they are one program. */
static const char *defines(tti_exec *e, const tti_node *n) {
    return tti_x_defines(e, "-DCHUNK=%d -DEACH=%d -DTYPE_%s", tti_x_chunk(e), tti_x_each(e),
                         tti_dtype_name((tti_dtype)n->attr.i[TYPE]));
}

static tt_status shape_store(tti_graph *g, tti_node *n) {
    tti_shape y = *tti_val_shape(g, n->in[X]);
    const tti_dtype t = (tti_dtype)n->attr.i[TYPE];
    if (y.dtype != TTI_F32 || (t != TTI_F16 && t != TTI_BF16 && t != TTI_Q8))
        return tti_fail(TT_E_SHAPE, "store: %s of %s as %s", tti_shape_str(&y),
                        tti_dtype_name(y.dtype), tti_dtype_name(t));
    y.dtype = t;
    tti_out(g, n, 0, y);
    return TT_OK;
}

static tt_status shape_load(tti_graph *g, tti_node *n) {
    tti_shape y = *tti_val_shape(g, n->in[X]);
    if ((int)y.dtype != n->attr.i[TYPE])
        return tti_fail(TT_E_SHAPE, "load: %s is %s, not %s", tti_shape_str(&y),
                        tti_dtype_name(y.dtype), tti_dtype_name((tti_dtype)n->attr.i[TYPE]));
    y.dtype = TTI_F32;
    tti_out(g, n, 0, y);
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n, const char *kernel) {
    tti_launch k = tti_kernel(e->dev, "store", kernel, defines(e, n));
    const tti_val y = n->out[0];
    tti_arg_mem(&k, tti_x_mem(e, y));
    tti_arg_mem(&k, tti_x_mem(e, n->in[X]));
    if (n->attr.i[TYPE] != TTI_Q8) return tti_x_run_chunks(e, &k, y);
    tti_arg_i32(&k, (int)tti_x_rows(e, y));
    tti_arg_i32(&k, (int)tti_x_cols(e, y));
    return tti_x_run_rows(e, &k, tti_x_rows(e, y), tti_x_cols(e, y));
}

static tt_status enqueue_store(tti_exec *e, const tti_node *n) { return enqueue(e, n, "store"); }
static tt_status enqueue_load(tti_exec *e, const tti_node *n) { return enqueue(e, n, "load"); }

const tti_op tti_op_store = {.name = "store", .shape = shape_store, .enqueue = enqueue_store};
const tti_op tti_op_load = {.name = "load", .shape = shape_load, .enqueue = enqueue_load};
