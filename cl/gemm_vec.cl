// SPDX-License-Identifier: Apache-2.0
// gemm_vec.cl - matrix product of few rows with a large B, which is read once, as it lies in
// memory: what a decoding step is made of.
//   C[m,n] = act(alpha * A op(B) + bias + residual)  or  C += alpha * A op(B)
// shapes   A: float[m,k]; B: float[n,k] with TB, else float[k,n]; C, residual: float[m,n] with ldc;
//          bias: float[n]; any leading dimension, m, n >= 1, k >= 0; B of any storage type
// launch   WG 1: {ceil(n / COLS)} work-groups of one work-item; each goes through its columns for
//          RM rows of A at a time, and B stays in the first-level cache for the next RM rows
//          WG > 1: TB: {n * WG}, a work-group a column; else {ceil(n / WG) * WG}, a work-item a
//          column
// defines  TB, COLS, RM 1..4 rows of A at a time, VW, WG
// numbers  with TB, WG * VW sums of every WG * VW-th product (fma, ks in order, the last ones
//          padded with zeros), then added halves first; without, one chain of fma over k. The bits
//          of a row of C depend on A's row, on B and on WG and VW, not on m, RM or COLS.
#include "gemm_common.clh"

#ifndef RM
#define RM 1
#endif
#ifndef COLS
#define COLS 32
#endif

#if TB
// Rows of B read side by side on CPUs: so many chains of additions go on at once.
#if WG == 1
#define RN 4
#else
#define RN 1
#endif

// What VW ks of RN columns, bv, add to the sums of RM rows.
#define FMAS(at)                                                         \
    _Pragma("unroll") for (int q = 0; q < RM; q++) {                     \
        const floatv av = LDV(ar[q], at);                                \
        _Pragma("unroll") for (int r = 0; r < RN; r++) acc[q * RN + r] = \
            fma(av, bv[r], acc[q * RN + r]);                             \
    }

// s[q*RN+r] = row i+q of A times row j+r of B; rows past the last one repeat it.
static inline void dots(float *s, global const float *a, size_t lda, int rows, const tt_stored *b,
                        size_t b_at, size_t ldb, int cols, int k) {
    floatv acc[RM * RN];
#pragma unroll
    for (int i = 0; i < RM * RN; i++) acc[i] = SPLAT(0.0f);
    global const float *ar[RM];
    size_t br[RN];
#pragma unroll
    for (int q = 0; q < RM; q++) ar[q] = a + (size_t)min(q, rows - 1) * lda;
#pragma unroll
    for (int r = 0; r < RN; r++) br[r] = b_at + (size_t)min(r, cols - 1) * ldb;
    int at = (int)get_local_id(0) * VW;
#if QUANTISED && WG == 1
    for (; Q_WHOLE_STEPS(b_at | ldb) && at + QSTEP <= k; at += QSTEP) {
        float scale[RN];
#pragma unroll
        for (int r = 0; r < RN; r++) scale[r] = tt_scale_at(b, br[r] + at);
#pragma unroll
        for (int u = at; u < at + QSTEP; u += VW) {
            floatv bv[RN];
#pragma unroll
            for (int r = 0; r < RN; r++) bv[r] = tt_block_v(b, br[r] + u, scale[r]);
            FMAS(u)
        }
    }
#endif
    for (; at + VW <= k; at += WG * VW) {
        floatv bv[RN];
#pragma unroll
        for (int r = 0; r < RN; r++) bv[r] = tt_at_v(b, br[r] + at);
        FMAS(at)
    }
    if (at < k)
        for (int q = 0; q < RM; q++)
            for (int r = 0; r < RN; r++)
                acc[q * RN + r] = fma(tt_load_part(ar[q] + at, k - at),
                                      tt_at_v_part(b, br[r] + at, k - at), acc[q * RN + r]);
#pragma unroll
    for (int i = 0; i < RM * RN; i++) s[i] = SUMV(acc[i]);
}

