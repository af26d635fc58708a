// SPDX-License-Identifier: Apache-2.0
/* near.c - edit distance with swaps (optimal string alignment). */
#include <string.h>
#include "host/train/near.h"

enum { LONGEST = 63 };

size_t tti_distance(const char *a, const char *b) {
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) return LONGEST + 1;
    size_t d[3][LONGEST + 1]; /* rows i-2, i-1, i, in turn */
    for (size_t j = 0; j <= nb; j++) d[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            best = TT_MIN(best, TT_MIN(up[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = TT_MIN(best, up2[j - 2] + 1);
            row[j] = best;
        }
    }
    return d[na % 3][nb];
}

bool tti_is_near(const char *name, const char *known) {
    size_t n = strlen(name), k = strlen(known), shorter = TT_MIN(n, k);
    if (shorter >= 3 && strncmp(name, known, shorter) == 0) return true;
    return tti_distance(name, known) <= TT_MAX(n / 3, 1);
}
