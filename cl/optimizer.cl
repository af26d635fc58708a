// SPDX-License-Identifier: Apache-2.0
// optimizer.cl - AdamW with decoupled weight decay, and the norm of all gradients.
//   g' = g * clip;  m += (g' - m) (1 - b1);  v = b2 v + (1 - b2) g'^2
//   p = p * decay - rate * m / (sqrt(v) * inv + eps)
//   decay = 1 - lr * weight_decay, rate = lr / (1 - b1^t), inv = 1 / sqrt(1 - b2^t)
//   norm = sqrt(sum g^2);  clip = min(1, max_norm / (norm + 1e-6))
// shapes   p, g, m, v: float[count], or of a table float[rows,C] with g float[slots,C]
//          ring: float4[STEPS], at t % STEPS {decay, rate, inv, 1 when step t was made}
//          state: float[8] {clip, norm, finite, -, 1 - b1, b2, 1 - b2, eps}
//          last: int[rows], the step up to which a row is done; ids: int[n], each row once
// launch   sumsq, adamw: ceil(count / CHUNK) work-groups of WG; norm: one; catch_up, adamw_rows:
//          one for each id (EVERY 1: for each row)
// defines  WG, VW, CHUNK, STEPS, EVERY 1: ids is not read, DECAY 0: decay counts as 1 (rows)
// numbers  every update goes through the same expressions, fma by fma: a row that catches up with
//          zero gradients has the bits of one that was updated at each step. Sums in fixed order
#include "common.clh"

#ifndef STEPS
#define STEPS 4096
#endif
#ifndef EVERY
#define EVERY 0
#endif
#ifndef DECAY
#define DECAY 1
#endif

#define ADAMW(F)                                                                                   \
    static inline F __attribute__((overloadable))                                                  \
    adamw_1(F p, F g, F *m, F *v, float decay, float4 s, float4 h) {                               \
        *m = fma(g - *m, (F)(h.x), *m);                                                            \
        *v = fma(*v, (F)(h.y), g * g * (F)(h.z));                                                  \
        const F d = fma(sqrt(*v), (F)(s.z), (F)(h.w));                                             \
        return fma((F)(-s.y), *m / d, p * (F)(decay));                                             \
    }
ADAMW(float)
#if VW > 1
ADAMW(floatv)
#define ANY(c) any(c)
#else
#define ANY(c) (c)
#endif

// part[i]: sum of squares of chunk i of g
TT_KERNEL void sumsq(global float *part, global const float *g, const uint count,
                     const uint first_part) {
    TT_SUM_LOCAL(tmp);
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    CHUNK_LOOP_V(i, count) {
        const floatv x = LDV(g, i);
        sv = fma(x, x, sv);
    }
    CHUNK_LOOP_1(i, count) s1 = fma(LD(g, i), LD(g, i), s1);
    const float sum = WG_SUM(SUMV(sv) + s1, tmp);
    if (get_local_id(0) == 0) part[first_part + get_group_id(0)] = sum;
}

TT_KERNEL void norm(global float *state, global float4 *ring, global const float *part,
                    const int parts, const int at, const float max_norm,
                    global const float *loss, const int has_loss) {
    TT_SUM_LOCAL(tmp);
    float s = 0.0f;
    for (int i = get_local_id(0); i < parts; i += WG) s += part[i];
    s = sqrt(WG_SUM(s, tmp));
    if (get_local_id(0) != 0) return;
    const float finite = isfinite(s) && (!has_loss || isfinite(loss[0])) ? 1.0f : 0.0f;
    const float clip = max_norm / (s + 1e-6f);
    state[0] = max_norm > 0.0f && clip < 1.0f ? clip : 1.0f;
    state[1] = s;
    state[2] = finite;
    ring[at].w = finite;
}

