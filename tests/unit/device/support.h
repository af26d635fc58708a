// SPDX-License-Identifier: Apache-2.0
/* support.h - a device with a cache folder of its own, for the tests of host/device. */
#ifndef TT_TESTS_UNIT_DEVICE_SUPPORT_H
#define TT_TESTS_UNIT_DEVICE_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/device/device.h"
#include "host/device/internal.h"

#define OK(call)                                                      \
    do {                                                              \
        tt_status ok_status_ = (call);                                \
        cr_assert_eq(ok_status_, TT_OK, "%s: %s", #call, tt_error()); \
    } while (0)

static char td_root[] = "/tmp/tt-device-XXXXXX";

/* Kernels of tests/unit/device/cl, an empty per-user cache, default choices. */
static inline void td_setup(void) {
    cr_assert(mkdtemp(td_root), "mkdtemp");
    setenv("TT_CACHE_DIR", td_root, 1);
    setenv("TT_CL_DIR", TT_TEST_DATA "/unit/device/cl", 1);
    static const char *const unset[] = {
        "TT_MAX_ALLOC", "TT_DEVICE_MEMORY",     "TT_WG",           "TT_VW",
        "TT_PROFILE",   "TT_FAIL_DEVICE_ALLOC", "TT_PROGRAM_CACHE"};
    for (size_t i = 0; i < TT_COUNT(unset); i++) unsetenv(unset[i]);
}

static inline void td_teardown(void) { tti_dir_remove(td_root); }

/* Skips the test without a device; fails it where TT_REQUIRE_DEVICE=1. */
static inline tti_device *td_open(void) {
    tti_device *d = NULL;
    tt_status s = tti_device_open(&d, NULL);
    if (s == TT_OK) return d;
    const char *require = getenv("TT_REQUIRE_DEVICE");
    cr_assert(!require || strcmp(require, "1") != 0, "no device: %s", tt_error());
    cr_assert_eq(s, TT_E_DEVICE, "%s", tt_error());
    cr_skip_test("no device: %s", tt_error());
    return NULL;
}

static inline void td_expect_error(tt_status got, tt_status want, const char *part,
                                   const char *what) {
    cr_expect_eq(got, want, "%s: status %d, not %d (%s)", what, got, want, tt_error());
    if (got != TT_OK)
        cr_expect(strstr(tt_error(), part), "%s: \"%s\" lacks \"%s\"", what, tt_error(), part);
}

#endif
