// SPDX-License-Identifier: Apache-2.0
// dropout.cl - zeroes elements by chance; also its own gradient.
//   y[r,c] = u(r,c) >= p ? x[r,c] / (1 - p) : 0
//   u is lane c % 4 of Philox at counter {c / 4, pos[r], seq[r], TT_STREAM_DROPOUT + 16 site} with
//   key {seed, step}: it depends on the token's place in its sequence, not on the batch
// shapes   x, y: float[R,C]   pos, seq: int[R], or with POOLED: off int[R+1], seq int[rows of x's
//          sequences]: sequence number seq[off[r]], position 0; y may be x
// launch   R work-groups of WG
// defines  WG, VW, POOLED 1: x has a row for each sequence
// numbers  exact but for the one product with 1 / (1 - p)
#include "common.clh"

#ifndef POOLED
#define POOLED 0
#endif

#if VW > 1
#if VW == 2
#define IOTA ((uintv)(0, 1))
#elif VW == 4
#define IOTA ((uintv)(0, 1, 2, 3))
#elif VW == 8
#define IOTA ((uintv)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define IOTA ((uintv)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#endif
#define ZIP(lo_, hi_, a, b)                                                                        \
    uintv lo_, hi_;                                                                                \
    lo_.even = (a).lo, lo_.odd = (b).lo, hi_.even = (a).hi, hi_.odd = (b).hi

static inline floatv keep(floatv x, uintv u, float p, float scale) {
    const floatv f = convert_floatv(as_intv(u >> (uintv)(8))) * SPLAT(0x1p-24f);
    return f >= SPLAT(p) ? x * SPLAT(scale) : SPLAT(0.0f);
}
#endif

TT_KERNEL void dropout(global float *y, global const float *x, global const int *at,
                       global const int *seqs, const int C, const uint stream, const uint seed,
                       const uint step, const float p) {
    const size_t n = get_group_id(0), row = n * C;
    const uint pos = POOLED ? 0 : at[n], seq = POOLED ? seqs[at[n]] : seqs[n];
    const float scale = 1.0f / (1.0f - p);
    int done = 0;
#if VW > 1
    done = C / (4 * VW) * (4 * VW);
    for (int c = get_local_id(0) * 4 * VW; c < done; c += WG * 4 * VW) {
        uintv r[4]; // word j of counter i is element i of r[j]
        tt_philox_v((uintv)(c / 4) + IOTA, (uintv)(pos), (uintv)(seq), (uintv)(stream), seed, step,
                    r);
        ZIP(a0, a1, r[0], r[2]);
        ZIP(b0, b1, r[1], r[3]);
        ZIP(u0, u1, a0, b0);
        ZIP(u2, u3, a1, b1);
        const size_t i = row + c;
        STV(y, i, keep(LDV(x, i), u0, p, scale));
        STV(y, i + VW, keep(LDV(x, i + VW), u1, p, scale));
        STV(y, i + 2 * VW, keep(LDV(x, i + 2 * VW), u2, p, scale));
        STV(y, i + 3 * VW, keep(LDV(x, i + 3 * VW), u3, p, scale));
    }
#endif
    for (int c = done + 4 * get_local_id(0); c < C; c += 4 * WG) {
        const uint4 u = tt_philox((uint4)(c / 4, pos, seq, stream), (uint2)(seed, step));
        const uint lane[4] = {u.x, u.y, u.z, u.w};
        for (int j = 0; j < 4 && c + j < C; j++)
            ST(y, row + c + j, tt_unit(lane[j]) >= p ? LD(x, row + c + j) * scale : 0.0f);
    }
}
