// SPDX-License-Identifier: Apache-2.0
/* support.h - a device whose largest buffer may be small, and models of random weights. */
#ifndef TT_TESTS_UNIT_MODEL_SUPPORT_H
#define TT_TESTS_UNIT_MODEL_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/model/model.h"

typedef struct {
    tti_device *dev;
    char dir[64]; /* removed by tm_close */
} tm_env;

/* max_alloc 0: what the device has. */
static inline tti_device *tm_device(size_t max_alloc) {
    char text[32];
    tti_device *d;
    snprintf(text, sizeof text, "%zu", max_alloc);
    if (max_alloc)
        setenv("TT_MAX_ALLOC", text, 1);
    else
        unsetenv("TT_MAX_ALLOC");
    if (tti_device_open(&d, NULL) != TT_OK) cr_skip_test("no device: %s", tt_error());
    return d;
}

static inline tm_env tm_open(void) {
    tm_env e = {.dev = tm_device(0)};
    snprintf(e.dir, sizeof e.dir, "/tmp/tt-model-XXXXXX");
    cr_assert(mkdtemp(e.dir));
    return e;
}

static inline void tm_close(tm_env *e) {
    tti_device_close(e->dev);
    cr_assert_eq(tti_dir_remove(e->dir), TT_OK);
}

/* "dir/name" in one of a few buffers. */
static inline const char *tm_path(const char *dir, const char *name) {
    static char path[16][512];
    static int next;
    char both[512], *p = path[next++ % 16]; /* dir may be another one of them */
    snprintf(both, sizeof both, "%s/%s", dir, name);
    return memcpy(p, both, sizeof both);
}

static inline void tm_write(const char *dir, const char *name, const char *text) {
    cr_assert_eq(tti_mkdirs(dir), TT_OK);
    cr_assert_eq(tti_file_write(tm_path(dir, name), text, strlen(text)), TT_OK, "%s", tt_error());
}

/* A folder with the config.json of a small Llama, more: further keys. Gives the folder. */
static inline const char *tm_llama(const tm_env *e, const char *name, const char *more) {
    char text[1024];
    const char *dir = tm_path(e->dir, name);
    snprintf(text, sizeof text,
             "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], "
             "\"hidden_size\": 64, \"intermediate_size\": 328, \"num_hidden_layers\": 2, "
             "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 1003, "
             "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\", "
             "\"initializer_range\": 0.1%s}",
             more);
    tm_write(dir, "config.json", text);
    return dir;
}

static inline tti_model_opts tm_opts(void) {
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.random_weights = true;
    o.seed = 7;
    return o;
}

static inline tti_model *tm_load(tti_device *d, const char *dir, const tti_model_opts *o) {
    tti_model *m = NULL;
    cr_assert_eq(tti_model_load(&m, d, dir, o), TT_OK, "%s", tt_error());
    return m;
}

/* All values of a parameter (tti_free). */
static inline float *tm_values(tti_model *m, const tti_param *p) {
    float *v = tti_malloc(p->rows * p->cols * sizeof *v);
    cr_assert(v);
    cr_assert_eq(tti_model_read(m, p, v), TT_OK, "%s", tt_error());
    return v;
}

/* What v becomes in layout l, in place. */
static inline void tm_round(const tti_layout *l, float *v) {
    void *packed = tti_malloc(l->bytes);
    cr_assert(packed);
    cr_assert_eq(tti_quantise(l, v, packed), TT_OK, "%s", tt_error());
    tti_dequantise(l, packed, 0, l->rows * l->cols, v);
    tti_free(packed);
}

#endif
