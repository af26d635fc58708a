// SPDX-License-Identifier: Apache-2.0
// attention_bwd.cl - gradient of attention.cl, with probabilities computed again from lse.
//   p[i,j] = exp(s[i,j] - lse[i]), s as in attention.cl;  w = p / (1 - dropout) where kept, else 0
//   dv[j] = sum_i w[i,j] do[i];  dp[i,j] = do[i].v[j] / (1 - dropout) where kept, else 0
//   delta[i] = SCALE do[i].o[i];  ds[i,j] = cap'(s) p[i,j] (SCALE dp[i,j] - delta[i])
//   dq[i] = sum_j ds[i,j] k[j];  dk[j] = sum_i ds[i,j] q[i]
// attention_bwd does one key head of one sequence in one work-item (CPUs): each probability is
// computed, and dropped, once for dq, dk and dv. attention_dq does dq by blocks of queries and
// writes delta for attention_dkv.cl. No atomics anywhere.
// shapes   q, o, g (= do), dq [sel, HEADS*DH]  lse, delta [sel, HEADS]
//          ks, vs, dk, dv [sel, KVH*DH]  kr, vr [rest, KVH*DH]: constants
//          qseq, spos [sel]  rpos [rest]  soff, roff [seq+1]
//          kr, vr, rpos, roff are null where every row is selected
// launch   attention_bwd: global {sequences, KVH}, local {1, 1}, WG 1
//          attention_dq: global {blocks * WG, HEADS}, local {WG, 1}, WANT_DK and WANT_DV 0
// defines  attention.clh; WANT_DQ, WANT_DK, WANT_DV: 0 skips that gradient, its pointer may be null
// numbers  float; queries in order and keys in order: repeatable, and independent of the rest of
//          the batch and of how its rows are cut into blocks
#include "attention.clh"

#ifndef WANT_DQ
#define WANT_DQ 1
#define WANT_DK 1
#define WANT_DV 1
#endif
#if DH / CW % 2 == 0
#define NC 2 // vectors of columns that share a broadcast
#elif DH / CW % 3 == 0
#define NC 3
#else
#define NC 1
#endif

typedef struct {
    global float *dq, *dk, *dv, *delta;
    global const float *g, *o, *lse, *q, *ks, *vs, *kr, *vr;
    global const int *spos, *rpos, *soff, *roff;
    int seq;
    uint seqno, seed, step, stream;
} att_bwd_args;

// d[j] += sum over rows i of w[j,i] x[i] for n of the KG keys at d; w has ld numbers a key.
ATT_INLINE void att_outer(global float *d, const private float *w, int ld, int n,
                          global const float *x, int rows) {
    for (int c = 0; c < DH; c += CW * NC) {
        floatc a[KG * NC];
#pragma unroll
        for (int j = 0; j < KG; j++)
#pragma unroll
            for (int e = 0; e < NC; e++)
                a[j * NC + e] = j < n ? LDC(d + (size_t)j * KVH * DH + c + e * CW) : (floatc)(0.0f);
        for (int i = 0; i < rows; i++) {
            floatc y[NC];
#pragma unroll
            for (int e = 0; e < NC; e++) y[e] = LDC(x + (size_t)i * HEADS * DH + c + e * CW);
#pragma unroll
            for (int j = 0; j < KG; j++)
#pragma unroll
                for (int e = 0; e < NC; e++)
                    a[j * NC + e] = fma((floatc)(w[j * ld + i]), y[e], a[j * NC + e]);
        }
#pragma unroll
        for (int j = 0; j < KG; j++)
#pragma unroll
            for (int e = 0; e < NC; e++)
                if (j < n) STC(d + (size_t)j * KVH * DH + c + e * CW, a[j * NC + e]);
    }
}

