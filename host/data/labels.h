// SPDX-License-Identifier: Apache-2.0
/* labels.h - label texts counted while reading, and the ids they get. */
#ifndef TT_HOST_DATA_LABELS_H
#define TT_HOST_DATA_LABELS_H

#include "host/core/core.h"

/* Label texts, numbered in the order in which they were first met. */
typedef struct {
    char **name;
    size_t n, cap;
    size_t *slot, slots; /* open addressing, index + 1 */
} tti_label_set;

/* Finds or adds; copies name. */
tt_status tti_label_set_add(tti_label_set *set, const char *name, size_t *number);
/* SIZE_MAX where there is none. */
size_t tti_label_set_find(const tti_label_set *set, const char *name);
void tti_label_set_free(tti_label_set *set);
/* Which number each id has: whole numbers by value if all are such, else by their bytes. */
void tti_label_set_order(const tti_label_set *set, size_t *number_of_id);

/* A whole number as it is written in decimal (no '+', no zeros in front). */
bool tti_label_whole(const char *s, int64_t *out);

#endif
