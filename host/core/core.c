// SPDX-License-Identifier: Apache-2.0
#include "host/core/core.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local char message[2048] = "no error";

const char *tt_status_text(tt_status s) {
    switch (s) {
#define TEXT(name, value, text) \
    case TT_##name: return text;
        TT_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "unknown status";
}

const char *tt_error(void) { return message; }

/* One line, whatever names and texts went into it. */
static void set_message(const char *text) {
    size_t i = 0;
    for (; text[i]; i++) message[i] = (unsigned char)text[i] < 32 || text[i] == 127 ? ' ' : text[i];
    message[i] = 0;
}

tt_status tti_fail(tt_status code, const char *fmt, ...) {
    char text[sizeof message]; /* an argument may be the old message itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    set_message(text);
    return code;
}

tt_status tti_fail_in(tt_status code, const char *fmt, ...) {
    char text[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t n = strlen(text), room = sizeof text - n;
    if (room > 3) {
        memcpy(text + n, ": ", 2);
        size_t m = TT_MIN(strlen(message), room - 3);
        memcpy(text + n + 2, message, m);
        text[n + 2 + m] = 0;
    }
    set_message(text);
    return code;
}

_Noreturn void tti_assert_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "tokentune: defect at %s:%d: %s\n", file, line, cond);
    abort();
}

static atomic_long fail_at = -1; /* -1: environment not read yet; 0: off */

static bool should_fail(void) {
    long n = atomic_load(&fail_at);
    if (n < 0) {
        const char *env = getenv("TT_FAIL_ALLOC");
        n = env ? strtol(env, NULL, 10) : 0;
        atomic_store(&fail_at, n);
    }
    return n > 0 && atomic_fetch_sub(&fail_at, 1) == 1;
}

void tti_alloc_fail_at(long n) { atomic_store(&fail_at, n); }

static void *checked(void *p, size_t size) {
    if (!p) tti_fail(TT_E_NOMEM, "out of host memory: %zu bytes asked for", size);
    return p;
}

void *tti_malloc(size_t size) {
    return checked(should_fail() ? NULL : malloc(size ? size : 1), size);
}

void *tti_calloc(size_t count, size_t size) {
    size_t total;
    if (!tti_mul(count, size, &total)) return checked(NULL, SIZE_MAX);
    return checked(should_fail() ? NULL : calloc(total ? total : 1, 1), total);
}

void *tti_realloc(void *p, size_t count, size_t size) {
    size_t total;
    if (!tti_mul(count, size, &total)) return checked(NULL, SIZE_MAX);
    return checked(should_fail() ? NULL : realloc(p, total ? total : 1), total);
}

char *tti_strndup(const char *s, size_t n) {
    char *p = n < SIZE_MAX ? tti_malloc(n + 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *tti_strdup(const char *s) { return tti_strndup(s, strlen(s)); }

void tti_free(void *p) { free(p); }

bool tti_mul(size_t a, size_t b, size_t *out) {
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

tt_status tti_grow(void **array, size_t *cap, size_t need, size_t elem) {
    if (need <= *cap) return TT_OK;
    size_t n = *cap ? *cap : 16;
    while (n < need) n = n > SIZE_MAX / 2 ? need : n * 2;
    void *p = tti_realloc(*array, n, elem);
    if (!p) return TT_E_NOMEM;
    *array = p;
    *cap = n;
    return TT_OK;
}

void tti_str_add(tti_str *s, const void *bytes, size_t n) {
    if (s->status != TT_OK) return;
    s->status = TTI_GROW(s->p, s->cap, s->len + n + 1);
    if (s->status != TT_OK) return;
    if (n) memcpy(s->p + s->len, bytes, n);
    s->len += n;
    s->p[s->len] = 0;
}

void tti_str_puts(tti_str *s, const char *z) { tti_str_add(s, z, strlen(z)); }

void tti_str_putc(tti_str *s, char c) { tti_str_add(s, &c, 1); }

void tti_str_printf(tti_str *s, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && s->status == TT_OK) {
        s->status = TTI_GROW(s->p, s->cap, s->len + (size_t)n + 1);
        if (s->status == TT_OK) {
            vsnprintf(s->p + s->len, (size_t)n + 1, fmt, again);
            s->len += (size_t)n;
        }
    }
    va_end(again);
}

void tti_str_json(tti_str *s, const char *z, size_t n) {
    tti_str_putc(s, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)z[i];
        if (c == '"' || c == '\\')
            tti_str_putc(s, '\\'), tti_str_putc(s, (char)c);
        else if (c == '\n')
            tti_str_puts(s, "\\n");
        else if (c == '\r')
            tti_str_puts(s, "\\r");
        else if (c == '\t')
            tti_str_puts(s, "\\t");
        else if (c < 0x20)
            tti_str_printf(s, "\\u%04x", c);
        else
            tti_str_putc(s, (char)c);
    }
    tti_str_putc(s, '"');
}

void tti_str_free(tti_str *s) {
    tti_free(s->p);
    *s = (tti_str){0};
}

enum { QUIET, WARN, INFO, DEBUG };
static void (*sink)(void *, int, const char *);
static void *sink_ctx;

void tti_log_sink(void (*fn)(void *ctx, int level, const char *line), void *ctx) {
    sink = fn;
    sink_ctx = ctx;
}

static int log_level(void) {
    const char *env = getenv("TT_LOG");
    if (!env) return INFO;
    return !strcmp(env, "quiet") ? QUIET : !strcmp(env, "debug") ? DEBUG : INFO;
}

static void log_line(int level, const char *prefix, const char *fmt, va_list ap) {
    if (level > log_level()) return;
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    if (sink)
        sink(sink_ctx, level, line);
    else
        fprintf(stderr, "%s%s\n", prefix, line);
}

#define LOG_FUNCTION(name, level, prefix) \
    void name(const char *fmt, ...) {     \
        va_list ap;                       \
        va_start(ap, fmt);                \
        log_line(level, prefix, fmt, ap); \
        va_end(ap);                       \
    }
LOG_FUNCTION(tti_info, INFO, "")
LOG_FUNCTION(tti_warn, WARN, "warning: ")
LOG_FUNCTION(tti_debug, DEBUG, "debug: ")

double tti_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void tti_process_bytes(size_t *now, size_t *peak) {
    *now = *peak = 0;
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];
    while (f && fgets(line, sizeof line, f)) {
        size_t *to = !strncmp(line, "VmRSS:", 6) ? now : !strncmp(line, "VmHWM:", 6) ? peak : NULL;
        if (to) *to = (size_t)strtoul(line + 6, NULL, 10) << 10;
    }
    if (f) fclose(f);
}

void tti_process_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
