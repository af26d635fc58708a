// SPDX-License-Identifier: Apache-2.0
/* verify_values.h - what a parity case computed, kept to be written as what another one expects. */
#ifndef TT_HOST_TRAIN_VERIFY_VALUES_H
#define TT_HOST_TRAIN_VERIFY_VALUES_H

#include "host/core/core.h"

typedef struct {
    char *name;
    size_t count;
    float *v;
} tti_verify_value;

/* Zero-initialise. */
typedef struct {
    tti_verify_value *at;
    size_t n, cap;
} tti_verify_values;

/* Copies. */
tt_status tti_verify_values_add(tti_verify_values *l, const char *name, const float *v,
                                size_t count);
/* As F32 tensors of one dimension, in the order of their names; complete or not at all. */
tt_status tti_verify_values_write(tti_verify_values *l, const char *path);
void tti_verify_values_free(tti_verify_values *l);

#endif
