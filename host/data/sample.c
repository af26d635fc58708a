// SPDX-License-Identifier: Apache-2.0
/* sample.c - few samples a class, and a part held back, drawn by counters. */
#include <stdlib.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/data/dataset_internal.h"

enum { FOR_SHOTS, FOR_SPLIT }; /* keeps the two draws apart: a counter word */

/* Brings `count` of the n indices to the front, a uniform draw without replacement. */
static void draw(uint32_t *index, size_t n, size_t count, uint32_t group, uint32_t purpose,
                 uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        tti_philox_out r = tti_philox((uint32_t)i, group, purpose, TTI_STREAM_SHOTS, (uint32_t)seed,
                                      (uint32_t)(seed >> 32));
        size_t j = i + tti_below(r.v[0], (uint32_t)(n - i));
        uint32_t t = index[i];
        index[i] = index[j];
        index[j] = t;
    }
}

/* The samples of each group (a class; all samples where there are no classes), group after group.
 */
typedef struct {
    uint32_t *index;
    size_t *begin; /* groups + 1 */
    size_t groups;
    bool *chosen; /* by sample */
} grouping;

static void grouping_free(grouping *g) {
    tti_free(g->index);
    tti_free(g->begin);
    tti_free(g->chosen);
}

static size_t group_of(const tti_dataset *ds, size_t i) {
    return ds->labels ? (size_t)ds->at[i].label : 0;
}

static tt_status grouping_new(grouping *g, const tti_dataset *ds) {
    *g = (grouping){.groups = ds->labels ? ds->labels : 1};
    g->index = tti_calloc(ds->n, sizeof *g->index);
    g->begin = tti_calloc(g->groups + 2, sizeof *g->begin);
    g->chosen = tti_calloc(ds->n, sizeof *g->chosen);
    if (!g->index || !g->begin || !g->chosen) {
        grouping_free(g);
        return TT_E_NOMEM;
    }
    /* counted two places on, so that filling leaves each begin where it belongs */
    for (size_t i = 0; i < ds->n; i++) g->begin[group_of(ds, i) + 2]++;
    for (size_t c = 0; c < g->groups; c++) g->begin[c + 2] += g->begin[c + 1];
    for (size_t i = 0; i < ds->n; i++) g->index[g->begin[group_of(ds, i) + 1]++] = (uint32_t)i;
    return TT_OK;
}

static size_t group_size(const grouping *g, size_t c) { return g->begin[c + 1] - g->begin[c]; }

static void choose(grouping *g, size_t c, size_t count, uint32_t purpose, uint64_t seed) {
    uint32_t *index = g->index + g->begin[c];
    draw(index, group_size(g, c), count, (uint32_t)c, purpose, seed);
    for (size_t i = 0; i < count; i++) g->chosen[index[i]] = true;
}

/* Keeps the samples whose mark is `keep`. Texts that nobody needs stay until the end: they are few.
 */
static void keep_marked(tti_dataset *ds, const bool *mark, bool keep) {
    size_t n = 0;
    for (size_t i = 0; i < ds->n; i++)
        if (mark[i] == keep) ds->at[n++] = ds->at[i];
    ds->n = n;
}

tt_status tti_dataset_shots(tti_dataset *ds, size_t k, uint64_t seed) {
    if (!ds->labels) return tti_fail(TT_E_ARG, "samples a class can be drawn of classes only");
    if (!k) return tti_fail(TT_E_ARG, "0 samples a class; at least 1 is needed");
    grouping g;
    TT_TRY(grouping_new(&g, ds));
    tt_status s = TT_OK;
    for (size_t c = 0; c < g.groups && s == TT_OK; c++)
        if (group_size(&g, c) < k)
            s = tti_fail(TT_E_DATA,
                         "%s: class \"%.100s\" has %zu samples, but %zu are to be drawn of each",
                         ds->file[0], ds->label[c], group_size(&g, c), k);
    if (s == TT_OK) {
        for (size_t c = 0; c < g.groups; c++) choose(&g, c, k, FOR_SHOTS, seed);
        keep_marked(ds, g.chosen, true);
    }
    grouping_free(&g);
    return s;
}

