// SPDX-License-Identifier: Apache-2.0
/* scratch.h - a folder for the files of one test, and checks of failures. */
#ifndef TT_TESTS_UNIT_FORMAT_SCRATCH_H
#define TT_TESTS_UNIT_FORMAT_SCRATCH_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"

/* Criterion passes a test whose process only leaks, so leaks are asked for here. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCRATCH_LEAKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SCRATCH_LEAKS)
#include <sanitizer/lsan_interface.h>
static inline void abort_on_leaks(void) {
    if (__lsan_do_recoverable_leak_check()) abort(); /* a failed check is not counted any more */
}
#else
static inline void abort_on_leaks(void) {}
#endif

static char scratch_folder[] = "/tmp/tt-test-XXXXXX";

static inline void scratch_begin(void) { cr_assert(mkdtemp(scratch_folder)); }
static inline void scratch_end(void) {
    tti_dir_remove(scratch_folder);
    abort_on_leaks();
}

/* A name in the folder; valid for the next few calls. */
static inline const char *scratch(const char *name) {
    static char names[8][300];
    static int turn;
    char *s = names[turn++ & 7];
    snprintf(s, sizeof names[0], "%s/%s", scratch_folder, name);
    return s;
}

/* A file of this text; gives its name as scratch does. */
static inline const char *scratch_text(const char *name, const char *text) {
    cr_assert_eq(tti_file_write(scratch(name), text, strlen(text)), TT_OK, "%s", tt_error());
    return scratch(name);
}

static inline void expect_error(tt_status got, tt_status want, const char *says) {
    cr_expect_eq(got, want, "status %d, expected %d (%s): %s", got, want, says, tt_error());
    if (got != TT_OK)
        cr_expect(strstr(tt_error(), says), "\"%s\" does not say \"%s\"", tt_error(), says);
}

/* Fails the first, the second, .. allocation of run() until it succeeds; it must report each. */
static inline void expect_nomem_until_ok(tt_status (*run)(void)) {
    tt_status s = TT_E_NOMEM;
    long n = 0;
    while (s == TT_E_NOMEM && n < 3000) {
        tti_alloc_fail_at(++n);
        s = run();
        tti_alloc_fail_at(0);
    }
    cr_expect(s == TT_OK, "allocation %ld: %s", n, tt_error());
    cr_expect(n > 5 && n < 3000, "%ld allocations", n);
}

#endif
