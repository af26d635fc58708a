// SPDX-License-Identifier: Apache-2.0
// rope.cl - rotary embedding: pairs of a head's columns turn by an angle that grows with position.
//   a = pos[r] * inv_freq[c], c < F;  for each head of DH columns
//   y[r,c] = SCALE (x[r,c] cos a - SIGN x[r,c+F] sin a)
//   y[r,c+F] = SCALE (x[r,c+F] cos a + SIGN x[r,c] sin a);  columns from 2F on are copied
//   forward: SIGN 1; backward: dx of dy by the same with SIGN -1
// shapes   x, y: float[R,C], C = heads * DH, y may be x   pos: int[R]
//          inv_freq: float[F], 2F <= DH
// launch   ceil(R / PER) work-groups of WG, PER = max(EACH / C, 1) rows each
// defines  WG, VW, EACH, COLV vectors of frequencies side by side (the rest of a work-group takes
//          other heads), DH, F, SCALE, SIGN
// numbers  the angle is rounded to float before sine and cosine, which are within 1e-7 of those of
//          that float for angles up to 2^20
#include "common.clh"

#ifndef EACH
#define EACH 1
#endif
#ifndef DH
#define DH 32
#define F 16
#endif
#ifndef SCALE
#define SCALE 1.0f
#endif
#ifndef SIGN
#define SIGN 1.0f
#endif
#define PER max(EACH / C, 1)

// r = a - k pi/2, |r| <= pi/4, is exact up to the last product: pi/2 is 12 bits, 12 bits and a
// rest, k a multiple of 256 and at most 8 bits, so that with fma or without no product is rounded.
// Adding 1.5 * 2^23 rounds to an integer whose last bits are the quadrant, 1.5 * 2^31 to a multiple
// of 256. The polynomials were fitted here: 4e-9 and 1e-10 before rounding.
static inline void sin_cos(floatv a, floatv *s, floatv *c) {
    const floatv z = fma(a, SPLAT(0.636619747f), SPLAT(12582912.0f)), k = z - SPLAT(12582912.0f);
    const floatv k1 = (k + SPLAT(3221225472.0f)) - SPLAT(3221225472.0f), k0 = k - k1;
    floatv r = fma(k1, SPLAT(-1.5703125f), a);
    r = fma(k1, SPLAT(-0.000483870506f), r);
    r = fma(k0, SPLAT(-1.5703125f), r);
    r = fma(k0, SPLAT(-0.000483870506f), r);
    r = fma(k, SPLAT(4.37113883e-8f), r);
    const floatv q = r * r;
    floatv p = fma(q, SPLAT(-0.000195169778f), SPLAT(0.00833217613f));
    const floatv sine = fma(fma(p, q, SPLAT(-0.166666552f)) * q, r, r);
    p = fma(fma(q, SPLAT(2.44380899e-5f), SPLAT(-0.00138873642f)), q, SPLAT(0.0416666456f));
    const floatv cosine = fma(p * q, q, fma(q, SPLAT(-0.5f), SPLAT(1.0f)));
    const intv i = as_intv(z);
    const floatv u = (i & 1) != 0 ? cosine : sine, v = (i & 1) != 0 ? sine : cosine;
    *s = (i & 2) != 0 ? -u : u;
    *c = ((i + 1) & 2) != 0 ? -v : v;
}

TT_KERNEL void rope(global float *y, global const float *x, global const int *pos,
                    global const float *inv_freq, const int R, const int C) {
    for (int r = (int)get_group_id(0) * PER; r < min((int)(get_group_id(0) + 1) * PER, R); r++) {
        const size_t row = (size_t)r * C;
        for (int c = LANE_COL * VW; c < F; c += COLV * VW) {
            floatv s, o;
            sin_cos(SPLAT((float)pos[r]) * tt_load_part(inv_freq + c, F - c), &s, &o);
            s *= SPLAT(SCALE * SIGN);
            o *= SPLAT(SCALE);
            for (int h = LANE * DH; h < C; h += LANES * DH) {
                const size_t i = row + h + c;
                const floatv a = tt_load_part(x + i, F - c), b = tt_load_part(x + i + F, F - c);
                tt_store_part(y + i, F - c, fma(a, o, -(b * s)));
                tt_store_part(y + i + F, F - c, fma(b, o, a * s));
            }
        }
        if (2 * F == DH || y == x) continue;
        for (int h = LANE * DH; h < C; h += LANES * DH)
            for (int c = 2 * F + LANE_COL; c < DH; c += COLV) y[row + h + c] = x[row + h + c];
    }
}
