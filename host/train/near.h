// SPDX-License-Identifier: Apache-2.0
/* near.h - the known names that a mistyped one resembles. */
#ifndef TT_HOST_TRAIN_NEAR_H
#define TT_HOST_TRAIN_NEAR_H

#include "host/core/core.h"

/* How many single-letter changes (insert, delete, replace, swap of neighbours) lead from a to b,
 * capped: names longer than 63 bytes are far from everything. */
size_t tti_distance(const char *a, const char *b);
/* true when name resembles known: at most a third of its letters (at least one) differ, or one is
 * the beginning of the other with three letters or more. */
bool tti_is_near(const char *name, const char *known);

#endif