// Turns scores s and products dp = SCALE do.v of a tile into w (in s) and ds (in dp).
ATT_INLINE void att_gradients(const int nq, floatv *s, floatv *dp, const floatv *lse,
                              const floatv *delta, const intv *keep, int n) {
    for (int j = 0; j < n; j++)
#pragma unroll
        for (int u = 0; u < nq; u++) {
            const int i = j * nq + u;
            const floatv p = att_exp2(s[i] - lse[u]);
#if DROP
            const floatv t = keep[i] != 0 ? dp[i] * SPLAT(KEEP) : SPLAT(0.0f);
            floatv ds = p * (t - delta[u]);
#else
            floatv ds = p * (dp[i] - delta[u]);
#endif
#if SOFTCAP
            ds = p == SPLAT(0.0f) ? SPLAT(0.0f) : ds * ATT_CAP_D(s[i]);
#endif
            dp[i] = ds;
#if DROP
            s[i] = keep[i] != 0 ? p * SPLAT(KEEP) : SPLAT(0.0f);
#else
            s[i] = p;
#endif
        }
}

// One block of queries against all keys.
ATT_INLINE void att_bwd(const int nq, const att_bwd_args a, int h, int row0, int rows,
                        TILE float *kt, TILE float *vt, TILE int *kp) {
    floatv q[DH * NQ], g[DH * NQ], dq[DH * NQ], s[KB * NQ], dp[KB * NQ];
    floatv lse[NQ], delta[NQ], one[NQ];
    intv qp[NQ], keep[DROP ? KB * NQ : 1];
    att_load_t(nq, q, a.q + h * DH, HEADS * DH, row0, rows, Q_SCALE);
    att_load_t(nq, g, a.g + h * DH, HEADS * DH, row0, rows, SCALE);
    att_load_t(nq, dq, a.o + h * DH, HEADS * DH, row0, rows, 1.0f);
    att_load_1(nq, lse, a.lse + h, row0, rows);
    att_load_pos(nq, qp, a.spos, row0, rows);
    for (int u = 0; u < nq; u++) {
        delta[u] = SPLAT(0.0f), one[u] = SPLAT(1.0f);
        ATT_UNROLL_DH
        for (int c = 0; c < DH; c++) delta[u] = fma(g[c * nq + u], dq[c * nq + u], delta[u]);
        lse[u] = ATT_LSE2(lse[u]);
    }
    if (a.delta) att_store_1(nq, delta, a.delta + h, row0, rows);
    att_clear(nq, dq);
    const int qmin = a.spos[row0], qmax = a.spos[row0 + rows - 1];

    const int streams = WANT_DQ ? 1 + (a.roff != 0) : WANT_DK + WANT_DV > 0;
    for (int st = 0; st < streams; st++) {
        global const int *off = (st ? a.roff : a.soff) + a.seq;
        const int first = off[0], total = off[1] - first;
        const size_t start = (size_t)first * KVH * DH + h / GROUP * DH;
        global const float *k = (st ? a.kr : a.ks) + start, *v = (st ? a.vr : a.vs) + start;
        global const int *pos = (st ? a.rpos : a.spos) + first;
        for (int t = 0; t < total; t += KB) {
            const att_range r = att_keys(pos, t, total, qmin, qmax);
            if (r.end) break;
            if (r.n == 0) continue;
            TILE_BARRIER;
            att_stage(kt, k + (size_t)t * KVH * DH, KVH * DH, r.n);
            att_stage(vt, v + (size_t)t * KVH * DH, KVH * DH, r.n);
            att_stage_pos(kp, pos, t, r.n);
            TILE_BARRIER;
            const int up = (r.n + KG - 1) / KG * KG;
            for (int j = 0; j < up; j += KG) att_dots(nq, s + j * nq, q, kt + j * DH);
            for (int j = 0; j < up; j += KG) att_dots(nq, dp + j * nq, g, vt + j * DH);
            if (SOFTCAP)
                for (int j = 0; j < up * nq; j++) s[j] = ATT_CAPPED(s[j]);
            if (r.mask) att_mask(nq, s, kp, up, qp);
#if DROP
            att_keep(nq, keep, kp, r.n, qp, a.seqno, DROP_KEY(a.stream, h), a.seed, a.step);
#endif
            att_gradients(nq, s, dp, lse, delta, keep, up);
            if (WANT_DQ)
                for (int j = 0; j < up; j += KG) att_axpys(nq, dq, dp + j * nq, kt + j * DH);
#if WANT_DK || WANT_DV
            for (int j = 0; st == 0 && j < r.n; j += KG) {
                const size_t to = start + (size_t)(t + j) * KVH * DH;
                const size_t from = (size_t)row0 * HEADS * DH + h * DH;
                const private float *w = (const private float *)(s + j * nq);
                const private float *ds = (const private float *)(dp + j * nq);
                if (WANT_DV) att_outer(a.dv + to, w, nq * VW, r.n - j, a.g + from, rows);
                if (WANT_DK) att_outer(a.dk + to, ds, nq * VW, r.n - j, a.q + from, rows);
            }
#endif
        }
    }
    if (WANT_DQ) att_store_t(nq, dq, a.dq + h * DH, HEADS * DH, row0, rows, one);
}

