// SPDX-License-Identifier: Apache-2.0
/* dataset_internal.h - how a dataset is kept. */
#ifndef TT_HOST_DATA_DATASET_INTERNAL_H
#define TT_HOST_DATA_DATASET_INTERNAL_H

#include "host/data/dataset.h"

/* Texts stand in one string, each with a NUL behind it. */
typedef struct {
    size_t text, text_len, text2, text2_len; /* offsets into texts */
    size_t line;
    uint32_t file;
    int32_t label;
    float target;
} tti_record;

struct tti_dataset {
    char **file;
    size_t files;
    tti_str texts;
    tti_record *at;
    size_t n, cap;
    bool pairs;
    char **label; /* by id */
    size_t labels;
};

/* Copies names of n strings; gives *out. */
tt_status tti_copy_names(char ***out, const char *const *names, size_t n);
void tti_free_names(char **names, size_t n);

#endif
