// SPDX-License-Identifier: Apache-2.0
/* safetensors_internal.h - one file's header, and tensors found by name. */
#ifndef TT_HOST_FORMAT_SAFETENSORS_INTERNAL_H
#define TT_HOST_FORMAT_SAFETENSORS_INTERNAL_H

#include "host/core/file.h"
#include "host/format/json.h"
#include "host/format/safetensors.h"

/* Tensors in order, and a hash table (open addressing, slot = index + 1) over their names. */
typedef struct {
    tti_st_tensor *at;
    size_t n, cap;
    size_t *slot, slots; /* slots is a power of two, at least twice n */
} tti_st_set;

/* Copies the tensor, not its name. TT_E_ARG without a message: the name is there already. */
tt_status tti_st_set_add(tti_st_set *set, const tti_st_tensor *t);
const tti_st_tensor *tti_st_set_find(const tti_st_set *set, const char *name);
void tti_st_set_free(tti_st_set *set);

/* One mapped file. */
typedef struct {
    char *path;
    tti_map map;
    cJSON *header; /* owns the names */
    tti_st_set set;
} tti_st_file;

tt_status tti_st_file_open(tti_st_file *f, const char *path);
void tti_st_file_close(tti_st_file *f);

/* Reserved for the strings that describe a file; no tensor may have it. */
#define TTI_ST_METADATA "__metadata__"
/* The limit of the reference implementation. */
#define TTI_ST_HEADER_MAX ((size_t)100000000)
/* Names in messages: long ones are cut. */
#define TTI_ST_NAME "%.200s"

#endif
