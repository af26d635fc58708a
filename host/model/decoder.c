// SPDX-License-Identifier: Apache-2.0
/* decoder.c - a decoder with a head that predicts tokens or classes, as a graph of two streams. */
#include "host/model/internal.h"

#include <math.h>

/* dropout sites: a few a block */
enum { SITE_EMBED, SITE_BLOCKS = 4, SITES_A_BLOCK = 4 };
/* rows whose logits exist at a time */
enum { LOSS_CHUNK = 64 };

static tti_val norm(tti_builder *b, tti_val x, const char *module, int group) {
    const tti_decoder *d = b->m->family->decoder;
    tti_val w = tti_build_param(b, tti_build_leaf(b, module, "weight"));
    if (d->layernorm)
        return tti_layernorm(b->g, x, w, tti_build_param(b, tti_build_leaf(b, module, "bias")),
                             b->m->sizes.eps);
    return tti_rmsnorm(b->g, x, w, b->m->sizes.eps, d->norm_plus, group);
}

static tti_val embed(tti_builder *b, int stream) {
    tti_val x = tti_build_embed(b, stream);
    if (b->m->family->decoder->embed_scale)
        x = tti_scale(b->g, x, sqrtf((float)b->m->sizes.hidden));
    return tti_dropout(b->g, x, b->dropout ? b->m->sizes.hidden_dropout : 0.0f, SITE_EMBED);
}

/* A query or key: normalised by head where the family does, then turned. */
static tti_val turn(tti_builder *b, tti_val x, int layer, const char *norm_part, bool rest) {
    const tti_sizes *s = &b->m->sizes;
    char name[192];
    if (norm_part) x = norm(b, x, tti_build_name(b, name, layer, norm_part), s->head_dim);
    if (!s->rot) return x;
    const int kind = s->inv_freq[1] && s->sliding[layer] ? 1 : 0;
    return tti_rope(b->g, x, tti_build_param(b, b->m->rope[kind]), s->head_dim, s->rope_scale[kind],
                    rest);
}

static void project(tti_builder *b, tti_val x, int layer, int stream, tti_val out[3]) {
    const bool rest = stream == TTI_REST;
    const tti_decoder *d = b->m->family->decoder;
    const tti_sizes *s = &b->m->sizes;
    char name[192];
    tti_val h = norm(b, x, tti_build_name(b, name, layer, d->norm1), s->hidden);
    if (d->qkv) {
        const int kv = s->kv_heads * s->head_dim, width[] = {s->heads * s->head_dim, kv, kv};
        tti_val all = tti_build_dense(b, h, tti_build_name(b, name, layer, d->qkv), TTI_NONE);
        tti_split(b->g, all, width, 3, out);
    } else {
        const char *const part[] = {d->q, d->k, d->v};
        for (int i = 2; i >= 0; i--)
            out[i] = tti_build_dense(b, h, tti_build_name(b, name, layer, part[i]), TTI_NONE);
    }
    out[0] = turn(b, out[0], layer, d->q_norm, rest);
    out[1] = turn(b, out[1], layer, d->k_norm, rest);
    for (int i = 1; i < 3; i++) tti_graph_mark_keys(b->g, out[i]);
}

/* x + [post](dropout(dense(y))) */
static tti_val close_part(tti_builder *b, tti_val x, tti_val y, int layer, const char *part,
                          const char *post, int site) {
    const float p = b->dropout ? b->m->sizes.hidden_dropout : 0.0f;
    char name[192];
    tti_build_name(b, name, layer, part);
    if (!post && p == 0.0f) return tti_build_dense(b, y, name, x);
    y = tti_build_dense(b, y, name, TTI_NONE);
    if (post) y = norm(b, y, tti_build_name(b, name, layer, post), b->m->sizes.hidden);
    return tti_add(b->g, tti_dropout(b->g, y, p, site), x);
}

static tti_val mlp(tti_builder *b, tti_val x, int layer) {
    const tti_decoder *d = b->m->family->decoder;
    const tti_sizes *s = &b->m->sizes;
    char name[192];
    tti_val h = norm(b, x, tti_build_name(b, name, layer, d->norm2), s->hidden), y;
    if (d->gate_up) {
        const int width[] = {s->ffn, s->ffn};
        tti_val half[2];
        tti_val both = tti_build_dense(b, h, tti_build_name(b, name, layer, d->gate_up), TTI_NONE);
        tti_split(b->g, both, width, 2, half);
        y = tti_glu(b->g, half[0], half[1], s->act);
    } else if (d->gate) {
        tti_val gate = tti_build_dense(b, h, tti_build_name(b, name, layer, d->gate), TTI_NONE);
        tti_val up = tti_build_dense(b, h, tti_build_name(b, name, layer, d->up), TTI_NONE);
        y = tti_glu(b->g, gate, up, s->act);
    } else {
        y = tti_build_dense(b, h, tti_build_name(b, name, layer, d->up), TTI_NONE);
        y = tti_activation(b->g, y, s->act);
    }
    return close_part(b, x, y, layer, d->down, d->post2, SITE_BLOCKS + layer * SITES_A_BLOCK + 2);
}

