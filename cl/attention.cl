// SPDX-License-Identifier: Apache-2.0
// attention.cl - softmax attention of one stream's queries over the keys of both, never storing
// probabilities.
//   s[i,j] = cap(SCALE q[i].k[j]);  p[i,j] = exp(s[i,j] - lse[i]) over the keys that i sees
//   o[i] = sum_j drop(p[i,j]) v[j];  lse[i] = log sum_j exp(s[i,j])
// shapes   q, o [rows, HEADS*DH]  lse [rows, HEADS]  ks, vs [sel, KVH*DH]  kr, vr [rest, KVH*DH]
//          blk [blocks, 4]  qpos, qseq [rows]  spos [sel]  rpos [rest]  soff, roff [seq+1]
//          kr, vr, rpos, roff are null where every row is selected; with CACHED kr, vr hold the
//          rows roff[seq, 0] to roff[seq, 1] of each sequence and rpos is null
// launch   global {blocks * WG, HEADS}, local {WG, 1}; rows of a block: at most WG * NQ * VW
// defines  attention.clh
// numbers  float, keys in order, SEL before REST: the bits of a row depend on its sequence alone,
//          not on the block it fell into nor on the batch; a row that sees nothing gets o 0 and
//          lse -INFINITY
// Fourteen pointers, because the keys lie in two buffers and the batch is ragged.
#include "attention.clh"

typedef struct {
    global float *o, *lse;
    global const float *q, *ks, *vs, *kr, *vr;
    global const int *qpos, *spos, *rpos, *soff, *roff;
    int row0, rows, seq, h;
    uint seqno, seed, step, key;
} att_fwd_args;

ATT_INLINE void att_fwd(const int nq, const att_fwd_args a, TILE float *kt, TILE float *vt,
                        TILE int *kp) {
    floatv q[DH * NQ], acc[DH * NQ], s[KB * NQ], m[NQ], l[NQ];
    intv qp[NQ];
#if DROP
    intv keep[KB * NQ];
#endif
    att_load_t(nq, q, a.q + a.h * DH, HEADS * DH, a.row0, a.rows, Q_SCALE);
    att_load_pos(nq, qp, a.qpos, a.row0, a.rows);
    const int qmin = a.qpos[a.row0], qmax = a.qpos[a.row0 + a.rows - 1];
    att_clear(nq, acc);
    for (int u = 0; u < nq; u++) m[u] = SPLAT(-FLT_MAX), l[u] = SPLAT(0.0f);

    for (int st = 0; st <= (a.roff != 0); st++) {
        global const int *off = st ? a.roff + (CACHED + 1) * a.seq : a.soff + a.seq;
        const int first = off[0], total = off[1] - first;
        const size_t at = (size_t)first * KVH * DH + a.h / GROUP * DH;
        global const float *k = (st ? a.kr : a.ks) + at, *v = (st ? a.vr : a.vs) + at;
        global const int *pos = st ? CACHED ? 0 : a.rpos + first : a.spos + first;
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
            if (SOFTCAP)
                for (int j = 0; j < up * nq; j++) s[j] = ATT_CAPPED(s[j]);
            if (r.mask) att_mask(nq, s, kp, up, qp);
#if DROP
            att_keep(nq, keep, kp, r.n, qp, a.seqno, a.key, a.seed, a.step);
#endif
            for (int u = 0; u < nq; u++) {
                floatv top = m[u], sum = SPLAT(0.0f);
                for (int j = 0; j < up; j++) top = s[j * nq + u] > top ? s[j * nq + u] : top;
                if (ATT_ANY(top > m[u])) { // lanes whose maximum stays multiply by 1
                    const floatv f = att_exp2(m[u] - top);
                    ATT_UNROLL_DH
                    for (int c = 0; c < DH; c++) acc[c * nq + u] *= f;
                    l[u] *= f;
                    m[u] = top;
                }
                for (int j = 0; j < up; j++) {
                    const floatv p = att_exp2(s[j * nq + u] - top);
                    l[u] += p;
#if DROP
                    s[j * nq + u] = keep[j * nq + u] != 0 ? p : SPLAT(0.0f);
#else
                    s[j * nq + u] = p;
#endif
                }
            }
            for (int j = 0; j < up; j += KG) att_axpys(nq, acc, s + j * nq, vt + j * DH);
        }
    }
    for (int u = 0; u < nq; u++) {
        const floatv none = l[u] == SPLAT(0.0f) ? SPLAT(1.0f) : l[u];
        m[u] = l[u] == SPLAT(0.0f) ? SPLAT(-INFINITY) : (m[u] + log2(none)) * SPLAT(LN2);
        l[u] = SPLAT(KEEP) / none;
    }
    att_store_t(nq, acc, a.o + a.h * DH, HEADS * DH, a.row0, a.rows, l);
    att_store_1(nq, m, a.lse + a.h, a.row0, a.rows);
}

kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_fwd(global float *restrict o, global float *restrict lse, global const float *restrict q,
              global const float *restrict ks, global const float *restrict vs,
              global const float *restrict kr, global const float *restrict vr,
              global const int *restrict blk, global const int *restrict qpos,
              global const int *restrict qseq, global const int *restrict spos,
              global const int *restrict rpos, global const int *restrict soff,
              global const int *restrict roff, const uint seed, const uint step,
              const uint stream) {
    TILE float kt[KB * DH], vt[KB * DH];
    TILE int kp[KB];
    global const int *b = blk + 4 * get_group_id(0);
    att_fwd_args a = {o, lse, q, ks, vs, kr, vr, qpos, spos, rpos, soff, roff,
                      b[0], b[1], b[2], (int)get_group_id(1), 0, seed, step,
                      DROP_KEY(stream, get_group_id(1))};
    if (DROP) a.seqno = qseq[a.row0];
    if (NQ == 2 && a.rows <= VW) att_fwd(1, a, kt, vt, kp);
    else att_fwd(NQ, a, kt, vt, kp);
}
