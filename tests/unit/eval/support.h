// SPDX-License-Identifier: Apache-2.0
/* support.h - a device, folders to write to, and files of the test data. */
#ifndef TT_TESTS_UNIT_EVAL_SUPPORT_H
#define TT_TESTS_UNIT_EVAL_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/device/device.h"
#include "host/gemm/gemm.h"

typedef struct {
    tti_device *dev;
    tti_gemm *gemm;
    char dir[64]; /* removed by te_close */
} te_env;

static inline te_env te_open(void) {
    te_env e = {0};
    if (tti_device_open(&e.dev, NULL) != TT_OK) cr_skip_test("no device: %s", tt_error());
    cr_assert_eq(tti_gemm_new(&e.gemm, e.dev, NULL), TT_OK, "%s", tt_error());
    snprintf(e.dir, sizeof e.dir, "/tmp/tt-eval-XXXXXX");
    cr_assert(mkdtemp(e.dir));
    return e;
}

static inline void te_close(te_env *e) {
    tti_gemm_free(e->gemm);
    tti_device_close(e->dev);
    cr_assert_eq(tti_dir_remove(e->dir), TT_OK);
}

/* "a/b" in one of 32 buffers. */
static inline const char *te_path(const char *a, const char *b) {
    static char path[32][512];
    static int next;
    char both[512], *p = path[next++ % 32]; /* a may be another one of them */
    snprintf(both, sizeof both, "%s/%s", a, b);
    return memcpy(p, both, sizeof both);
}
static inline const char *te_data(const char *name) { return te_path(TT_TEST_DATA, name); }
static inline const char *te_temp(const te_env *e, const char *name) {
    return te_path(e->dir, name);
}

static inline void te_write(te_env *e, const char *name, const char *text) {
    cr_assert_eq(tti_file_write(te_temp(e, name), text, strlen(text)), TT_OK, "%s", tt_error());
}

#endif