/* Keys and values of REST rows as a first pass left them; the backward pass gathers them again. */
static void gather_kept(tti_builder *b, int layer, tti_val qkv[3]) {
    const bool grad = tti_graph_no_grad(b->g, true), keep = tti_graph_recompute(b->g, true);
    for (int i = 0; i < 2; i++) qkv[1 + i] = tti_gather_kept(b->g, b->kept + 2 * layer + i);
    tti_graph_recompute(b->g, keep);
    tti_graph_no_grad(b->g, grad);
}

/* As in encoders, what the last block computes for REST beyond keys and values is removed later. */
static void block(tti_builder *b, tti_val x[TTI_STREAMS], int layer) {
    const tti_decoder *d = b->m->family->decoder;
    const tti_sizes *s = &b->m->sizes;
    const int site = SITE_BLOCKS + layer * SITES_A_BLOCK;
    char scope[32];
    snprintf(scope, sizeof scope, "block%d", layer);
    tti_graph_scope(b->g, scope);
    tti_val qkv[TTI_STREAMS][3] = {{TTI_NONE, TTI_NONE, TTI_NONE}, {TTI_NONE, TTI_NONE, TTI_NONE}};
    const bool before = tti_graph_recompute(b->g, false);
    for (int i = 0; i < 2 && b->cache != TTI_NONE; i++)
        qkv[TTI_REST][1 + i] = b->cache + 2 * layer + i;
    if (b->kept != TTI_NONE) gather_kept(b, layer, qkv[TTI_REST]);
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        if (x[t] == TTI_NONE) continue;
        tti_graph_no_grad(b->g, t == TTI_REST);
        tti_graph_recompute(b->g, t == TTI_REST ? b->recompute_keys
                                                : tti_build_again(b, t, TTI_RECOMPUTE_BLOCK));
        project(b, x[t], layer, t, qkv[t]);
    }
    for (int i = 0; i < 2 && b->keys; i++)
        tti_graph_keep(b->g, b->keys[2 * layer + i] = qkv[TTI_SEL][1 + i]);
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        if (x[t] == TTI_NONE) continue;
        tti_graph_no_grad(b->g, t == TTI_REST);
        tti_graph_recompute(b->g, tti_build_again(b, t, TTI_RECOMPUTE_BLOCK));
        const tti_attention_opts o = {.heads = s->heads,
                                      .kv_heads = s->kv_heads,
                                      .head_dim = s->head_dim,
                                      .scale = s->scale,
                                      .causal = true,
                                      .window = s->sliding[layer] ? s->window : 0,
                                      .softcap = s->score_cap,
                                      .dropout = b->dropout ? s->attention_dropout : 0.0f,
                                      .site = site,
                                      .query_rest = t == TTI_REST,
                                      .cached = b->cache != TTI_NONE};
        tti_val a = tti_attention(b->g, qkv[t][0], qkv[TTI_SEL][1], qkv[TTI_SEL][2],
                                  qkv[TTI_REST][1], qkv[TTI_REST][2], &o);
        if (o.cached)
            tti_cache_append(b->g, qkv[t][1], qkv[t][2], qkv[TTI_REST][1], qkv[TTI_REST][2]);
        tti_graph_chunked(b->g, t == TTI_REST);
        x[t] = close_part(b, x[t], a, layer, d->o, d->post1, site + 1);
        tti_graph_recompute(b->g, tti_build_again(b, t, TTI_RECOMPUTE_MLP));
        x[t] = mlp(b, x[t], layer);
        tti_build_keep(b, x[t]);
        tti_graph_chunked(b->g, false);
    }
    tti_graph_recompute(b->g, before);
    tti_graph_no_grad(b->g, false);
}

static tti_val output_weight(tti_builder *b) {
    char name[192];
    if (!b->m->sizes.tied) return tti_build_param(b, tti_build_leaf(b, "lm_head", "weight"));
    tti_body_name(b->m, name, "%s.weight", b->m->family->word);
    return tti_build_param(b, tti_model_index(b->m, name));
}

