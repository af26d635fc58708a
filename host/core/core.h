// SPDX-License-Identifier: Apache-2.0
/* core.h - what every room uses: failures, memory, strings, logging. */
#ifndef TT_HOST_CORE_CORE_H
#define TT_HOST_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "tokentune/status.h"

#define TT_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define TT_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Sets this thread's message (one line, no final newline) and returns code. */
tt_status tti_fail(tt_status code, const char *fmt, ...) TT_PRINTF(2, 3);
/* Puts "prefix: " before the current message and returns code; for naming the outer thing. */
tt_status tti_fail_in(tt_status code, const char *fmt, ...) TT_PRINTF(2, 3);

/* Returns early with the status of a failed call. */
#define TT_TRY(expr)                                        \
    do {                                                    \
        tt_status tt_try_status_ = (expr);                  \
        if (tt_try_status_ != TT_OK) return tt_try_status_; \
    } while (0)
/* The same inside a function that has a variable `s` and a clean-up label `done`. */
#define TT_GO(expr)                \
    do {                           \
        s = (expr);                \
        if (s != TT_OK) goto done; \
    } while (0)

/* For our own defects only, never for bad input; stays on in release builds. */
#define TT_ASSERT(cond)                                            \
    do {                                                           \
        if (!(cond)) tti_assert_failed(#cond, __FILE__, __LINE__); \
    } while (0)
_Noreturn void tti_assert_failed(const char *cond, const char *file, int line);

/* Host memory. All return NULL on failure with the message set (return TT_E_NOMEM then).
 * count*size is checked for overflow; calloc zeroes; size 0 gives a valid pointer. */
void *tti_malloc(size_t size);
void *tti_calloc(size_t count, size_t size);
void *tti_realloc(void *p, size_t count, size_t size);
char *tti_strdup(const char *s);
char *tti_strndup(const char *s, size_t n);
void tti_free(void *p); /* NULL is a no-op */
/* Tests: the n-th allocation from now fails (1 = next), once; 0 switches off. Also env
 * TT_FAIL_ALLOC=n, read once. */
void tti_alloc_fail_at(long n);
/* false when a*b overflows size_t, else *out = a*b */
bool tti_mul(size_t a, size_t b, size_t *out);

/* Makes room for at least `need` elements in a growing array; doubles. */
tt_status tti_grow(void **array, size_t *cap, size_t need, size_t elem);
#define TTI_GROW(arr, cap, need) tti_grow((void **)&(arr), &(cap), (need), sizeof *(arr))

/* Growing byte string; always NUL-terminated once non-empty. Zero-initialise; never fails midway:
 * the first failure sticks in `status` and later appends do nothing. */
typedef struct {
    char *p;
    size_t len, cap;
    tt_status status;
} tti_str;
void tti_str_add(tti_str *s, const void *bytes, size_t n);
void tti_str_puts(tti_str *s, const char *z);
void tti_str_putc(tti_str *s, char c);
void tti_str_printf(tti_str *s, const char *fmt, ...) TT_PRINTF(2, 3);
void tti_str_json(tti_str *s, const char *z, size_t n); /* quoted and escaped JSON string */
void tti_str_free(tti_str *s);

/* Log lines for people, on stderr; level from TT_LOG=quiet|info|debug (default info). */
void tti_info(const char *fmt, ...) TT_PRINTF(1, 2);
void tti_warn(const char *fmt, ...) TT_PRINTF(1, 2);
void tti_debug(const char *fmt, ...) TT_PRINTF(1, 2);
/* Library users may take the lines instead; NULL goes back to stderr. */
void tti_log_sink(void (*fn)(void *ctx, int level, const char *line), void *ctx);

double tti_now(void); /* monotonic seconds */
/* Resident bytes of this process: now, and the most so far; 0 where the system does not say. */
void tti_process_bytes(size_t *now, size_t *peak);
/* Gives back to the system what was freed, where the C library keeps it: after work that took much
 * for a while, as compiling kernels does. */
void tti_process_trim(void);

#endif
