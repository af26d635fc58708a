// SPDX-License-Identifier: Apache-2.0
/* tokentune.c - include/tokentune/tokentune.h: version and log lines. */
#include "host/api/internal.h"

const char *tt_version(void) { return TT_VERSION; }

void tt_log_to(void (*fn)(void *ctx, int level, const char *line), void *ctx) {
    tti_log_sink(fn, ctx);
}
