// SPDX-License-Identifier: Apache-2.0
// store.cl - floats in fewer bits, and back.
//   f16, bf16  rounded to nearest even; beyond f16's range: infinity; NaN stays NaN
//   q8         by blocks of 64 columns of a row: scale = max |x| / 127, data = x / scale rounded to
//              nearest even; a block of nothing but numbers below 2^-100 is 0; one with a NaN or an
//              infinity has a scale that is not finite, so that it is not finite when loaded
// shapes   x (store), y (load): float[R, C]   the other: ushort[R, C], the bits; q8: rows of
//          char[C] padded to a multiple of 4, then a float scale a block
// launch   f16, bf16: ceil(R * C / CHUNK) work-groups of WG; q8: ceil(R / PER) of them, PER =
//          max(EACH / C, 1) rows each
// defines  WG, VW, CHUNK, EACH, one of TYPE_f16, TYPE_bf16, TYPE_q8
// numbers  each element for itself (q8: each block), so that bits do not depend on the shape
#ifdef TYPE_bf16
#define BF16 1
#endif
#include "half.clh"

#ifdef TYPE_q8

#ifndef EACH
#define EACH 1
#endif
#define BLOCK 64
#define PER max(EACH / C, 1)
#define EACH_ROW(r) \
    for (int r = (int)get_group_id(0) * PER; r < min((int)(get_group_id(0) + 1) * PER, R); r++)

// LANES_B work-items share a block, each with RUNS vectors of it; SIDE blocks side by side.
#if WG * VW >= BLOCK
#define LANES_B (BLOCK / VW)
#else
#define LANES_B WG
#endif
#define RUNS (BLOCK / (LANES_B * VW))
#define SIDE (WG / LANES_B)
#define COLUMN(b, i) ((b)*BLOCK + ((i)*LANES_B + (int)(get_local_id(0) % LANES_B)) * VW)

#if VW == 1
typedef char charv;
#define convert_charv convert_char
#define LDC(p) (*(p))
#define STC(p, x) (*(p) = (x))
#define MAXV(v) (v)
#else
typedef TT_CAT(char, VW) charv;
#define convert_charv TT_CAT(convert_char, VW)
#define LDC(p) TT_CAT(vload, VW)(0, p)
#define STC(p, x) TT_CAT(vstore, VW)(x, 0, p)
static inline uint tt_max2(uint2 v) { return max(v.x, v.y); }
#if VW == 2
#define MAXV(v) tt_max2(v)
#else
static inline uint tt_max4(uint4 v) { return tt_max2(max(v.lo, v.hi)); }
#if VW == 4
#define MAXV(v) tt_max4(v)
#else
static inline uint tt_max8(uint8 v) { return tt_max4(max(v.lo, v.hi)); }
#if VW == 8
#define MAXV(v) tt_max8(v)
#else
#define MAXV(v) tt_max8(max((v).lo, (v).hi))
#endif
#endif
#endif
#endif

// Largest of the block's lanes; all WG work-items call it together.
#if LANES_B == 1
#define MAX_LOCAL
#define BLOCK_MAX(m) (m)
#else
#define MAX_LOCAL local uint lanes[WG]
#define BLOCK_MAX(m) tt_block_max((m), lanes)
TT_LOCAL_INLINE uint tt_block_max(uint m, local uint *lanes) {
    const int l = get_local_id(0), first = l / LANES_B * LANES_B;
    barrier(CLK_LOCAL_MEM_FENCE);
    lanes[l] = m;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < LANES_B; i++) m = max(m, lanes[first + i]);
    return m;
}
#endif

static inline size_t row_bytes(int C) {
    return (size_t)(C + 3) / 4 * 4 + (size_t)(C + BLOCK - 1) / BLOCK * 4;
}
static inline size_t scales_at(int C) { return (size_t)(C + 3) / 4 * 4; }

TT_KERNEL void store(global char *y, global const float *x, const int R, const int C) {
    MAX_LOCAL;
    EACH_ROW(r) {
        global char *row = y + r * row_bytes(C);
        global float *scale = (global float *)(row + scales_at(C));
        global const float *from = x + (size_t)r * C;
        for (int b0 = 0; b0 * BLOCK < C; b0 += SIDE) {
            const int b = b0 + (int)get_local_id(0) / LANES_B;
            floatv v[RUNS];
            // Bits of magnitudes are ordered as the magnitudes are, NaN above all.
            uintv bits = (uintv)(0u);
            for (int i = 0; i < RUNS; i++) {
                const int c = COLUMN(b, i);
                v[i] = c < C ? tt_load_part(from + c, C - c) : SPLAT(0.0f);
                bits = max(bits, as_uintv(v[i]) & (uintv)(0x7fffffffu));
            }
            const float most = as_float(BLOCK_MAX(MAXV(bits)));
            const float by = most < 0x1p-100f ? 0.0f : 127.0f / most;
            for (int i = 0; i < RUNS; i++) {
                const int c = COLUMN(b, i);
                const charv q = convert_charv(convert_intv(rint(v[i] * SPLAT(by))));
                if (c + VW <= C) {
                    STC(row + c, q);
#if VW > 1
                } else if (c < C) {
                    char part[VW];
                    STC(part, q);
                    for (int k = 0; c + k < C; k++) row[c + k] = part[k];
#endif
                }
            }
            if (b * BLOCK < C && get_local_id(0) % LANES_B == 0)
                scale[b] = by == 0.0f && most < 1.0f ? 0.0f : most / 127.0f;
        }
    }
}

TT_KERNEL void load(global float *y, global const char *x, const int R, const int C) {
    EACH_ROW(r) {
        global const char *row = x + r * row_bytes(C);
        global const float *scale = (global const float *)(row + scales_at(C));
        const size_t to = (size_t)r * C;
        ROW_LOOP_V(c, C) STV(y, to + c, convert_floatv(LDC(row + c)) * SPLAT(scale[c / BLOCK]));
        ROW_LOOP_1(c, C) ST(y, to + c, (float)row[c] * scale[c / BLOCK]);
    }
}

#else

TT_KERNEL void store(global ushort *y, global const float *x, const int rows, const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) SET16V(y, i, LDV(x, i));
    CHUNK_LOOP_1(i, n) SET16(y, i, LD(x, i));
}

TT_KERNEL void load(global float *y, global const ushort *x, const int rows, const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(y, i, GET16V(x, i));
    CHUNK_LOOP_1(i, n) ST(y, i, GET16(x, i));
}

#endif
