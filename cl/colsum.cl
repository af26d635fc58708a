// SPDX-License-Identifier: Apache-2.0
// colsum.cl - sum over rows: the gradient of a bias.
//   db[c] (+)= sum_r dy[r,c]
// shapes   dy: float[R,C]   db: float[C]; any R >= 0, C >= 1
// launch   ceil(C / (COLV * VW)) work-groups of WG
// defines  WG, VW, COLV vectors of columns in a work-group
// numbers  rows in ascending order within a lane, then the lanes as a tree
#include "common.clh"

TT_KERNEL void colsum(global float *db, global const float *dy, const int R, const int C,
                      const int accumulate) {
    TT_LANES_LOCAL(tmp);
    const int c = ((int)get_group_id(0) * COLV + LANE_COL) * VW, n = C - c;
    floatv sum = SPLAT(0.0f);
    if (n > 0)
        for (int r = LANE; r < R; r += LANES) sum += tt_load_part(dy + (size_t)r * C + c, n);
    sum = LANES_SUM(sum, tmp);
    if (n <= 0 || LANE != 0) return;
    if (accumulate) sum += tt_load_part(db + c, n);
    tt_store_part(db + c, n, sum);
}
