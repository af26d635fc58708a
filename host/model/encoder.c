// SPDX-License-Identifier: Apache-2.0
/* encoder.c - an encoder with its classification head, as a graph of two streams. */
#include "host/model/internal.h"

#include <math.h>

typedef struct {
    tti_model *m;
    tti_graph *g;
    bool dropout;
    tti_val *value; /* by parameter: its PARAM value, once used */
} builder;

enum { STREAMS = 2, SEL = 0, REST = 1 };
/* dropout sites: a few a block, then the head's, then one for each adapter */
enum { SITE_EMBED, SITE_HEAD_IN, SITE_HEAD_OUT, SITE_BLOCKS = 4, SITES_A_BLOCK = 4 };
enum { SITE_LORA = 8192 };

static tti_val param(builder *b, int i) {
    if (i < 0) {
        tti_graph_fail(b->g, tti_fail(TT_E_INTERNAL, "a parameter of the graph was not declared"));
        return TTI_NONE;
    }
    if (b->value[i] == TTI_NONE) {
        const tti_param *p = &b->m->params[i];
        b->value[i] = tti_graph_param(b->g, p->name, p->rows, p->cols, p->trainable);
        if (p->sparse) tti_graph_param_sparse(b->g, b->value[i]);
    }
    return b->value[i];
}

static int leaf(builder *b, const char *module, const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", module, name);
    return tti_model_index(b->m, full);
}

static tti_val dense(builder *b, tti_val x, const char *module, tti_val residual) {
    const int w = leaf(b, module, "weight");
    tti_val y =
        tti_linear(b->g, x, param(b, w), param(b, leaf(b, module, "bias")), residual, 1.0f, false);
    const tti_lora *l = tti_lora_of(b->m, w);
    if (!l) return y;
    float p = b->dropout ? b->m->opts.lora_dropout : 0.0f;
    tti_val in = tti_dropout(b->g, x, p, SITE_LORA + (int)(l - b->m->loras));
    tti_val u = tti_linear(b->g, in, param(b, l->a), TTI_NONE, TTI_NONE, 1.0f, false);
    return tti_linear(b->g, u, param(b, l->b), TTI_NONE, y, l->scale, false);
}

/* residual + dropout(dense(x)) */
static tti_val dense_add(builder *b, tti_val x, const char *module, tti_val residual, bool dropout,
                         int site) {
    const float p = b->dropout && dropout ? b->m->sizes.hidden_dropout : 0.0f;
    if (p == 0.0f) return dense(b, x, module, residual);
    tti_val y = tti_dropout(b->g, dense(b, x, module, TTI_NONE), p, site);
    return tti_add(b->g, y, residual);
}

static tti_val norm(builder *b, tti_val x, const char *module) {
    return tti_layernorm(b->g, x, param(b, leaf(b, module, "weight")),
                         param(b, leaf(b, module, "bias")), b->m->sizes.eps);
}

static tti_val embed(builder *b, int stream) {
    const tti_family *f = b->m->family;
    char name[192];
    tti_graph_scope(b->g, "embeddings");
    tti_body_name(b->m, name, "%s", f->word);
    tti_val x = tti_embed(b->g, param(b, leaf(b, name, "weight")),
                          stream == SEL ? TTI_IN_IDS_SEL : TTI_IN_IDS_REST, TTI_NONE);
    if (f->type) {
        tti_body_name(b->m, name, "%s", f->type);
        x = tti_embed(b->g, param(b, leaf(b, name, "weight")),
                      stream == SEL ? TTI_IN_TYPE_SEL : TTI_IN_TYPE_REST, x);
    }
    tti_body_name(b->m, name, "%s", f->position);
    x = tti_embed(b->g, param(b, leaf(b, name, "weight")),
                  stream == SEL ? TTI_IN_POSID_SEL : TTI_IN_POSID_REST, x);
    tti_body_name(b->m, name, "%s", f->embed_norm);
    x = norm(b, x, name);
    return tti_dropout(b->g, x, b->dropout ? b->m->sizes.hidden_dropout : 0.0f, SITE_EMBED);
}

/* "encoder.layer.3." + part, below the body's prefix */
static const char *block_name(builder *b, char out[192], int layer, const char *part) {
    char where[64];
    snprintf(where, sizeof where, b->m->family->block, layer);
    tti_body_name(b->m, out, "%s%s", where, part);
    return out;
}