typedef struct {
    size_t group, rest, most;
} share;

static int by_rest(const void *a, const void *b) {
    const share *x = a, *y = b;
    if (x->rest != y->rest) return x->rest > y->rest ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

/* take[c] of each group, `count` in all, in proportion; every group that has samples keeps one. */
static tt_status apportion(const grouping *g, const tti_dataset *ds, size_t count, size_t *take) {
    share *by = tti_calloc(g->groups, sizeof *by);
    if (!by) return TT_E_NOMEM;
    size_t left = count, spare = 0;
    for (size_t c = 0; c < g->groups; c++) {
        const size_t size = group_size(g, c), most = size ? size - 1 : 0;
        const uint64_t product = (uint64_t)size * count; /* both below 2^32 */
        take[c] = TT_MIN((size_t)(product / ds->n), most);
        by[c] = (share){c, (size_t)(product % ds->n), most};
        left -= take[c];
        spare += most;
    }
    tt_status s = TT_OK;
    if (spare < count)
        s = tti_fail(TT_E_DATA,
                     "%s: %zu of %zu samples cannot be held back: each class must keep one",
                     ds->file[0], count, ds->n);
    qsort(by, g->groups, sizeof *by, by_rest);
    for (size_t i = 0; s == TT_OK && left; i = (i + 1) % g->groups) {
        if (take[by[i].group] == by[i].most) continue;
        take[by[i].group]++;
        left--;
    }
    tti_free(by);
    return s;
}

/* A dataset of the chosen samples, with its own copies. */
static tt_status copy_marked(tti_dataset **out, const tti_dataset *ds, const bool *mark) {
    tt_status s = TT_E_NOMEM;
    tti_dataset *d = tti_calloc(1, sizeof *d);
    if (!d) return s;
    d->pairs = ds->pairs;
    TT_GO(tti_copy_names(&d->file, (const char *const *)ds->file, ds->files));
    d->files = ds->files;
    if (ds->labels) TT_GO(tti_copy_names(&d->label, (const char *const *)ds->label, ds->labels));
    d->labels = ds->labels;
    for (size_t i = 0; i < ds->n; i++) {
        if (!mark[i]) continue;
        tti_record r = ds->at[i];
        r.text = d->texts.len;
        tti_str_add(&d->texts, ds->texts.p + ds->at[i].text, r.text_len + 1);
        r.text2 = d->texts.len;
        if (ds->pairs) tti_str_add(&d->texts, ds->texts.p + ds->at[i].text2, r.text2_len + 1);
        TT_GO(d->texts.status);
        TT_GO(TTI_GROW(d->at, d->cap, d->n + 1));
        d->at[d->n++] = r;
    }
done:
    if (s == TT_OK)
        *out = d;
    else
        tti_dataset_free(d);
    return s;
}

tt_status tti_dataset_split(tti_dataset *ds, tti_dataset **held, size_t count, uint64_t seed) {
    *held = NULL;
    if (!count) return tti_fail(TT_E_ARG, "0 samples to hold back; at least 1 is needed");
    if (count >= ds->n)
        return tti_fail(TT_E_DATA, "%s: %zu of %zu samples cannot be held back: some must remain",
                        ds->file[0], count, ds->n);
    grouping g;
    TT_TRY(grouping_new(&g, ds));
    tt_status s = TT_E_NOMEM;
    size_t *take = tti_calloc(g.groups, sizeof *take);
    if (!take) goto done;
    TT_GO(apportion(&g, ds, count, take));
    for (size_t c = 0; c < g.groups; c++) choose(&g, c, take[c], FOR_SPLIT, seed);
    TT_GO(copy_marked(held, ds, g.chosen));
    keep_marked(ds, g.chosen, false);
done:
    tti_free(take);
    grouping_free(&g);
    return s;
}
