// SPDX-License-Identifier: Apache-2.0
/* select.c - how many positions of a sequence carry gradient, and which. */
#include <math.h>
#include "host/core/philox.h"
#include "host/train/batch.h"

size_t tti_select_count(double keep, size_t n) {
    if (n == 0) return 0;
    double wanted = keep > 1.0 ? floor(keep) : nearbyint(keep * (double)n);
    if (!(wanted >= 1.0)) return 1;
    return wanted >= (double)n ? n : (size_t)wanted;
}

/* Selection sampling: position t is taken with probability (still wanted) / (still left), which
 * makes every subset equally likely and gives it in ascending order. */
void tti_select_draw(int32_t *out, size_t count, size_t n, uint32_t seed, uint32_t step,
                     uint32_t sequence) {
    TT_ASSERT(count <= n);
    if (count == 0) return;
    size_t taken = 0;
    out[taken++] = 0;
    tti_philox_out r = {{0}};
    for (size_t t = 1; t < n && taken < count; t++) {
        if ((t & 3) == 0 || t == 1)
            r = tti_philox((uint32_t)(t >> 2), sequence, step, TTI_STREAM_SELECT, seed, 0);
        if (tti_below(r.v[t & 3], (uint32_t)(n - t)) < count - taken) out[taken++] = (int32_t)t;
    }
}
