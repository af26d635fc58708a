// SPDX-License-Identifier: Apache-2.0
/* builder.c - parameters as graph values, and dense layers with their adapters. */
#include "host/model/internal.h"

tt_status tti_builder_open(tti_builder *b, tti_model *m, tti_graph *g, const tti_forward_opts *o) {
    *b = (tti_builder){.m = m,
                       .g = g,
                       .dropout = o->training,
                       .recompute = o->gradient ? o->recompute : TTI_RECOMPUTE_NONE,
                       .recompute_keys = o->gradient && o->recompute_keys};
    b->value = tti_malloc(m->nparams * sizeof *b->value);
    if (!b->value) return tti_graph_fail(g, TT_E_NOMEM);
    for (size_t i = 0; i < m->nparams; i++) b->value[i] = TTI_NONE;
    return TT_OK;
}

void tti_builder_close(tti_builder *b) {
    tti_free(b->value);
    b->value = NULL;
}

tti_val tti_build_param(tti_builder *b, int i) {
    if (i < 0) {
        tti_graph_fail(b->g, tti_fail(TT_E_INTERNAL, "a parameter of the graph was not declared"));
        return TTI_NONE;
    }
    if (b->value[i] == TTI_NONE) {
        const tti_param *p = &b->m->params[i];
        b->value[i] = tti_graph_param(b->g, p->name, p->rows, p->cols, p->trainable);
        if (p->sparse) tti_graph_param_sparse(b->g, b->value[i]);
        tti_graph_param_dtype(b->g, b->value[i], p->layout.type);
        tti_graph_param_grad_dtype(b->g, b->value[i], p->gtype);
    }
    return b->value[i];
}

int tti_build_leaf(tti_builder *b, const char *module, const char *leaf) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", module, leaf);
    return tti_model_index(b->m, full);
}

tti_val tti_build_embed(tti_builder *b, int stream) {
    const tti_family *f = b->m->family;
    const struct {
        const char *table;
        tti_input rows[TTI_STREAMS];
    } lookup[] = {{f->word, {[TTI_SEL] = TTI_IN_IDS_SEL, [TTI_REST] = TTI_IN_IDS_REST}},
                  {f->type, {[TTI_SEL] = TTI_IN_TYPE_SEL, [TTI_REST] = TTI_IN_TYPE_REST}},
                  {f->position, {[TTI_SEL] = TTI_IN_POSID_SEL, [TTI_REST] = TTI_IN_POSID_REST}}};
    tti_val x = TTI_NONE;
    tti_graph_scope(b->g, "embeddings");
    for (size_t i = 0; i < TT_COUNT(lookup); i++) {
        char name[192];
        if (!lookup[i].table) continue;
        tti_body_name(b->m, name, "%s", lookup[i].table);
        x = tti_embed(b->g, tti_build_param(b, tti_build_leaf(b, name, "weight")),
                      lookup[i].rows[stream], x);
    }
    return x;
}

tti_val tti_build_dense(tti_builder *b, tti_val x, const char *module, tti_val residual) {
    const int w = tti_build_leaf(b, module, "weight"), bias = tti_build_leaf(b, module, "bias");
    const tti_val weight = tti_build_param(b, w);
    if (weight == TTI_NONE) return TTI_NONE;
    tti_val y = tti_linear(b->g, x, weight, bias < 0 ? TTI_NONE : tti_build_param(b, bias),
                           residual, 1.0f, b->m->params[w].transposed);
    const tti_lora *l = tti_lora_of(b->m, w);
    if (!l) return y;
    float p = b->dropout ? b->m->opts.lora_dropout : 0.0f;
    tti_val in = tti_dropout(b->g, x, p, TTI_SITE_LORA + (int)(l - b->m->loras));
    tti_val u = tti_linear(b->g, in, tti_build_param(b, l->a), TTI_NONE, TTI_NONE, 1.0f, false);
    return tti_linear(b->g, u, tti_build_param(b, l->b), TTI_NONE, y, l->scale, false);
}

void tti_build_keep(tti_builder *b, tti_val v) {
    tti_node *n = tti_producer(b->g, v);
    if (n) n->recompute = false;
}

const char *tti_build_name(tti_builder *b, char out[192], int layer, const char *part) {
    char where[64];
    snprintf(where, sizeof where, b->m->family->block, layer);
    tti_body_name(b->m, out, "%s%s", where, part);
    return out;
}