static tti_val finish_block(builder *b, tti_val x, tti_val attended, int layer) {
    const tti_family *f = b->m->family;
    const int site = SITE_BLOCKS + layer * SITES_A_BLOCK;
    char name[192];
    tti_val y = dense_add(b, attended, block_name(b, name, layer, f->o), x,
                          f->attention_out_dropout, site + 1);
    y = norm(b, y, block_name(b, name, layer, f->norm1));
    tti_val h = dense(b, y, block_name(b, name, layer, f->up), TTI_NONE);
    h = tti_activation(b->g, h, b->m->sizes.act);
    h = dense_add(b, h, block_name(b, name, layer, f->down), y, true, site + 2);
    return norm(b, h, block_name(b, name, layer, f->norm2));
}

/* All rows give keys and values; queries and what follows run stream by stream. What the last block
 * computes for REST beyond keys and values is removed later, since nothing reads it. */
static void block(builder *b, tti_val x[STREAMS], int layer) {
    const tti_family *f = b->m->family;
    const tti_sizes *s = &b->m->sizes;
    char name[192], scope[32];
    snprintf(scope, sizeof scope, "block%d", layer);
    tti_graph_scope(b->g, scope);
    tti_val q[STREAMS], k[STREAMS], v[STREAMS];
    for (int t = STREAMS - 1; t >= 0; t--) {
        q[t] = k[t] = v[t] = TTI_NONE;
        if (x[t] == TTI_NONE) continue;
        tti_graph_no_grad(b->g, t == REST);
        k[t] = dense(b, x[t], block_name(b, name, layer, f->k), TTI_NONE);
        v[t] = dense(b, x[t], block_name(b, name, layer, f->v), TTI_NONE);
        q[t] = dense(b, x[t], block_name(b, name, layer, f->q), TTI_NONE);
    }
    for (int t = STREAMS - 1; t >= 0; t--) {
        if (x[t] == TTI_NONE) continue;
        tti_graph_no_grad(b->g, t == REST);
        const tti_attention_opts o = {.heads = s->heads,
                                      .kv_heads = s->heads,
                                      .head_dim = s->hidden / s->heads,
                                      .scale = 1.0f / sqrtf((float)(s->hidden / s->heads)),
                                      .dropout = b->dropout ? s->attention_dropout : 0.0f,
                                      .site = SITE_BLOCKS + layer * SITES_A_BLOCK,
                                      .query_rest = t == REST};
        tti_val a = tti_attention(b->g, q[t], k[SEL], v[SEL], k[REST], v[REST], &o);
        x[t] = finish_block(b, x[t], a, layer);
    }
    tti_graph_no_grad(b->g, false);
}

static tti_val head(builder *b, tti_val x) {
    const tti_family *f = b->m->family;
    const float p = b->dropout ? b->m->sizes.classifier_dropout : 0.0f;
    char name[192];
    tti_graph_scope(b->g, "head");
    tti_val y = tti_pool_rows(b->g, x, b->m->info.pooling);
    if (f->head_dropout_first) y = tti_dropout(b->g, y, p, SITE_HEAD_IN);
    if (f->dense.in_body)
        tti_body_name(b->m, name, "%s", f->dense.module);
    else
        snprintf(name, sizeof name, "%s", f->dense.module);
    y = tti_activation(b->g, dense(b, y, name, TTI_NONE), f->dense.act);
    y = tti_dropout(b->g, y, p, SITE_HEAD_OUT);
    return dense(b, y, f->classifier, TTI_NONE);
}

tt_status tti_model_forward(tti_model *m, tti_graph *g, const tti_forward_opts *o,
                            tti_forward_out *out) {
    builder b = {.m = m, .g = g, .dropout = o->training};
    b.value = tti_malloc(m->nparams * sizeof *b.value);
    if (!b.value) return tti_graph_fail(g, TT_E_NOMEM);
    for (size_t i = 0; i < m->nparams; i++) b.value[i] = TTI_NONE;
    tti_val x[STREAMS] = {TTI_NONE, TTI_NONE};
    for (int t = STREAMS - 1; t >= 0; t--) {
        if (t == REST && !o->rest) continue;
        tti_graph_no_grad(g, t == REST);
        x[t] = embed(&b, t);
    }
    tti_graph_no_grad(g, false);
    for (int i = 0; i < m->sizes.layers; i++) block(&b, x, i);
    out->logits = head(&b, x[SEL]);
    tti_graph_keep(g, out->logits);
    out->loss = TTI_NONE;
    if (o->loss) {
        out->loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
        tti_loss(g, out->logits, out->loss, m->opts.task == TTI_TASK_CLASSIFY);
    }
    tti_free(b.value);
    return tti_graph_status(g);
}