// The first decay_count elements decay.
TT_KERNEL void adamw(global float *p, global const float *g, global float *m, global float *v,
                     global const float *state, global const float4 *ring, const int at,
                     const uint count, const uint decay_count) {
    const float4 s = ring[at], h = vload4(1, state);
    const float clip = state[0];
    if (s.w == 0.0f) return;
    CHUNK_LOOP_V(i, count) {
        floatv mi = LDV(m, i), vi = LDV(v, i);
        STV(p, i, adamw_1(LDV(p, i), LDV(g, i) * SPLAT(clip), &mi, &vi,
                          i < decay_count ? s.x : 1.0f, s, h));
        STV(m, i, mi);
        STV(v, i, vi);
    }
    CHUNK_LOOP_1(i, count) {
        float mi = LD(m, i), vi = LD(v, i);
        ST(p, i, adamw_1(LD(p, i), LD(g, i) * clip, &mi, &vi, i < decay_count ? s.x : 1.0f, s, h));
        ST(m, i, mi);
        ST(v, i, vi);
    }
}

// Rows with a gradient, in the step ring[step % STEPS].
TT_KERNEL void adamw_rows(global float *p, global const float *g, global float *m,
                          global float *v, global const float *state, global const float4 *ring,
                          global const int *ids, global int *last, const int C, const int step) {
    const float4 s = ring[step % STEPS], h = vload4(1, state);
    const float clip = state[0], decay = DECAY ? s.x : 1.0f;
    const size_t slot = get_group_id(0), id = ids[slot], from = slot * C, row = id * C;
    if (s.w == 0.0f) return;
    ROW_LOOP_V(c, C) {
        const size_t i = row + c;
        floatv mi = LDV(m, i), vi = LDV(v, i);
        STV(p, i, adamw_1(LDV(p, i), LDV(g, from + c) * SPLAT(clip), &mi, &vi, decay, s, h));
        STV(m, i, mi);
        STV(v, i, vi);
    }
    ROW_LOOP_1(c, C) {
        const size_t i = row + c;
        float mi = LD(m, i), vi = LD(v, i);
        ST(p, i, adamw_1(LD(p, i), LD(g, from + c) * clip, &mi, &vi, decay, s, h));
        ST(m, i, mi);
        ST(v, i, vi);
    }
    if (get_local_id(0) == 0) last[id] = step;
}

// The steps after last[row] up to `to`, without gradient. Where both moments are zero only the
// decay is left of a step: 0 / eps adds nothing.
#define REPLAY(F, LOAD, STORE, SOME)                                                               \
    {                                                                                              \
        const size_t i = row + c;                                                                  \
        F pi = LOAD(p, i), mi = LOAD(m, i), vi = LOAD(v, i);                                       \
        if (SOME((mi != (F)(0.0f)) | (vi != (F)(0.0f)))) {                                         \
            for (int t = from + 1; t <= to; t++) {                                                 \
                const float4 s = ring[t % STEPS];                                                  \
                if (s.w != 0.0f)                                                                   \
                    pi = adamw_1(pi, (F)(0.0f), &mi, &vi, DECAY ? s.x : 1.0f, s, h);               \
            }                                                                                      \
            STORE(m, i, mi);                                                                       \
            STORE(v, i, vi);                                                                       \
        } else if (DECAY) {                                                                        \
            for (int t = from + 1; t <= to; t++) {                                                 \
                const float4 s = ring[t % STEPS];                                                  \
                if (s.w != 0.0f) pi *= (F)(s.x);                                                   \
            }                                                                                      \
        }                                                                                          \
        STORE(p, i, pi);                                                                           \
    }

TT_KERNEL void catch_up(global float *p, global float *m, global float *v, global int *last,
                        global const int *ids, global const float *state,
                        global const float4 *ring, const int C, const int to) {
    const size_t id = EVERY ? get_group_id(0) : (size_t)ids[get_group_id(0)], row = id * C;
    const float4 h = vload4(1, state);
    const int from = last[id];
    if (from >= to) return; // the same for the whole work-group
    ROW_LOOP_V(c, C) REPLAY(floatv, LDV, STV, ANY)
    ROW_LOOP_1(c, C) REPLAY(float, LD, ST, )
#if WG > 1
    barrier(CLK_GLOBAL_MEM_FENCE); // all have read last[id]
#endif
    if (get_local_id(0) == 0) last[id] = to;
}
