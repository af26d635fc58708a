// SPDX-License-Identifier: Apache-2.0
// embed.cl - rows of a table, of which the slab in hand holds rows first .. first + R - 1.
//   forward   y[r,c] = table[ids[r] - first,c] (+ add[r,c]) where that row is in the slab
//   backward  dtable[dst[u] - first,c] += sum over i in [start[u], start[u+1]) of dy[perm[i],c]
// shapes   y, add, dy: float[N,C]   table: T[R,C]   dtable: float[R,C]   ids, perm: int[N]
//          start: int[U+1]   dst: int[U], different for ranges that are not empty; y may be add
// launch   fwd: N work-groups of WG; bwd: U x any number of work-groups of WG, which share the
//          columns of a row among them
// defines  WG, VW, ADD 1: add is there, COLV vectors of columns in a work-group (bwd), those
//          of quant.clh for the table (fwd)
// numbers  a row's terms are added in ascending order within a lane, then the lanes as a tree;
//          no atomics: each gradient row has one owner
#include "quant.clh"

#ifndef ADD
#define ADD 0
#endif

TT_KERNEL void embed_fwd(global float *y, global const int *ids, global const float *add,
                         const int first, const int R, const int C, TT_STORED_ARGS(table)) {
    const int id = ids[get_group_id(0)] - first;
    if (id < 0 || id >= R) return; // another slab's; the same for the whole work-group
    const tt_stored from = TT_STORED(table);
    const size_t row = get_group_id(0) * C, t = (size_t)id * C;
    ROW_LOOP_V(c, C) {
        floatv v = tt_at_v(&from, t + c);
        if (ADD) v += LDV(add, row + c);
        STV(y, row + c, v);
    }
    ROW_LOOP_1(c, C) {
        const float v = tt_at(&from, t + c);
        ST(y, row + c, ADD ? v + LD(add, row + c) : v);
    }
}

TT_KERNEL void embed_bwd(global float *dtable, global const float *dy, global const int *perm,
                         global const int *start, global const int *dst, const int first,
                         const int R, const int C) {
    TT_LANES_LOCAL(tmp);
    const int u = get_group_id(0), begin = start[u], end = start[u + 1], row = dst[u] - first;
    if (begin >= end || row < 0 || row >= R) return; // the same for the whole work-group
    global float *const to = dtable + (size_t)row * C;
    const int step = (int)get_num_groups(1) * COLV * VW;
    for (int base = (int)get_group_id(1) * COLV * VW; base < C; base += step) {
        const int c = base + LANE_COL * VW, n = C - c;
        floatv sum = SPLAT(0.0f);
        if (n > 0)
            for (int i = begin + LANE; i < end; i += LANES)
                sum += tt_load_part(dy + (size_t)perm[i] * C + c, n);
        sum = LANES_SUM(sum, tmp);
        if (n > 0 && LANE == 0) tt_store_part(to + c, n, tt_load_part(to + c, n) + sum);
    }
}
