// SPDX-License-Identifier: Apache-2.0
// attention_dkv.cl - gradient of the SEL keys and values, by blocks of keys; formulae in
// attention_bwd.cl, whose attention_dq has written delta.
// shapes   q, g (= do) [sel, HEADS*DH]  lse, delta [sel, HEADS]  ks, vs, dk, dv [sel, KVH*DH]
//          blk [blocks, 4]: blocks of keys  qseq, spos [sel]  soff [seq+1]
// launch   global {blocks * WG, KVH}, local {WG, 1}; lanes are keys
// defines  attention.clh; WANT_DK, WANT_DV: 0 skips that gradient (its pointer may be null)
// numbers  float; heads, then queries in order: the bits of a row depend on its sequence alone
#include "attention.clh"

#ifndef WANT_DK
#define WANT_DK 1
#define WANT_DV 1
#endif
#define SEES_SOME (CAUSAL + WINDOW > 0) // not every pair counts

// As att_mask, with keys in the lanes and n queries staged.
ATT_INLINE void att_mask_keys(floatv *s, TILE const int *qp, int n, const intv *kp) {
    for (int j = 0; j < n; j++)
        for (int u = 0; u < NQ; u++) {
            floatv v = s[j * NQ + u];
            v = (intv)(qp[j]) == (intv)(INT_MAX) ? SPLAT(-INFINITY) : v;
#if CAUSAL
            v = kp[u] > (intv)(qp[j]) ? SPLAT(-INFINITY) : v;
#endif
#if WINDOW
            v = kp[u] <= (intv)(qp[j]) - WINDOW ? SPLAT(-INFINITY) : v;
#endif
            s[j * NQ + u] = v;
        }
}

#if DROP
// As att_keep: the same numbers, with keys in the lanes.
ATT_INLINE intv att_keep_keys(intv kp, int qp, uint seq, uint key, uint seed, uint step) {
    uintv r[4];
    att_philox(as_uintv(kp >> 3), (uintv)(qp), (uintv)(seq), (uintv)(key), seed, step, r);
    const intv word = (kp >> 1) & 3;
    uintv x = word == 1 ? r[1] : r[0];
    x = word == 2 ? r[2] : x;
    x = word == 3 ? r[3] : x;
    x = (x >> as_uintv((kp & 1) << 4)) & (uintv)(0xFFFFu);
    return x >= (uintv)(DROP) ? (intv)(-1) : (intv)(0);
}
#endif

// Queries of a tile: numbers by row.
typedef struct {
    float q[KB * DH], g[KB * DH], lse[KB], delta[KB];
    int pos[KB];
} att_queries;

// Turns scores s and products dp = SCALE do.v into w (in s) and ds (in dp) for n staged queries.
ATT_INLINE void att_gradients_keys(floatv *s, floatv *dp, TILE const att_queries *t, int n,
                                   const intv *kp, uint seqno, uint key, uint seed, uint step) {
    for (int j = 0; j < n; j++)
        for (int u = 0; u < NQ; u++) {
            const int i = j * NQ + u;
            const floatv p = att_exp2(s[i] - SPLAT(t->lse[j]));
            floatv w = p, x = dp[i];
#if DROP
            const intv keep = att_keep_keys(kp[u], t->pos[j], seqno, key, seed, step);
            w = keep != 0 ? p * SPLAT(KEEP) : SPLAT(0.0f);
            x = keep != 0 ? x * SPLAT(KEEP) : SPLAT(0.0f);
#endif
            floatv ds = p * (x - SPLAT(t->delta[j]));
#if SOFTCAP
            ds = p == SPLAT(0.0f) ? SPLAT(0.0f) : ds * ATT_CAP_D(s[i]);
#endif
            dp[i] = ds;
            s[i] = w;
        }
}

kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_dkv(global float *restrict dk, global float *restrict dv, global const float *restrict g,
              global const float *restrict lse, global const float *restrict delta,
              global const float *restrict q, global const float *restrict ks,
              global const float *restrict vs, global const int *restrict blk,
              global const int *restrict qseq, global const int *restrict spos,
              global const int *restrict soff, const uint seed, const uint step,
              const uint stream) {
    TILE att_queries tile;
    global const int *b = blk + 4 * get_group_id(0);
    const int row0 = b[0], rows = b[1], kh = get_group_id(1);
    const int first = soff[b[2]], total = soff[b[2] + 1] - first;
    const int kmin = spos[row0], kmax = spos[row0 + rows - 1];
    const uint seqno = DROP ? qseq[row0] : 0;
    floatv k[DH * NQ], v[DH * NQ], ak[DH * NQ], av[DH * NQ], s[KB * NQ], dp[KB * NQ], one[NQ];
    intv kp[NQ];
    att_load_t(NQ, k, ks + kh * DH, KVH * DH, row0, rows, Q_SCALE);
    att_load_t(NQ, v, vs + kh * DH, KVH * DH, row0, rows, SCALE);
    att_load_pos(NQ, kp, spos, row0, rows);
    att_clear(NQ, ak);
    att_clear(NQ, av);
    for (int u = 0; u < NQ; u++) one[u] = SPLAT(1.0f);

    for (int h = kh * GROUP; h < (kh + 1) * GROUP; h++)
        for (int t = 0; t < total; t += KB) {
            const int n = min(KB, total - t), up = (n + KG - 1) / KG * KG;
            if (CAUSAL && spos[first + t + n - 1] < kmin) continue;
            if (WINDOW != 0 && spos[first + t] - WINDOW >= kmax) break;
            const size_t row = first + t;
            TILE_BARRIER;
            att_stage(tile.q, q + row * HEADS * DH + h * DH, HEADS * DH, n);
            att_stage(tile.g, g + row * HEADS * DH + h * DH, HEADS * DH, n);
            att_stage_pos(tile.pos, spos, row, n);
            for (int j = ATT_LID; j < up; j += WG) {
                const size_t i = (row + min(j, n - 1)) * HEADS + h;
                tile.lse[j] = lse[i] == -INFINITY ? FLT_MAX : lse[i] * LOG2E;
                tile.delta[j] = delta[i];
            }
            TILE_BARRIER;
            for (int j = 0; j < up; j += KG) att_dots(NQ, s + j * NQ, k, tile.q + j * DH);
            for (int j = 0; j < up; j += KG) att_dots(NQ, dp + j * NQ, v, tile.g + j * DH);
            if (SOFTCAP)
                for (int j = 0; j < up * NQ; j++) s[j] = ATT_CAPPED(s[j]);
            if (SEES_SOME || n % KG != 0) att_mask_keys(s, tile.pos, up, kp);
            att_gradients_keys(s, dp, &tile, up, kp, seqno, DROP_KEY(stream, h), seed, step);
            for (int j = 0; j < up; j += KG) {
                if (WANT_DV) att_axpys(NQ, av, s + j * NQ, tile.g + j * DH);
                if (WANT_DK) att_axpys(NQ, ak, dp + j * NQ, tile.q + j * DH);
            }
        }
    if (WANT_DK) att_store_t(NQ, ak, dk + kh * DH, KVH * DH, row0, rows, one);
    if (WANT_DV) att_store_t(NQ, av, dv + kh * DH, KVH * DH, row0, rows, one);
}
