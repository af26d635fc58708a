// SPDX-License-Identifier: Apache-2.0
/* support_slabs.h - ops that read a matrix: the same graph is run over a matrix w as one buffer of
 * f32, and over w in slabs of every storage type, whose numbers the first was given. Results must
 * have the same bits, but for sums over slabs; gradients kept in 16 bits those of the f32 ones
 * rounded. The provider of matrix products is `tile`. */
#ifndef TT_TESTS_OP_SUPPORT_SLABS_H
#define TT_TESTS_OP_SUPPORT_SLABS_H

#include "tests/op/support_op.h"

enum { TD_SUM_Y = 1, TD_SUM_DW = 2, TD_SUM_OTHERS = 4 }; /* y, the gradient of w, of others */
typedef struct td_slab_case td_slab_case;
struct td_slab_case {
    const char *why;
    const td_batch *batch;
    size_t rows, cols; /* of w */
    /* Gives y, or the loss. Parameters beside w get one buffer of f32. */
    tti_val (*build)(tti_graph *g, tti_val w, const td_slab_case *c);
    int sums;             /* TD_SUM_*: what is summed up over the slabs, or goes with such a sum */
    bool short_gradients; /* gradients may be f16 and bf16 */
    bool sparse;          /* w's gradient has slots */
    bool coarse;          /* the numbers are multiples of 1/32 */
    bool large;           /* for one shape of kernels only */
    int i;
};

/* For a table that ends with why NULL. */
void td_check_slabs(const td_slab_case *cases);

#endif
