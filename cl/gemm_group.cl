// SPDX-License-Identifier: Apache-2.0
// gemm_group.cl - matrix product for GPUs: a work-group of TX x TY work-items computes a block of
// (TY * RY) x (TX * RX) elements, RY x RX of them in a work-item's registers, from slices of A and
// B, DEPTH ks deep, in local memory.
//   C[m,n] = act(alpha * op(A) op(B) + bias + residual)  or  C += alpha * op(A) op(B)
// shapes   as in gemm_tile.cl
// launch   {ceil(n / (TX * RX)), ceil(m / (TY * RY))} work-groups of TX x TY
// defines  TA, TB, TX, TY, RX, RY, DEPTH, a multiple of 4 like TX * RX; B's of quant.clh
// numbers  an element is one chain of fma over k in order, from 0: the bits of gemm_tile.cl
#include "gemm_common.clh"

#ifndef TX
#define TX 16
#endif
#ifndef TY
#define TY 16
#endif
#ifndef RX
#define RX 4
#endif
#ifndef RY
#define RY 4
#endif
#ifndef DEPTH
#define DEPTH 16
#endif
#define BX (TX * RX)
#define BY (TY * RY)
#define ITEMS (TX * TY)

// Neighbouring work-items read neighbouring addresses, whichever way the operand is stored; one
// float of padding a row keeps the turned stores off one bank.
#define SLICE(name, size, minor_is_k, first, count, LOAD)                                       \
    for (int e = id; e < DEPTH * size; e += ITEMS) {                                            \
        const int d = minor_is_k ? e % DEPTH : e / size, i = minor_is_k ? e / DEPTH : e % size; \
        const bool in = k0 + d < k && first + i < count;                                        \
        name[d][i] = in ? LOAD : 0.0f;                                                          \
    }

#if QT != QT_F32
// B's slice, where elements are smaller than a float: runs of four, which share a scale.
static inline void slice_b(local float (*bs)[BX + 1], const tt_stored *b, size_t ldb, int id,
                           int j0, int n, int k0, int k) {
    for (int e = id; e < DEPTH * BX / 4; e += ITEMS) {
#if TB
        const int d = e % (DEPTH / 4) * 4, i = e / (DEPTH / 4);
        const size_t at = (j0 + i) * ldb + k0 + d;
        const int there = j0 + i < n ? k - k0 - d : 0;
#else
        const int d = e / (BX / 4), i = e % (BX / 4) * 4;
        const size_t at = (k0 + d) * ldb + j0 + i;
        const int there = k0 + d < k ? n - j0 - i : 0;
#endif
        float4 x = (float4)(0.0f);
        if (there >= 4)
            x = tt_at4(b, at);
        else if (there > 0)
            x = (float4)(tt_at(b, at), there > 1 ? tt_at(b, at + 1) : 0.0f,
                         there > 2 ? tt_at(b, at + 2) : 0.0f, 0.0f);
#if TB
        bs[d][i] = x.x, bs[d + 1][i] = x.y, bs[d + 2][i] = x.z, bs[d + 3][i] = x.w;
#else
        bs[d][i] = x.x, bs[d][i + 1] = x.y, bs[d][i + 2] = x.z, bs[d][i + 3] = x.w;
#endif
    }
}
#endif

kernel __attribute__((reqd_work_group_size(TX, TY, 1))) void gemm_group(GEMM_ARGS) {
    GEMM_BEGIN;
    local float as[DEPTH][BY + 1], bs[DEPTH][BX + 1], out[RX][ITEMS];
    const int tx = get_local_id(0), ty = get_local_id(1), id = ty * TX + tx;
    const int j0 = get_group_id(0) * BX, i0 = get_group_id(1) * BY;
    float sum[RY][RX];
#pragma unroll
    for (int y = 0; y < RY; y++)
#pragma unroll
        for (int x = 0; x < RX; x++) sum[y][x] = 0.0f;
    for (int k0 = 0; k0 < k; k0 += DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
        SLICE(as, BY, !TA, i0, m, a[(size_t)(i0 + i) * A_ROW + (k0 + d) * A_K])
#if QT == QT_F32
        SLICE(bs, BX, TB, j0, n, b->data[(size_t)(j0 + i) * B_COL + (k0 + d) * B_K])
#else
        slice_b(bs, b, ldb, id, j0, n, k0, k);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        const int depth = min(DEPTH, k - k0); // not past k: adding 0 would turn -0 into 0
        for (int d = 0; d < depth; d++) {
            float av[RY], bv[RX];
#pragma unroll
            for (int y = 0; y < RY; y++) av[y] = as[d][ty + y * TY];
#pragma unroll
            for (int x = 0; x < RX; x++) bv[x] = bs[d][tx + x * TX];
#pragma unroll
            for (int y = 0; y < RY; y++)
#pragma unroll
                for (int x = 0; x < RX; x++) sum[y][x] = fma(av[y], bv[x], sum[y][x]);
        }
    }
    // Rolled loops, so that the epilogue's code is there once: a row of sums is picked by selects,
    // which keeps the sums in registers, and passed on through a work-item's own local memory.
#pragma unroll 1
    for (int y = 0; y < RY; y++) {
#pragma unroll
        for (int x = 0; x < RX; x++) {
            float picked = sum[0][x];
#pragma unroll
            for (int z = 1; z < RY; z++) picked = y == z ? sum[z][x] : picked;
            out[x][id] = picked;
        }
        const int i = i0 + ty + y * TY;
#pragma unroll 1
        for (int x = 0; x < RX; x++) {
            const int j = j0 + tx + x * TX;
            if (i >= m || j >= n) continue;
            const size_t at = (size_t)i * ldc + j;
            gemm_end(out[x][id], alpha, flags, 1, c + at, bias + j, residual + at);
        }
    }
}
