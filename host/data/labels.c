// SPDX-License-Identifier: Apache-2.0
/* labels.c - a hash table of label texts, and their order. */
#include "host/data/labels.h"

#include <stdlib.h>
#include <string.h>

static size_t *slot_of(const tti_label_set *set, const char *name) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *p = name; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    size_t i = (size_t)h & (set->slots - 1);
    while (set->slot[i] && strcmp(set->name[set->slot[i] - 1], name))
        i = (i + 1) & (set->slots - 1);
    return &set->slot[i];
}

static tt_status more_slots(tti_label_set *set) {
    const size_t n = set->slots ? set->slots * 2 : 64;
    size_t *table = tti_calloc(n, sizeof *table);
    if (!table) return TT_E_NOMEM;
    tti_free(set->slot);
    set->slot = table;
    set->slots = n;
    for (size_t i = 0; i < set->n; i++) *slot_of(set, set->name[i]) = i + 1;
    return TT_OK;
}

tt_status tti_label_set_add(tti_label_set *set, const char *name, size_t *number) {
    if (set->n * 2 >= set->slots) TT_TRY(more_slots(set));
    size_t *slot = slot_of(set, name);
    if (!*slot) {
        TT_TRY(TTI_GROW(set->name, set->cap, set->n + 1));
        set->name[set->n] = tti_strdup(name);
        if (!set->name[set->n]) return TT_E_NOMEM;
        *slot = ++set->n;
    }
    *number = *slot - 1;
    return TT_OK;
}

size_t tti_label_set_find(const tti_label_set *set, const char *name) {
    return set->n ? *slot_of(set, name) - 1 : SIZE_MAX;
}

void tti_label_set_free(tti_label_set *set) {
    for (size_t i = 0; i < set->n; i++) tti_free(set->name[i]);
    tti_free(set->name);
    tti_free(set->slot);
    *set = (tti_label_set){0};
}

bool tti_label_whole(const char *s, int64_t *out) {
    const char *p = s + (*s == '-');
    const size_t n = strlen(p);
    if (!n || n > 15 || p[strspn(p, "0123456789")] || (*p == '0' && (n > 1 || p != s)))
        return false;
    *out = strtoll(s, NULL, 10);
    return true;
}

static int by_bytes(const void *a, const void *b, void *names) {
    char **name = names;
    return strcmp(name[*(const size_t *)a], name[*(const size_t *)b]);
}

static int by_value(const void *a, const void *b, void *names) {
    char **name = names;
    int64_t x = 0, y = 0;
    (void)tti_label_whole(name[*(const size_t *)a], &x);
    (void)tti_label_whole(name[*(const size_t *)b], &y);
    return x < y ? -1 : x > y;
}

void tti_label_set_order(const tti_label_set *set, size_t *number_of_id) {
    bool whole = true;
    for (size_t i = 0; i < set->n; i++) {
        int64_t v;
        number_of_id[i] = i;
        whole = whole && tti_label_whole(set->name[i], &v);
    }
    qsort_r(number_of_id, set->n, sizeof *number_of_id, whole ? by_value : by_bytes, set->name);
}
