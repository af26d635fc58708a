// SPDX-License-Identifier: Apache-2.0
/* lines.c - a file as lines of bounded length. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>
#include "host/data/reader_internal.h"

enum { AHEAD = 1 << 16 };

tt_status tti_lines_open(tti_lines *l, const char *path, size_t max) {
    const bool standard = !strcmp(path, "-");
    *l = (tti_lines){.fd = STDIN_FILENO, .max = max};
    l->name = tti_strdup(standard ? "standard input" : path);
    l->buf = l->name ? tti_malloc(AHEAD) : NULL;
    if (!l->buf) return TT_E_NOMEM;
    if (standard) return TT_OK;
    l->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0) return tti_fail(TT_E_IO, "%s: cannot open: %s", path, strerror(errno));
    l->owns_fd = true;
    return TT_OK;
}

void tti_lines_close(tti_lines *l) {
    if (l->owns_fd) close(l->fd);
    tti_free(l->name);
    tti_free(l->buf);
    tti_str_free(&l->text);
    *l = (tti_lines){.fd = -1};
}

/* Reads more behind what is there. */
static tt_status fill(tti_lines *l) {
    if (l->at == l->end) l->at = l->end = 0;
    while (!l->at_end && l->end < AHEAD) {
        ssize_t n = read(l->fd, l->buf + l->end, AHEAD - l->end);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return tti_fail(TT_E_IO, "%s: cannot read: %s", l->name, strerror(errno));
        if (n == 0) l->at_end = true;
        l->end += (size_t)n;
        if (n > 0) break;
    }
    return TT_OK;
}

/* Steps over the byte order mark; the start of a file is in the buffer. */
static tt_status start(tti_lines *l) {
    if (l->started) return TT_OK;
    l->started = true;
    while (!l->at_end && l->end - l->at < 3) TT_TRY(fill(l));
    const size_t n = l->end - l->at;
    const char *p = l->buf + l->at;
    if (n >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3)) l->at += 3;
    if (n >= 2 && (!memcmp(p, "\xFF\xFE", 2) || !memcmp(p, "\xFE\xFF", 2)))
        return tti_fail(TT_E_FORMAT, "%s: is UTF-16; convert it to UTF-8", l->name);
    return TT_OK;
}

tt_status tti_lines_peek(tti_lines *l, char *out) {
    *out = 0;
    TT_TRY(start(l));
    for (size_t i = 0;; i++) {
        while (i == l->end - l->at) {
            if (l->at_end || l->end == AHEAD) return TT_OK;
            TT_TRY(fill(l));
        }
        *out = l->buf[l->at + i];
        if (!strchr(" \t\r\n", *out)) return TT_OK;
        *out = 0;
    }
}

static tt_status check_text(const tti_lines *l) {
    const char *p = l->text.p;
    for (size_t i = 0; i < l->text.len;) {
        utf8proc_int32_t c = (unsigned char)p[i];
        utf8proc_ssize_t n = 1; /* most text is ASCII */
        if (c >= 0x80)
            n = utf8proc_iterate((const utf8proc_uint8_t *)p + i,
                                 (utf8proc_ssize_t)(l->text.len - i), &c);
        if (n < 1)
            return tti_fail(TT_E_FORMAT, "%s:%zu: byte %zu (0x%02X) is not UTF-8; convert the file",
                            l->name, l->number, i + 1, (unsigned char)p[i]);
        if (!c)
            return tti_fail(TT_E_FORMAT, "%s:%zu: byte %zu is NUL; is this a text file?", l->name,
                            l->number, i + 1);
        i += (size_t)n;
    }
    return TT_OK;
}

tt_status tti_lines_next(tti_lines *l, bool *more) {
    *more = false;
    TT_TRY(start(l));
    l->text.len = 0;
    for (bool whole = false; !whole;) {
        if (l->at == l->end) TT_TRY(fill(l));
        if (l->at == l->end) break;
        const char *p = l->buf + l->at, *nl = memchr(p, '\n', l->end - l->at);
        const size_t n = nl ? (size_t)(nl - p) + 1 : l->end - l->at;
        whole = nl != NULL;
        if (l->text.len + n > l->max)
            return tti_fail(TT_E_DATA, "%s:%zu: a line of more than %zu bytes", l->name,
                            l->number + 1, l->max);
        tti_str_add(&l->text, p, n);
        if (l->text.status != TT_OK) return l->text.status;
        l->at += n;
        *more = true;
    }
    if (!*more) return TT_OK;
    l->number++;
    return check_text(l);
}
