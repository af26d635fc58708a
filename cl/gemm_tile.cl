// SPDX-License-Identifier: Apache-2.0
// gemm_tile.cl - matrix product for CPUs: a work-item computes ROWS x (VECTORS * VW) elements at a
// time in registers, from a panel of B that it packs into local memory.
//   C[m,n] = act(alpha * op(A) op(B) + bias + residual)  or  C += alpha * op(A) op(B)
//
//        B  | panel, COLS wide |          for each block of K_BLOCK ks:
//           | packed [k][COLS] |            pack the panel
//   A  ---------------------------          for each ROWS rows of the block of rows:
//   ROWS rows -> | C tile |                   go on with their sums (micro), then the epilogue
//
// shapes   A: float[m,k], or [k,m] with TA; B: float[k,n], or [n,k] with TB; C, residual:
//          float[m,n] with ldc; bias: float[n]; any leading dimension, m, n >= 1, k >= 0; B of any
//          storage type, unpacked to float while it is packed
// launch   {ceil(n / COLS), ceil(m / block_rows)} work-groups of one work-item
//          scratch: COLS * (k_block + (k_block < k ? block_rows : ROWS)) floats
// defines  TA, TB, ROWS 1..16, VECTORS 1..4, VW; B's of quant.clh
// numbers  an element is one chain of fma over k in order, from 0; sums of unfinished ks wait in
//          scratch. The bits do not depend on ROWS, VECTORS, VW, k_block or block_rows.
#include "gemm_common.clh"

#ifndef ROWS
#define ROWS 4
#endif
#ifndef VECTORS
#define VECTORS 1
#endif
#define COLS (VECTORS * VW)

// EACH_V(F, r): F(r, v) for each vector; EACH_R(F): F(r) for each row. Accumulators are named
// variables, as compilers keep arrays of them in memory.
#define EACH_V1(F, r) F(r, 0)
#define EACH_V2(F, r) EACH_V1(F, r) F(r, 1)
#define EACH_V3(F, r) EACH_V2(F, r) F(r, 2)
#define EACH_V4(F, r) EACH_V3(F, r) F(r, 3)
#define EACH_V(F, r) TT_CAT(EACH_V, VECTORS)(F, r)
#define EACH_R1(F) F(0)
#define EACH_R2(F) EACH_R1(F) F(1)
#define EACH_R3(F) EACH_R2(F) F(2)
#define EACH_R4(F) EACH_R3(F) F(3)
#define EACH_R5(F) EACH_R4(F) F(4)
#define EACH_R6(F) EACH_R5(F) F(5)
#define EACH_R7(F) EACH_R6(F) F(6)
#define EACH_R8(F) EACH_R7(F) F(7)
#define EACH_R9(F) EACH_R8(F) F(8)
#define EACH_R10(F) EACH_R9(F) F(9)
#define EACH_R11(F) EACH_R10(F) F(10)
#define EACH_R12(F) EACH_R11(F) F(11)
#define EACH_R13(F) EACH_R12(F) F(12)
#define EACH_R14(F) EACH_R13(F) F(13)
#define EACH_R15(F) EACH_R14(F) F(14)
#define EACH_R16(F) EACH_R15(F) F(15)
#define EACH_R(F) TT_CAT(EACH_R, ROWS)(F)