/* Logits in full exist only where they are asked for: to verify, to generate. */
static void causal_head(tti_builder *b, tti_val x, const tti_forward_opts *o,
                        tti_forward_out *out) {
    const tti_sizes *s = &b->m->sizes;
    if (o->loss) {
        out->loss = tti_graph_accumulator(b->g, "loss", tti_shape_const(1, 1));
        tti_graph_no_grad(b->g, !o->gradient);
        out->row_loss = tti_next_token_loss(b->g, tti_gather_labelled(b->g, x), output_weight(b),
                                            out->loss, s->logit_cap, LOSS_CHUNK);
        tti_graph_no_grad(b->g, false);
        if (!o->gradient) tti_graph_keep(b->g, out->row_loss);
    }
    if (o->logits == TTI_LOGITS_NONE) return;
    tti_graph_no_grad(b->g, true);
    if (o->logits == TTI_LOGITS_LAST) x = tti_pool_rows(b->g, x, TTI_POOL_LAST);
    tti_val y = tti_linear(b->g, x, output_weight(b), TTI_NONE, TTI_NONE, 1.0f, false);
    if (s->logit_cap > 0) {
        y = tti_activation(b->g, tti_scale(b->g, y, 1.0f / s->logit_cap), TTI_ACT_TANH);
        y = tti_scale(b->g, y, s->logit_cap);
    }
    tti_graph_no_grad(b->g, false);
    out->logits = y;
    tti_graph_keep(b->g, y);
}

static void class_head(tti_builder *b, tti_val x, const tti_forward_opts *o, tti_forward_out *out) {
    x = tti_pool_rows(b->g, x, TTI_POOL_LAST);
    out->logits = tti_build_dense(b, x, b->m->family->classifier, TTI_NONE);
    tti_graph_keep(b->g, out->logits);
    if (!o->loss) return;
    out->loss = tti_graph_accumulator(b->g, "loss", tti_shape_const(1, 1));
    tti_loss(b->g, out->logits, out->loss, b->m->opts.task == TTI_TASK_CLASSIFY);
}

/* Accumulators of `rows` rows for keys and values, two a layer; gives the first. */
static tti_val declare_keys(tti_builder *b, const char *what, size_t rows) {
    const tti_sizes *s = &b->m->sizes;
    tti_val first = TTI_NONE;
    for (int i = 0; rows > 0 && i < 2 * s->layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%d.%s", what, i / 2, i % 2 ? "values" : "keys");
        const tti_val v = tti_graph_accumulator(
            b->g, name, tti_shape_const(rows, (size_t)(s->kv_heads * s->head_dim)));
        if (i == 0) first = v;
    }
    return first;
}

/* Keys and values that stand for those of the stream REST, or that are to be kept. */
static tt_status declare_others(tti_builder *b, const tti_forward_opts *o, tti_forward_out *out) {
    if (o->cache_rows && (o->rest || o->training || o->gradient))
        return tti_fail(TT_E_ARG, "a decoder with a cache of keys is for inference only");
    if (o->keys && (o->rest || o->gradient))
        return tti_fail(TT_E_ARG, "a first pass has no REST rows and no gradient");
    b->keys = o->keys;
    out->cache = b->cache = declare_keys(b, "cache", o->cache_rows);
    out->kept = b->kept = declare_keys(b, "kept", o->rest ? o->kept_rows : 0);
    return tti_graph_status(b->g);
}

tt_status tti_decoder_forward(tti_model *m, tti_graph *g, const tti_forward_opts *o,
                              tti_forward_out *out) {
    tti_builder b;
    TT_TRY(tti_builder_open(&b, m, g, o));
    const tt_status others = declare_others(&b, o, out);
    if (others != TT_OK) {
        tti_builder_close(&b);
        return others;
    }
    tti_val x[TTI_STREAMS] = {TTI_NONE, TTI_NONE};
    for (int t = TTI_STREAMS - 1; t >= 0; t--) {
        if (t == TTI_REST && (!o->rest || b.kept != TTI_NONE)) continue;
        tti_graph_no_grad(g, t == TTI_REST);
        x[t] = embed(&b, t);
    }
    tti_graph_no_grad(g, false);
    for (int i = 0; i < m->sizes.layers; i++) block(&b, x, i);
    tti_graph_scope(g, "head");
    char name[192];
    tti_body_name(m, name, "%s", m->family->decoder->final_norm);
    tti_val y = norm(&b, x[TTI_SEL], name, m->sizes.hidden);
    if (m->opts.task == TTI_TASK_CAUSAL)
        causal_head(&b, y, o, out);
    else
        class_head(&b, y, o, out);
    tti_builder_close(&b);
    return tti_graph_status(g);
}
