// SPDX-License-Identifier: Apache-2.0
// optimizer_adamw8.cl - AdamW with both moments in 8 bits: m = map[0][q0] * scale0 and
// v = map[1][q1] * scale1, a pair of scales for each BLOCK of elements of a matrix. After the step
// of cl/optimizer.cl a block's scales are its largest |m| and v, and q0, q1 the nearest entries;
// a v above zero is never kept as zero.
// shapes   p, g: of the arena; the matrix is `count` elements of it from `first` on
//          q: uchar[arena,2]; scales: float[blocks,2], the matrix's from first_block on
//          maps: float[2,256], ascending
// launch   ceil(blocks / BLOCKS) work-groups of WG
// defines  WG, VW, STEPS, PT, GT, BLOCKS a work-group; 1 unless WG is
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
// A work-item alone walks BLOCKS blocks; a work-group has one, in local memory: both moments, the
// maps.
#if WG == 1
#define MAP_SPACE global const
#define MAP_INLINE static inline
#define MEMORY(m, v, map, tmp, maps)                                                               \
    float m[BLOCK], v[BLOCK];                                                                      \
    MAP_SPACE float *map = maps
#else
#define MAP_SPACE local const
#define MAP_INLINE TT_LOCAL_INLINE
#define MEMORY(m, v, map, tmp, maps)                                                               \
    TT_SUM_LOCAL(tmp);                                                                             \
    local float work[4 * BLOCK];                                                                   \
    local float *m = work, *v = work + BLOCK;                                                      \
    MAP_SPACE float *map = work + 2 * BLOCK;                                                       \
    for (int i = get_local_id(0); i < 2 * BLOCK; i += WG) work[2 * BLOCK + i] = maps[i];           \
    barrier(CLK_LOCAL_MEM_FENCE)
#endif

MAP_INLINE int nearest(MAP_SPACE float *map, float x) {
    int i = 0;
    for (int step = 128; step > 0; step /= 2) i += map[i + step] <= x ? step : 0;
    return i < 255 && map[i + 1] - x < x - map[i] ? i + 1 : i;
}

TT_KERNEL void adamw8(global tt_p *p, global const tt_g *g, global uchar *q, global float *scales,
                      global const float *maps, global const float *state, const uint first,
                      const uint count, const uint decay_count, const uint first_block,
                      const uint arena) {
    MEMORY(m, v, map, tmp, maps);
    const float4 s = STATE_S(state), h = STATE_H(state);
    const float clip = state[0];
#if WG == 1
    if (s.w <= 0.0f) return;
    const uint blocks = (count + BLOCK - 1) / BLOCK;
    const uint end = min((uint)(get_group_id(0) + 1) * BLOCKS, blocks);
    for (uint b = get_group_id(0) * BLOCKS; b < end; b++)
#else
    const uint b = get_group_id(0);
#endif
    {
        const size_t from = (size_t)first + (size_t)b * BLOCK;
        const int n = s.w > 0.0f ? (int)min((uint)BLOCK, count - b * BLOCK) : 0;
        const float2 scale = vload2(first_block + b, scales);
        float largest_m = 0.0f, largest_v = 0.0f;
        for (int e = get_local_id(0); e < n; e += WG) {
            const uchar2 at = vload2(from + e, q);
            m[e] = map[at.x] * scale.x;
            v[e] = map[256 + at.y] * scale.y;
        }
        int done = 0;
#if VW > 1
        for (; done + VW <= n; done += VW) {
            floatv mi = LDV(m, done), vi = LDV(v, done);
            const size_t i = from + done;
            STPV(p, i,
                 opt_1(LDPV(p, i), LDGV(g, i) * SPLAT(clip), &mi, &vi,
                       i < decay_count ? s.x : 1.0f, s, h),
                 state, arena);
            STV(m, done, mi);
            STV(v, done, vi);
        }
#endif
        for (int e = done + get_local_id(0); e < n; e += WG) {
            const size_t i = from + e;
            float mi = m[e], vi = v[e];
            STP(p, i,
                opt_1(LDP(p, i), LDG(g, i) * clip, &mi, &vi, i < decay_count ? s.x : 1.0f, s, h),
                state, arena);
            m[e] = mi;
            v[e] = vi;
        }
        for (int e = get_local_id(0); e < n; e += WG) {
            largest_m = fmax(largest_m, fabs(m[e]));
            largest_v = fmax(largest_v, v[e]);
        }
        largest_m = WG_MAX(largest_m, tmp);
        largest_v = WG_MAX(largest_v, tmp);
        for (int e = get_local_id(0); e < n; e += WG) {
            const float mi = m[e], vi = v[e];
            const int qm = nearest(map, largest_m > 0.0f ? mi / largest_m : 0.0f);
            const int qv = nearest(map + 256, largest_v > 0.0f ? vi / largest_v : 0.0f);
            vstore2((uchar2)(qm, qv == 0 && vi > 0.0f ? 1 : qv), from + e, q);
        }
        if (get_local_id(0) == 0 && n > 0)
            vstore2((float2)(largest_m, largest_v), first_block + b, scales);
    }
}
