// SPDX-License-Identifier: Apache-2.0
/* encoder.c - an encoder with its classification head, as a graph of two streams. */
#include "host/model/internal.h"

#include <math.h>

/* dropout sites: a few a block, then the head's, then one for each adapter */
enum { SITE_EMBED, SITE_HEAD_IN, SITE_HEAD_OUT, SITE_BLOCKS = 4, SITES_A_BLOCK = 4 };

/* residual + dropout(dense(x)) */
static tti_val dense_add(tti_builder *b, tti_val x, const char *module, tti_val residual,
                         bool dropout, int site) {
    const float p = b->dropout && dropout ? b->m->sizes.hidden_dropout : 0.0f;
    if (p == 0.0f) return tti_build_dense(b, x, module, residual);
    tti_val y = tti_dropout(b->g, tti_build_dense(b, x, module, TTI_NONE), p, site);
    return tti_add(b->g, y, residual);
}

static tti_val norm(tti_builder *b, tti_val x, const char *module) {
    return tti_layernorm(b->g, x, tti_build_param(b, tti_build_leaf(b, module, "weight")),
                         tti_build_param(b, tti_build_leaf(b, module, "bias")), b->m->sizes.eps);
}

static tti_val embed(tti_builder *b, int stream) {
    char name[192];
    tti_val x = tti_build_embed(b, stream);
    tti_body_name(b->m, name, "%s", b->m->family->embed_norm);
    x = norm(b, x, name);
    return tti_dropout(b->g, x, b->dropout ? b->m->sizes.hidden_dropout : 0.0f, SITE_EMBED);
}

/* The MLP's hidden rows are its largest values. Where nothing in it trains, one small GEMM in the
 * backward pass makes them again, and they need not be kept. */
static bool mlp_is_frozen(tti_builder *b, int layer) {
    const char *const part[] = {b->m->family->up, b->m->family->down};
    for (size_t i = 0; i < TT_COUNT(part); i++) {
        char name[192];
        int w = tti_build_leaf(b, tti_build_name(b, name, layer, part[i]), "weight");
        if (w < 0 || b->m->params[w].trainable || tti_lora_of(b->m, w)) return false;
    }
    return true;
}

static tti_val finish_block(tti_builder *b, tti_val x, tti_val attended, int layer, int stream) {
    const tti_family *f = b->m->family;
    const int site = SITE_BLOCKS + layer * SITES_A_BLOCK;
    char name[192];
    tti_val y = dense_add(b, attended, tti_build_name(b, name, layer, f->o), x,
                          f->attention_out_dropout, site + 1);
    y = norm(b, y, tti_build_name(b, name, layer, f->norm1));
    const bool before = tti_graph_recompute(
        b->g, mlp_is_frozen(b, layer) || tti_build_again(b, stream, TTI_RECOMPUTE_MLP));
    tti_val h = tti_build_dense(b, y, tti_build_name(b, name, layer, f->up), TTI_NONE);
    h = tti_activation(b->g, h, b->m->sizes.act);
    tti_graph_recompute(b->g, before);
    h = dense_add(b, h, tti_build_name(b, name, layer, f->down), y, true, site + 2);
    return norm(b, h, tti_build_name(b, name, layer, f->norm2));
}

/* All rows give keys and values; queries and what follows run stream by stream. What the last block
 * computes for REST beyond keys and values is removed later, since nothing reads it. */
static void block(tti_builder *b, tti_val x[TTI_STREAMS], int layer) {
    const tti_family *f = b->m->family;
    const tti_sizes *s = &b->m->sizes;
    char name[192], scope[32];
    snprintf(scope, sizeof scope, "block%d", layer);
    tti_graph_scope(b->g, scope);
    tti_val q[TTI_STREAMS], k[TTI_STREAMS], v[TTI_STREAMS];
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        q[t] = k[t] = v[t] = TTI_NONE;
        if (x[t] == TTI_NONE) continue;
        tti_graph_no_grad(b->g, t == TTI_REST);
        tti_graph_recompute(b->g, t == TTI_REST ? b->recompute_keys
                                                : tti_build_again(b, t, TTI_RECOMPUTE_BLOCK));
        k[t] = tti_build_dense(b, x[t], tti_build_name(b, name, layer, f->k), TTI_NONE);
        v[t] = tti_build_dense(b, x[t], tti_build_name(b, name, layer, f->v), TTI_NONE);
        q[t] = tti_build_dense(b, x[t], tti_build_name(b, name, layer, f->q), TTI_NONE);
        tti_graph_mark_keys(b->g, k[t]);
        tti_graph_mark_keys(b->g, v[t]);
    }
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        if (x[t] == TTI_NONE) continue;
        const bool again = tti_build_again(b, t, TTI_RECOMPUTE_BLOCK);
        tti_graph_no_grad(b->g, t == TTI_REST);
        tti_graph_recompute(b->g, again);
        const tti_attention_opts o = {.heads = s->heads,
                                      .kv_heads = s->heads,
                                      .head_dim = s->hidden / s->heads,
                                      .scale = 1.0f / sqrtf((float)(s->hidden / s->heads)),
                                      .dropout = b->dropout ? s->attention_dropout : 0.0f,
                                      .site = SITE_BLOCKS + layer * SITES_A_BLOCK,
                                      .query_rest = t == TTI_REST};
        tti_val a = tti_attention(b->g, q[t], k[TTI_SEL], v[TTI_SEL], k[TTI_REST], v[TTI_REST], &o);
        tti_graph_chunked(b->g, t == TTI_REST);
        x[t] = finish_block(b, x[t], a, layer, t);
        tti_graph_chunked(b->g, false);
        if (again) tti_build_keep(b, x[t]);
    }
    tti_graph_recompute(b->g, false);
    tti_graph_no_grad(b->g, false);
}

static tti_val head(tti_builder *b, tti_val x) {
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
    y = tti_activation(b->g, tti_build_dense(b, y, name, TTI_NONE), f->dense.act);
    y = tti_dropout(b->g, y, p, SITE_HEAD_OUT);
    return tti_build_dense(b, y, f->classifier, TTI_NONE);
}

static tt_status build(tti_builder *b, const tti_forward_opts *o, tti_forward_out *out) {
    tti_val x[TTI_STREAMS] = {TTI_NONE, TTI_NONE};
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        if (t == TTI_REST && !o->rest) continue;
        tti_graph_no_grad(b->g, t == TTI_REST);
        x[t] = embed(b, t);
    }
    tti_graph_no_grad(b->g, false);
    for (int i = 0; i < b->m->sizes.layers; i++) block(b, x, i);
    out->logits = head(b, x[TTI_SEL]);
    tti_graph_keep(b->g, out->logits);
    if (o->loss) {
        out->loss = tti_graph_accumulator(b->g, "loss", tti_shape_const(1, 1));
        tti_loss(b->g, out->logits, out->loss, b->m->opts.task == TTI_TASK_CLASSIFY);
    }
    return tti_graph_status(b->g);
}

tt_status tti_model_forward(tti_model *m, tti_graph *g, const tti_forward_opts *o,
                            tti_forward_out *out) {
    *out = (tti_forward_out){TTI_NONE, TTI_NONE, TTI_NONE, TTI_NONE, TTI_NONE};
    if (m->family->decoder) return tti_decoder_forward(m, g, o, out);
    tti_builder b;
    TT_TRY(tti_builder_open(&b, m, g, o));
    tt_status s = build(&b, o, out);
    tti_builder_close(&b);
    return s;
}
