// SPDX-License-Identifier: Apache-2.0
/* params.c - the list of a model's parameters, named as checkpoints name them. */
#include "host/model/internal.h"

#include <stdarg.h>
#include <string.h>

void tti_body_name(const tti_model *m, char out[192], const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(out, 192, "%s", m->family->prefix);
    vsnprintf(out + n, 192 - (size_t)n, fmt, ap);
    va_end(ap);
}

int tti_model_index(const tti_model *m, const char *name) {
    for (size_t i = 0; i < m->nparams; i++)
        if (!strcmp(m->params[i].name, name)) return (int)i;
    return -1;
}

tt_status tti_model_add_param(tti_model *m, const char *name, size_t rows, size_t cols, bool vector,
                              bool trainable) {
    TT_TRY(TTI_GROW(m->params, m->params_cap, m->nparams + 1));
    char *copy = tti_strdup(name);
    if (!copy) return TT_E_NOMEM;
    m->params[m->nparams++] = (tti_param){.name = copy,
                                          .rows = rows,
                                          .cols = cols,
                                          .vector = vector,
                                          .trainable = trainable && !m->opts.frozen,
                                          .decay = !(m->opts.no_decay_1d && vector)};
    return TT_OK;
}

static tt_status add(tti_model *m, const char *module, const char *leaf, size_t rows, size_t cols,
                     bool vector) {
    char name[224];
    snprintf(name, sizeof name, "%s.%s", module, leaf);
    return tti_model_add_param(m, name, rows, cols, vector, true);
}

static tt_status add_dense(tti_model *m, const char *module, int in, int out) {
    TT_TRY(add(m, module, "weight", (size_t)out, (size_t)in, false));
    return add(m, module, "bias", 1, (size_t)out, true);
}

static tt_status add_norm(tti_model *m, const char *module) {
    TT_TRY(add(m, module, "weight", 1, (size_t)m->sizes.hidden, true));
    return add(m, module, "bias", 1, (size_t)m->sizes.hidden, true);
}

static tt_status add_block(tti_model *m, int layer) {
    const tti_family *f = m->family;
    const int d = m->sizes.hidden, h = m->sizes.ffn;
    char name[192];
    const struct {
        const char *module;
        int in, out;
    } part[] = {{f->q, d, d},     {f->k, d, d},  {f->v, d, d},    {f->o, d, d},
                {f->norm1, 0, 0}, {f->up, d, h}, {f->down, h, d}, {f->norm2, 0, 0}};
    for (size_t i = 0; i < TT_COUNT(part); i++) {
        char where[96];
        int n = snprintf(where, sizeof where, f->block, layer);
        snprintf(where + n, sizeof where - (size_t)n, "%s", part[i].module);
        tti_body_name(m, name, "%s", where);
        TT_TRY(part[i].in ? add_dense(m, name, part[i].in, part[i].out) : add_norm(m, name));
    }
    return TT_OK;
}

tt_status tti_model_declare(tti_model *m) {
    const tti_family *f = m->family;
    const tti_sizes *s = &m->sizes;
    const size_t d = (size_t)s->hidden;
    char name[192];
    tti_body_name(m, name, "%s", f->word);
    TT_TRY(add(m, name, "weight", (size_t)s->vocab, d, false));
    tti_param *word = &m->params[m->nparams - 1];
    word->sparse = word->trainable; /* nothing but lookups reads an encoder's word table */
    tti_body_name(m, name, "%s", f->position);
    TT_TRY(add(m, name, "weight", (size_t)s->max_pos, d, false));
    if (s->sinusoidal) m->params[m->nparams - 1].trainable = false;
    if (f->type) {
        tti_body_name(m, name, "%s", f->type);
        TT_TRY(add(m, name, "weight", (size_t)s->types, d, false));
    }
    tti_body_name(m, name, "%s", f->embed_norm);
    TT_TRY(add_norm(m, name));
    for (int i = 0; i < s->layers; i++) TT_TRY(add_block(m, i));
    if (f->dense.in_body)
        tti_body_name(m, name, "%s", f->dense.module);
    else
        snprintf(name, sizeof name, "%s", f->dense.module);
    TT_TRY(add_dense(m, name, s->hidden, s->hidden));
    return add_dense(m, f->classifier, s->hidden, m->info.num_labels);
}