#if WG == 1
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_bwd(global float *restrict dq, global float *restrict dk, global float *restrict dv,
              global const float *restrict g, global const float *restrict o,
              global const float *restrict lse, global const float *restrict q,
              global const float *restrict ks, global const float *restrict vs,
              global const float *restrict kr, global const float *restrict vr,
              global const int *restrict qseq, global const int *restrict spos,
              global const int *restrict rpos, global const int *restrict soff,
              global const int *restrict roff, const uint seed, const uint step,
              const uint stream) {
    float kt[KB * DH], vt[KB * DH];
    int kp[KB];
    att_bwd_args a = {dq, dk, dv, 0, g, o, lse, q, ks, vs, kr, vr, spos, rpos, soff, roff,
                      (int)get_group_id(0), 0, seed, step, stream};
    const int first = soff[a.seq], end = soff[a.seq + 1], kh = get_group_id(1);
    if (first == end) return;
    if (DROP) a.seqno = qseq[first];
    for (int j = first; j < end; j++)
        for (int c = 0; c < DH; c += CW) {
            const size_t i = (size_t)j * KVH * DH + kh * DH + c;
            if (WANT_DK) STC(dk + i, (floatc)(0.0f));
            if (WANT_DV) STC(dv + i, (floatc)(0.0f));
        }
    for (int h = kh * GROUP; h < (kh + 1) * GROUP; h++)
        for (int r = first; r < end; r += NQ * VW) {
            const int rows = min(NQ * VW, end - r);
            if (NQ == 2 && rows <= VW) att_bwd(1, a, h, r, rows, kt, vt, kp);
            else att_bwd(NQ, a, h, r, rows, kt, vt, kp);
        }
}
#endif

#if !WANT_DK && !WANT_DV
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_dq(global float *restrict dq, global float *restrict delta,
             global const float *restrict g, global const float *restrict o,
             global const float *restrict lse, global const float *restrict q,
             global const float *restrict ks, global const float *restrict vs,
             global const float *restrict kr, global const float *restrict vr,
             global const int *restrict blk, global const int *restrict qseq,
             global const int *restrict spos, global const int *restrict rpos,
             global const int *restrict soff, global const int *restrict roff, const uint seed,
             const uint step, const uint stream) {
    TILE float kt[KB * DH], vt[KB * DH];
    TILE int kp[KB];
    global const int *b = blk + 4 * get_group_id(0);
    att_bwd_args a = {dq, 0, 0, delta, g, o, lse, q, ks, vs, kr, vr, spos, rpos, soff, roff,
                      b[2], 0, seed, step, stream};
    if (DROP) a.seqno = qseq[b[0]];
    att_bwd(NQ, a, get_group_id(1), b[0], b[1], kt, vt, kp);
}
#endif
