// SPDX-License-Identifier: Apache-2.0
// optimizer_adamw8.cl - AdamW with both moments in 8 bits: m = map[0][q0] * scale0 and
// v = map[1][q1] * scale1, a pair of scales for each BLOCK of elements of a matrix. After the step
// of cl/optimizer.cl a block's scales are its largest |m| and v, and q0, q1 the nearest entries; a v
// above zero is never kept as zero.
// shapes   p, g: of the arena; the matrix is `count` elements of it from `first` on
//          q: uchar[arena,2]; scales: float[blocks,2], the matrix's from first_block on
//          maps: float[2,256], ascending
// launch   ceil(blocks / BLOCKS) work-groups of WG
// defines  WG, VW, STEPS, PT, GT, BLOCKS a work-group
// numbers  largest magnitudes are exact; each element by itself
#if WG > 1 && defined(VW)
#undef VW // a block's 256 elements are enough for one work-group
#endif
#include "optimizer_adamw.clh"
#include "optimizer.clh"

#ifndef BLOCKS
#define BLOCKS 1
#endif
#define BLOCK 256
#if WG == 1
#define ITEMS BLOCK
#define SLOT(e) (e)
#define MAP_LOCAL(name)
#define MAP_LOAD(name, maps)
#define MAP(name, maps) (maps)
#define MAP_SPACE global const
#else
#define ITEMS ((BLOCK + WG - 1) / WG)
#define SLOT(e) ((e) / WG)
#define MAP_LOCAL(name) local float name[512]
#define MAP_LOAD(name, maps)                                                                       \
    for (int i = get_local_id(0); i < 512; i += WG) name[i] = maps[i];                             \
    barrier(CLK_LOCAL_MEM_FENCE)
#define MAP(name, maps) (name)
#define MAP_SPACE local const
#endif

static inline int nearest(MAP_SPACE float *map, float x) {
    int i = 0;
    for (int step = 128; step > 0; step /= 2) i += map[i + step] <= x ? step : 0;
    return i < 255 && map[i + 1] - x < x - map[i] ? i + 1 : i;
}

TT_KERNEL void adamw8(global tt_p *p, global const tt_g *g, global uchar *q, global float *scales,
                      global const float *maps, global const float *state, const uint first,
                      const uint count, const uint decay_count, const uint first_block,
                      const uint arena) {
    TT_SUM_LOCAL(tmp);
    MAP_LOCAL(both);
    float m[ITEMS], v[ITEMS];
    const float4 s = STATE_S(state), h = STATE_H(state);
    const float clip = state[0];
    if (s.w <= 0.0f) return;
    MAP_LOAD(both, maps);
    MAP_SPACE float *map = MAP(both, maps);
    const uint end = min((uint)(get_group_id(0) * BLOCKS + BLOCKS), (count + BLOCK - 1) / BLOCK);
    for (uint b = get_group_id(0) * BLOCKS; b < end; b++) {
        const size_t from = (size_t)first + (size_t)b * BLOCK;
        const int n = min((uint)BLOCK, count - b * BLOCK);
        const float2 scale = vload2(first_block + b, scales);
        float largest_m = 0.0f, largest_v = 0.0f;
        for (int e = get_local_id(0); e < n; e += WG) {
            const uchar2 at = vload2(from + e, q);
            m[SLOT(e)] = map[at.x] * scale.x;
            v[SLOT(e)] = map[256 + at.y] * scale.y;
        }
        int e = 0;
#if VW > 1
        for (; e + VW <= n; e += VW) {
            floatv mi = LDV(m, e), vi = LDV(v, e);
            const size_t i = from + e;
            STPV(p, i,
                 opt_1(LDPV(p, i), LDGV(g, i) * SPLAT(clip), &mi, &vi,
                       i < decay_count ? s.x : 1.0f, s, h),
                 state, arena);
            STV(m, e, mi);
            STV(v, e, vi);
        }
#endif
        for (e += get_local_id(0); e < n; e += WG) {
            const size_t i = from + e;
            STP(p, i,
                opt_1(LDP(p, i), LDG(g, i) * clip, &m[SLOT(e)], &v[SLOT(e)],
                      i < decay_count ? s.x : 1.0f, s, h),
                state, arena);
        }
        for (e = get_local_id(0); e < n; e += WG) {
            largest_m = fmax(largest_m, fabs(m[SLOT(e)]));
            largest_v = fmax(largest_v, v[SLOT(e)]);
        }
        largest_m = WG_MAX(largest_m, tmp);
        largest_v = WG_MAX(largest_v, tmp);
        for (e = get_local_id(0); e < n; e += WG) {
            const float mi = m[SLOT(e)], vi = v[SLOT(e)];
            const int qm = nearest(map, largest_m > 0.0f ? mi / largest_m : 0.0f);
            const int qv = nearest(map + 256, largest_v > 0.0f ? vi / largest_v : 0.0f);
            vstore2((uchar2)(qm, qv == 0 && vi > 0.0f ? 1 : qv), from + e, q);
        }
        if (get_local_id(0) == 0) vstore2((float2)(largest_m, largest_v), first_block + b, scales);
    }
}
