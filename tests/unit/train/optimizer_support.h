// SPDX-License-Identifier: Apache-2.0
/* optimizer_support.h - what the tests of optimizers share. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/train/optimizer_internal.h"

#define OK(expr) cr_assert_eq((expr), TT_OK, "%s", tt_error())

static const int shapes[][2] = {{1, 16}, {1, 8}, {64, 4}, {64, 1}};

static inline tti_device *open_device(void) {
    tti_device *d;
    if (tti_device_open(&d, NULL) == TT_OK) return d;
    if (getenv("TT_REQUIRE_DEVICE")) cr_assert(false, "no device: %s", tt_error());
    cr_skip_test("no device: %s", tt_error());
    return NULL;
}

static inline tti_caps *caps_of(tti_device *d) {
    return (tti_caps *)(uintptr_t)tti_device_caps(d); /* as if it were another device */
}

static inline void set_shape(tti_device *d, const int shape[2]) {
    caps_of(d)->wg = shape[0];
    caps_of(d)->vw = shape[1];
}

static inline float draw(uint32_t a, uint32_t b) {
    return 2.0f * tti_unit(tti_philox(a, b, 0, 78, 1, 2).v[0]) - 1.0f;
}

static inline cl_mem upload(tti_device *d, const void *p, size_t bytes) {
    cl_mem m = NULL;
    OK(tti_mem_new(&m, d, bytes, TTI_MEM_OTHER, true));
    if (p) OK(tti_mem_write(d, m, 0, p, bytes));
    OK(tti_device_finish(d));
    return m;
}
