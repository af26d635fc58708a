// SPDX-License-Identifier: Apache-2.0
/* metrics_log.c - an append-only file of JSON lines. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "host/train/metrics_log.h"

static tt_status fail_io(const tti_metrics_log *l, const char *what) {
    return tti_fail(TT_E_IO, "%s: cannot be %s: %s", l->path, what, strerror(errno));
}

tt_status tti_metrics_log_open(tti_metrics_log *l, const char *path, uint64_t keep) {
    *l = (tti_metrics_log){.path = tti_strdup(path)};
    if (!l->path) return TT_E_NOMEM;
    tt_status s = TT_OK;
    l->f = fopen(path, "ab");
    long end = -1;
    if (l->f && fseek(l->f, 0, SEEK_END) == 0) end = ftell(l->f);
    if (end < 0) s = fail_io(l, "opened");
    if (s == TT_OK && (uint64_t)end < keep)
        tti_warn("%s: %ld bytes, the checkpoint was written at %llu; lines are missing", path, end,
                 (unsigned long long)keep);
    if (s == TT_OK) l->size = TT_MIN((uint64_t)end, keep);
    if (s == TT_OK && ftruncate(fileno(l->f), (off_t)l->size) != 0) s = fail_io(l, "cut");
    if (s != TT_OK) tti_metrics_log_close(l);
    return s;
}

tt_status tti_metrics_log_line(tti_metrics_log *l, const tti_str *line) {
    if (line->status != TT_OK) return line->status;
    if (fwrite(line->p, 1, line->len, l->f) != line->len || fputc('\n', l->f) == EOF ||
        fflush(l->f) != 0)
        return fail_io(l, "written");
    l->size += line->len + 1;
    return TT_OK;
}

tt_status tti_metrics_log_sync(tti_metrics_log *l) {
    return fsync(fileno(l->f)) == 0 ? TT_OK : fail_io(l, "written to the disk");
}

void tti_metrics_log_close(tti_metrics_log *l) {
    if (l->f) fclose(l->f);
    tti_free(l->path);
    *l = (tti_metrics_log){0};
}
