// SPDX-License-Identifier: Apache-2.0
/* product.h - matrix products with a parameter, or into its gradient, slab by slab. */
#ifndef TT_HOST_OPS_PRODUCT_H
#define TT_HOST_OPS_PRODUCT_H

#include "host/ops/ops.h"

/* What the rows of the parameter's matrix are in the product. */
typedef enum {
    TTI_ROWS_ARE_N, /* columns of C: each slab computes some of them */
    TTI_ROWS_ARE_K, /* terms of its sums: the slabs are added up in C, in order */
    TTI_ROWS_ARE_M, /* C is the parameter's gradient: each slab is some of its rows */
} tti_slab_role;

/* Enqueues the product `call` of the whole parameter (or gradient) v. What is v's is filled in
 * here: b, ldb, b_layout and shape.bt, or c of a gradient; the offsets in call are added to. A is
 * not transposed, but of a gradient it is. With one slab this is one product, as called. */
tt_status tti_x_product(tti_exec *e, const tti_gemm_plan *plan, const tti_gemm_call *call,
                        tti_val v, tti_slab_role role);

#endif
