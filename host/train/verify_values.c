// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify_values.h"

#include <stdlib.h>
#include <string.h>
#include "host/format/safetensors.h"

tt_status tti_verify_values_add(tti_verify_values *l, const char *name, const float *v,
                                size_t count) {
    TT_TRY(TTI_GROW(l->at, l->cap, l->n + 1));
    tti_verify_value *x = &l->at[l->n];
    *x = (tti_verify_value){.name = tti_strdup(name), .count = count};
    x->v = x->name ? tti_malloc((count + 1) * sizeof *v) : NULL;
    l->n++;
    if (!x->v) return TT_E_NOMEM;
    memcpy(x->v, v, count * sizeof *v);
    return TT_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const tti_verify_value *)a)->name, ((const tti_verify_value *)b)->name);
}

tt_status tti_verify_values_write(tti_verify_values *l, const char *path) {
    tti_st_writer *w;
    if (l->n) qsort(l->at, l->n, sizeof *l->at, by_name);
    TT_TRY(tti_st_writer_begin(&w, path));
    tt_status s = TT_OK;
    for (size_t i = 0; i < l->n && s == TT_OK; i++)
        s = tti_st_writer_declare(w, l->at[i].name, TTI_ST_F32, 1, &l->at[i].count);
    for (size_t i = 0; i < l->n && s == TT_OK; i++)
        s = tti_st_writer_write_f32(w, l->at[i].v, l->at[i].count);
    if (s == TT_OK) s = tti_st_writer_commit(w);
    tti_st_writer_free(w);
    return s;
}

void tti_verify_values_free(tti_verify_values *l) {
    for (size_t i = 0; i < l->n; i++) {
        tti_free(l->at[i].name);
        tti_free(l->at[i].v);
    }
    tti_free(l->at);
    *l = (tti_verify_values){0};
}