// Rows past the last one repeat it: their sums are computed and thrown away.
#define ROW_AT(r) const size_t at##r = (size_t)min(r, last_row) * A_ROW;
#define INIT(r, v) floatv c##r##_##v = first ? SPLAT(0.0f) : LDV(sums, (r)*COLS + (v)*VW);
#define INIT_R(r) EACH_V(INIT, r)
#define LOAD_B(r, v) const floatv b##v = LDV(bk, (v)*VW);
#define FMA(r, v) c##r##_##v = fma(x, b##v, c##r##_##v);
#define FMA_R(r)                           \
    {                                      \
        const floatv x = SPLAT(ak[at##r]); \
        EACH_V(FMA, r)                     \
    }
#define STEP(u)                                   \
    {                                             \
        local const float *bk = panel + (u)*COLS; \
        global const float *ak = a + (u)*A_K;     \
        EACH_V(LOAD_B, 0)                         \
        EACH_R(FMA_R)                             \
    }
#define OUT(r, v) STV(sums, (r)*COLS + (v)*VW, c##r##_##v);
#define OUT_R(r) EACH_V(OUT, r)

static inline void micro(global const float *a, size_t lda, int last_row, local const float *panel,
                         int k, bool first, local float *sums) {
    EACH_R(ROW_AT)
    EACH_R(INIT_R)
    for (; k >= 4; k -= 4) {
        STEP(0)
        STEP(1)
        STEP(2)
        STEP(3)
        panel += 4 * COLS;
        a += 4 * A_K;
    }
    for (; k > 0; k--) {
        STEP(0)
        panel += COLS;
        a += A_K;
    }
    EACH_R(OUT_R)
}

#if TB
// Four ks of four columns of B, which are rows in memory: turned.
static inline void turn(local float *panel, float4 p, float4 q, float4 r, float4 s) {
    const float4 t = (float4)(p.s01, q.s01), u = (float4)(p.s23, q.s23);
    const float4 v = (float4)(r.s01, s.s01), w = (float4)(r.s23, s.s23);
    vstore4((float4)(t.s02, v.s02), 0, panel);
    vstore4((float4)(t.s13, v.s13), 0, panel + COLS);
    vstore4((float4)(u.s02, w.s02), 0, panel + 2 * COLS);
    vstore4((float4)(u.s13, w.s13), 0, panel + 3 * COLS);
}

static inline void turn_v(local float *panel, floatv p, floatv q, floatv r, floatv s) {
#if VW == 4
    turn(panel, p, q, r, s);
#elif VW == 8
    turn(panel, p.lo, q.lo, r.lo, s.lo);
    turn(panel + 4 * COLS, p.hi, q.hi, r.hi, s.hi);
#else
    turn(panel, p.lo.lo, q.lo.lo, r.lo.lo, s.lo.lo);
    turn(panel + 4 * COLS, p.lo.hi, q.lo.hi, r.lo.hi, s.lo.hi);
    turn(panel + 8 * COLS, p.hi.lo, q.hi.lo, r.hi.lo, s.hi.lo);
    turn(panel + 12 * COLS, p.hi.hi, q.hi.hi, r.hi.hi, s.hi.hi);
#endif
}

// The ks of four columns.
static inline void pack4(const tt_stored *b, size_t at, size_t ldb, int kn, local float *panel) {
    int k = 0;
    for (; Q_WHOLE_STEPS(at | ldb) && k + QSTEP <= kn; k += QSTEP) {
        const float p = tt_scale_at(b, at), q = tt_scale_at(b, at + ldb);
        const float r = tt_scale_at(b, at + 2 * ldb), s = tt_scale_at(b, at + 3 * ldb);
        for (int u = 0; u < QSTEP; u += VW, at += VW)
            turn_v(panel + (k + u) * COLS, tt_block_v(b, at, p), tt_block_v(b, at + ldb, q),
                   tt_block_v(b, at + 2 * ldb, r), tt_block_v(b, at + 3 * ldb, s));
    }
#if !QUANTISED
    for (; k + 4 <= kn; k += 4, at += 4)
        turn(panel + k * COLS, tt_at4(b, at), tt_at4(b, at + ldb), tt_at4(b, at + 2 * ldb),
             tt_at4(b, at + 3 * ldb));
#endif
    for (; k < kn; k++, at++)
        for (int c = 0; c < 4; c++) panel[k * COLS + c] = tt_at(b, at + c * ldb);
}
#endif

// Columns n..COLS of the panel become 0: they take part in the tile and are not stored.
static inline void pack(const tt_stored *b, size_t at, size_t ldb, int n, int kn,
                        local float *panel) {
#if TB
    int j = 0;
    for (; j + 4 <= n; j += 4) pack4(b, at + j * ldb, ldb, kn, panel + j);
    for (; j < COLS; j++)
        for (int k = 0; k < kn; k++)
            panel[k * COLS + j] = j < n ? tt_at(b, at + j * ldb + k) : 0.0f;
#else
    for (int k = 0; k < kn; k++, at += ldb, panel += COLS) {
        int j = 0;
        for (; j + VW <= n; j += VW) STV(panel, j, tt_at_v(b, at + j));
        for (; j < COLS; j++) panel[j] = j < n ? tt_at(b, at + j) : 0.0f;
    }
#endif
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_tile(GEMM_ARGS, const int block_rows, const int k_block, local float *scratch) {
    GEMM_BEGIN;
    const size_t j0 = get_group_id(0) * COLS, i0 = get_group_id(1) * (size_t)block_rows;
    const int cols = min(COLS, n - (int)j0), rows = min(block_rows, m - (int)i0);
    local float *panel = scratch, *waiting = scratch + k_block * COLS;
    int k0 = 0;
    do {
        const int kn = min(k_block, k - k0);
        pack(b, j0 * B_COL + (size_t)k0 * B_K, ldb, cols, kn, panel);
        for (int i = 0; i < rows; i += ROWS) {
            local float *sums = waiting + (k_block < k ? i * COLS : 0);
            micro(a + (i0 + i) * A_ROW + (size_t)k0 * A_K, lda, rows - 1 - i, panel, kn, k0 == 0,
                  sums);
            if (k0 + kn < k) continue;
            for (int r = 0; r < min(ROWS, rows - i); r++) {
                const size_t at = (i0 + i + r) * ldc + j0;
                // Most often: whole vectors, whose number is known, and no activation.
                if (cols == COLS && !GEMM_ACT(flags)) {
                    for (int j = 0; j < COLS; j += VW)
                        STV(c, at + j,
                            gemm_sum(LDV(sums, r * COLS + j), alpha, flags, VW, c + at + j,
                                     bias + j0 + j, residual + at + j));
                    continue;
                }
                for (int j = 0; j < cols; j += VW)
                    gemm_end(LDV(sums, r * COLS + j), alpha, flags, min(VW, cols - j), c + at + j,
                             bias + j0 + j, residual + at + j);
            }
        }
        k0 += kn;
    } while (k0 < k);
}
