// SPDX-License-Identifier: Apache-2.0
/* metrics_log.h - metrics.jsonl: one line an event, the same bytes for the same run. Times do not
 * belong in it. A resumed run cuts it to where its checkpoint was written. */
#ifndef TT_HOST_TRAIN_METRICS_LOG_H
#define TT_HOST_TRAIN_METRICS_LOG_H

#include "host/core/core.h"

typedef struct {
    FILE *f;
    char *path;
    uint64_t size; /* bytes so far */
} tti_metrics_log;

/* Opens path for appending, cut to `keep` bytes first; a file that is shorter than that is kept
 * whole, with a warning. */
tt_status tti_metrics_log_open(tti_metrics_log *l, const char *path, uint64_t keep);
/* Writes a line (a newline is added) and flushes. */
tt_status tti_metrics_log_line(tti_metrics_log *l, const tti_str *line);
tt_status tti_metrics_log_sync(tti_metrics_log *l); /* to the disk */
void tti_metrics_log_close(tti_metrics_log *l);     /* harmless when closed */

#endif
