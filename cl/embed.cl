// SPDX-License-Identifier: Apache-2.0
// embed.cl - rows of a table.
//   forward   y[r,c] = table[ids[r],c] (+ add[r,c])
//   backward  dtable[dst[u],c] += sum over i in [start[u], start[u+1]) of dy[perm[i],c]
// shapes   y, add, dy: float[R,C]   table, dtable: float[rows,C]   ids, perm: int[R]
//          start: int[U+1]   dst: int[U], different for ranges that are not empty; y may be add
// launch   fwd: R work-groups of WG; bwd: U x any number of work-groups of WG, which share the
//          columns of a row among them
// defines  WG, VW, ADD 1: add is there, COLV vectors of columns in a work-group (bwd)
// numbers  a row's terms are added in ascending order within a lane, then the lanes as a tree;
//          no atomics: each gradient row has one owner
#include "common.clh"

#ifndef ADD
#define ADD 0
#endif

TT_KERNEL void embed_fwd(global float *y, global const float *table, global const int *ids,
                         global const float *add, const int C) {
    const size_t r = get_group_id(0), row = r * C, t = (size_t)ids[r] * C;
    ROW_LOOP_V(c, C) {
        floatv v = LDV(table, t + c);
        if (ADD) v += LDV(add, row + c);
        STV(y, row + c, v);
    }
    ROW_LOOP_1(c, C) ST(y, row + c, ADD ? LD(table, t + c) + LD(add, row + c) : LD(table, t + c));
}

TT_KERNEL void embed_bwd(global float *dtable, global const float *dy, global const int *perm,
                         global const int *start, global const int *dst, const int C) {
    TT_LANES_LOCAL(tmp);
    const int u = get_group_id(0), first = start[u], end = start[u + 1];
    if (first >= end) return; // the same for the whole work-group
    global float *const to = dtable + (size_t)dst[u] * C;
    const int step = (int)get_num_groups(1) * COLV * VW;
    for (int base = (int)get_group_id(1) * COLV * VW; base < C; base += step) {
        const int c = base + LANE_COL * VW, n = C - c;
        floatv sum = SPLAT(0.0f);
        if (n > 0)
            for (int i = first + LANE; i < end; i += LANES)
                sum += tt_load_part(dy + (size_t)perm[i] * C + c, n);
        sum = LANES_SUM(sum, tmp);
        if (n > 0 && LANE == 0) tt_store_part(to + c, n, tt_load_part(to + c, n) + sum);
    }
}
