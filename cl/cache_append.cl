// SPDX-License-Identifier: Apache-2.0
// cache_append.cl - keys and values of new rows put where the sequences keep theirs.
//   kept_k[row[i]] = k[i];  kept_v[row[i]] = v[i]
// shapes   k, v [rows, cols]  row [rows]  kept_k, kept_v [cache rows, cols]
// launch   one work-group a row
// defines  WG, VW
// numbers  copies
#include "common.clh"

TT_KERNEL void cache_append(global float *kept_k, global float *kept_v, global const float *k,
                            global const float *v, global const int *row, const int cols) {
    const size_t from = (size_t)get_group_id(0) * cols, to = (size_t)row[get_group_id(0)] * cols;
    ROW_LOOP_V(c, cols) {
        STV(kept_k, to + c, LDV(k, from + c));
        STV(kept_v, to + c, LDV(v, from + c));
    }
    ROW_LOOP_1(c, cols) {
        ST(kept_k, to + c, LD(k, from + c));
        ST(kept_v, to + c, LD(v, from + c));
    }
}
