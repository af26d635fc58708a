// SPDX-License-Identifier: Apache-2.0
// attention_step.cl - softmax attention of sequences that have one new row each over the keys kept
// of their rows before: a decoding step. The columns of a head are side by side in vectors, where
// attention.cl has many queries side by side.
//   o[i] = sum_j p[i,j] v[j];  p[i,j] = exp(s[i,j] - lse[i]) over the keys that i sees
// shapes   q, o [rows, HEADS*DH]  ks, vs [rows, KVH*DH]  kr, vr [cache rows, KVH*DH]
//          blk [rows, 4]  qpos [rows]  cache [seq, 2]: first row and end of the kept ones, which
//          are those of positions 0, 1, ..
// launch   global {rows * WG, HEADS}, local {WG, 1}
// defines  attention.clh; CACHED; KB keys at once on CPUs, WG on GPUs
// numbers  float, kept keys in order, the row's own last: the bits of a row depend on its sequence
//          alone
#include "attention.clh"

#if WG == 1
#define KEYS (KB > VW ? KB / VW * VW : VW)
#else
#define KEYS WG
#endif

typedef struct {
    float top, sum; // largest score; sum of exp2(score - top)
} att_state;

ATT_INLINE floatv att_scores(floatv s) { return ATT_CAPPED(s); }

#if WG == 1
#define NC (DH / CW)

#if CW == 1
#define SUMC(x) (x)
#elif CW == 2
#define SUMC(v) ((v).x + (v).y)
#else
ATT_INLINE float att_sum4(float4 x) {
    const float2 y = x.lo + x.hi;
    return y.x + y.y;
}
#if CW == 4
#define SUMC(x) att_sum4(x)
#elif CW == 8
#define SUMC(x) att_sum4((x).lo + (x).hi)
#else
ATT_INLINE float att_sum16(float16 x) {
    const float8 y = x.lo + x.hi;
    return att_sum4(y.lo + y.hi);
}
#define SUMC(x) att_sum16(x)
#endif
#endif

// Takes n (1..KEYS) further keys into the sums.
ATT_INLINE void att_take(att_state *a, floatc *acc, const floatc *q, global const float *k,
                         global const float *v, int n) {
    float s[KEYS];
    for (int j = 0; j < n; j++) {
        floatc d = q[0] * LDC(k + (size_t)j * KVH * DH);
#pragma unroll
        for (int c = 1; c < NC; c++) d = fma(q[c], LDC(k + (size_t)j * KVH * DH + c * CW), d);
        s[j] = SUMC(d);
    }
    const int up = (n + VW - 1) / VW * VW;
    float top = a->top;
    for (int j = n; j < up; j++) s[j] = s[n - 1];
    for (int j = 0; j < up; j += VW) STV(s, j, att_scores(LDV(s, j)));
    for (int j = 0; j < n; j++) top = fmax(top, s[j]);
    if (top > a->top) {
        float t[VW];
        STV(t, 0, att_exp2(SPLAT(a->top - top)));
        for (int c = 0; c < NC; c++) acc[c] *= t[0];
        a->sum *= t[0];
        a->top = top;
    }
    for (int j = 0; j < up; j += VW) STV(s, j, att_exp2(LDV(s, j) - SPLAT(top)));
    for (int j = 0; j < n; j++) {
        a->sum += s[j];
#pragma unroll
        for (int c = 0; c < NC; c++)
            acc[c] = fma((floatc)(s[j]), LDC(v + (size_t)j * KVH * DH + c * CW), acc[c]);
    }
}
#else
#define NC ((DH + WG - 1) / WG) // columns a work-item sums up

// The same by a work-group: a work-item scores a key, then sums columns. q and p are local; begins
// and ends with a barrier.
ATT_INLINE void att_take(att_state *a, float *acc, local const float *q, local float *p,
                         local float *tmp, global const float *k, global const float *v, int n) {
    const int l = get_local_id(0);
    float s = -INFINITY;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (l < n) {
        s = 0.0f;
        for (int c = 0; c < DH; c++) s = fma(q[c], k[(size_t)l * KVH * DH + c], s);
        s = ATT_CAPPED(s);
    }
    const float top = fmax(a->top, WG_MAX(s, tmp)), f = att_exp2(a->top - top);
    p[l] = l < n ? att_exp2(s - top) : 0.0f;
    a->sum = a->sum * f + WG_SUM(p[l], tmp);
    a->top = top;
    for (int i = 0; i < NC; i++) {
        const int c = l + i * WG;
        if (c >= DH) break;
        acc[i] *= f;
        for (int j = 0; j < n; j++) acc[i] = fma(p[j], v[(size_t)j * KVH * DH + c], acc[i]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
#endif

kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_step(global float *restrict o, global const float *restrict q,
               global const float *restrict ks, global const float *restrict vs,
               global const float *restrict kr, global const float *restrict vr,
               global const int *restrict blk, global const int *restrict qpos,
               global const int *restrict cache) {
    const int row = blk[4 * get_group_id(0)], seq = blk[4 * get_group_id(0) + 2];
    const int h = get_group_id(1), begin = cache[2 * seq], kept = cache[2 * seq + 1] - begin;
    const size_t at = (size_t)h / GROUP * DH, own = (size_t)row * KVH * DH + at;
    const int oldest = WINDOW != 0 ? max(qpos[row] - WINDOW + 1, 0) : 0;
    q += ((size_t)row * HEADS + h) * DH;
    o += ((size_t)row * HEADS + h) * DH;
    kr += (size_t)begin * KVH * DH + at;
    vr += (size_t)begin * KVH * DH + at;
    att_state a = {-FLT_MAX, 0.0f};
#if WG == 1
    floatc qv[NC], acc[NC];
    for (int c = 0; c < NC; c++) {
        qv[c] = LDC(q + c * CW) * (floatc)(Q_SCALE);
        acc[c] = (floatc)(0.0f);
    }
    for (int t = oldest; t < kept; t += KEYS)
        att_take(&a, acc, qv, kr + (size_t)t * KVH * DH, vr + (size_t)t * KVH * DH,
                 min(KEYS, kept - t));
    att_take(&a, acc, qv, ks + own, vs + own, 1);
    for (int c = 0; c < NC; c++) STC(o + c * CW, acc[c] * (floatc)(1.0f / a.sum));
#else
    TT_SUM_LOCAL(tmp);
    local float qs[DH], p[WG];
    float acc[NC];
    const int l = get_local_id(0);
    for (int c = l; c < DH; c += WG) qs[c] = q[c] * (Q_SCALE);
    for (int i = 0; i < NC; i++) acc[i] = 0.0f;
    for (int t = oldest; t < kept; t += KEYS)
        att_take(&a, acc, qs, p, tmp, kr + (size_t)t * KVH * DH, vr + (size_t)t * KVH * DH,
                 min(KEYS, kept - t));
    att_take(&a, acc, qs, p, tmp, ks + own, vs + own, 1);
    for (int i = 0; i < NC; i++)
        if (l + i * WG < DH) o[l + i * WG] = acc[i] / a.sum;
#endif
}