TT_KERNEL void gemm_vec(GEMM_ARGS) {
    GEMM_BEGIN;
    TT_SUM_LOCAL(tmp);
    const int first = get_group_id(0) * COLS, end = min(first + COLS, n);
    for (int j = first; j < end; j += RN)
        for (int i = 0; i < m; i += RM) {
            float s[RM * RN];
            dots(s, a + i * lda, lda, m - i, b, j * ldb, ldb, n - j, k);
#if WG == 1
            for (int q = 0; q < min(RM, m - i); q++) {
                const size_t at = (size_t)(i + q) * ldc + j;
                float t[VW > RN ? VW : RN];
                for (int r = 0; r < RN; r++) t[r] = s[q * RN + r];
                for (int r = RN; r < VW; r++) t[r] = 0.0f;
                for (int r = 0; r < min(RN, end - j); r += VW)
                    gemm_end(LDV(t, r), alpha, flags, min(min(RN, VW), end - j - r), c + at + r,
                             bias + j + r, residual + at + r);
            }
#else
            // Rows past the last one are summed too: every work-item meets the same barriers.
#pragma unroll
            for (int q = 0; q < RM; q++) s[q] = WG_SUM(s[q], tmp);
            const int q = get_local_id(0);
            if (q < min(RM, m - i)) {
                float mine = s[0];
#pragma unroll
                for (int r = 1; r < RM; r++) mine = q == r ? s[r] : mine;
                const size_t at = (size_t)(i + q) * ldc + j;
                gemm_end(SPLAT(mine), alpha, flags, 1, c + at, bias + j, residual + at);
            }
#endif
        }
}
#else
// Columns side by side; on CPUs a band of NV vectors.
#if WG == 1
#define NV (COLS / VW)
#else
#define NV 1
#endif

// NV vectors of B from i on; whole: i is where a step begins, or the half of one.
static inline void band(floatv *bv, const tt_stored *b, size_t i, bool whole) {
#if QUANTISED && WG == 1
    if (whole) {
        float scale = 0.0f;
#pragma unroll
        for (int v = 0; v < NV; v++) {
            if (v * VW % QSTEP == 0) scale = tt_scale_at(b, i + v * VW);
            bv[v] = tt_block_v(b, i + v * VW, scale);
        }
        return;
    }
#endif
#pragma unroll
    for (int v = 0; v < NV; v++) bv[v] = tt_at_v(b, i + v * VW);
}

TT_KERNEL void gemm_vec(GEMM_ARGS) {
    GEMM_BEGIN;
    const int j = get_global_id(0) * NV * VW;
    if (j >= n) return;
    const bool whole = Q_WHOLE_STEPS(ldb);
    for (int i = 0; i < m; i += RM) {
        floatv acc[RM * NV];
#pragma unroll
        for (int v = 0; v < RM * NV; v++) acc[v] = SPLAT(0.0f);
        if (j + NV * VW <= n) {
            for (int at = 0; at < k; at++) {
                floatv bv[NV];
                band(bv, b, at * ldb + j, whole);
#pragma unroll
                for (int q = 0; q < RM; q++) {
                    const floatv av = SPLAT(a[min(i + q, m - 1) * lda + at]);
#pragma unroll
                    for (int v = 0; v < NV; v++) acc[q * NV + v] = fma(av, bv[v], acc[q * NV + v]);
                }
            }
        } else {
            for (int at = 0; at < k; at++)
                for (int v = 0; v < NV && j + v * VW < n; v++) {
                    const floatv bv = tt_at_v_part(b, at * ldb + j + v * VW, n - j - v * VW);
#pragma unroll
                    for (int q = 0; q < RM; q++)
                        acc[q * NV + v] =
                            fma(SPLAT(a[min(i + q, m - 1) * lda + at]), bv, acc[q * NV + v]);
                }
        }
        for (int q = 0; q < min(RM, m - i); q++)
            for (int v = 0; v < NV && j + v * VW < n; v++) {
                const size_t at = (size_t)(i + q) * ldc + j + v * VW;
                gemm_end(acc[q * NV + v], alpha, flags, min(VW, n - j - v * VW), c + at,
                         bias + j + v * VW, residual + at);
            }
    }
}
#endif
