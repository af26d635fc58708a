// SPDX-License-Identifier: Apache-2.0
// dequantise.cl - part of a matrix of any storage type as f32, for libraries that multiply only
// these: to[r,j] = b[row + r, col + j]
// shapes   b: rows of ld elements; to: float[rows,cols] from to_at on; any sizes
// launch   {ceil(cols / RUN), rows} work-items
// defines  RUN elements of a row that a work-item takes, VW; those of quant.clh
// numbers  float; the values that the stored type stands for, as host/storage/dequantise.c has them
#include "quant.clh"

#ifndef RUN
#define RUN 64
#endif

kernel void dequantise(TT_STORED_ARGS(b_), const int ld, const int row, const int col,
                       const int cols, global float *to, const uint to_at) {
    const tt_stored b = TT_STORED(b_);
    const size_t r = get_global_id(1), from = (row + r) * ld + col;
    to += to_at + r * cols;
    int j = get_global_id(0) * RUN;
    const int end = min(cols, j + RUN);
    for (; j + VW <= end; j += VW) STV(to, j, tt_at_v(&b, from + j));
    for (; j < end; j++) to[j] = tt_at(&b, from + j);
}
