// SPDX-License-Identifier: Apache-2.0
// gemm_epilogue.cl - what a product needs beyond alpha and beta, after libraries that know only
// these.
//   C[i,j] = act(scale * C[i,j] + bias[j] + residual[i,j]), where scale is 0 or 1 and 0 does not
//   read C: the product of an empty k
// shapes   C, residual: float[m,n] with ldc; bias: float[n]
// launch   {ceil(n / RUN), m} work-items
// defines  RUN elements of a row that a work-item takes
// numbers  float; an element's bits do not depend on its place
#include "gemm_common.clh"

#ifndef RUN
#define RUN 64
#endif

kernel void gemm_epilogue(const int n, const int ldc, global float *c, const uint c_at,
                          global const float *bias, const uint bias_at,
                          global const float *residual, const int scale, const int flags) {
    c += c_at, bias += bias_at, residual += c_at;
    const size_t row = get_global_id(1) * (size_t)ldc;
    const int end = min(n, (int)(get_global_id(0) + 1) * RUN);
    for (int j = get_global_id(0) * RUN; j < end; j++)
        gemm_end(scale ? c[row + j] : 0.0f, 1.0f, flags, 1, c + row + j, bias + j,
                 residual + row + j);
}
