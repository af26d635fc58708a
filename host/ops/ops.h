// SPDX-License-Identifier: Apache-2.0
/* ops.h - builders of all ops. Values are described as in graph.h: rows kind x columns.
 * Each op <name> has host/ops/<name>.c, cl/<name>.cl and tests/op/test_<name>.c. */
#ifndef TT_HOST_OPS_OPS_H
#define TT_HOST_OPS_OPS_H

#include "host/graph/graph.h"

/* y[r] = table[ids[r]] (+ add[r]). which: TTI_IN_IDS_*, TTI_IN_POSID_* or TTI_IN_TYPE_* (it also
 * names the PERM/START/DST inputs of the gradient). add may be TTI_NONE. */
tti_val tti_embed(tti_graph *g, tti_val table, tti_input which, tti_val add);

/* y = alpha * x w^T (+ b) (+ residual); w [out,in] or, transposed, [in,out] (GPT-2's Conv1D). */
tti_val tti_linear(tti_graph *g, tti_val x, tti_val w, tti_val b, tti_val residual, float alpha,
                   bool transposed);

/* y = (x - mean) * rsqrt(var + eps) * w + b over the columns; variance by 1/C. Keeps two floats a
 * row. Output 1 is stats [rows,2] = mean, rsqrt. */
tti_val tti_layernorm(tti_graph *g, tti_val x, tti_val w, tti_val b, float eps);

tti_val tti_activation(tti_graph *g, tti_val x, tti_act act);

/* y = x * keep / (1 - p); keep is drawn by Philox from (site, sequence, position, column), so that
 * it does not depend on the batch, the stream or the device. p = 0 returns x itself. x is a value
 * of SEL, REST or SEQ rows (SEQ: sequence number = that of the sequence's first SEL row, position
 * 0). site: the same number for both streams. */
tti_val tti_dropout(tti_graph *g, tti_val x, float p, int site);

typedef struct {
    int heads, kv_heads, head_dim;
    float scale;   /* of the scores, usually 1/sqrt(head_dim) */
    bool causal;   /* key position <= query position */
    int window;    /* 0 none; else query position - key position < window */
    float dropout; /* of the probabilities */
    int site;
    bool query_rest; /* q are REST rows, not SEL rows */
    float softcap;   /* 0 none; else a score x becomes softcap * tanh(x / softcap) */
    /* k_rest and v_rest are caches, [cache rows, kv_heads*head_dim]: a sequence sees the rows of
     * TTI_IN_CACHE, which are those of its positions 0, 1, .., before its SEL rows. No gradient. */
    bool cached;
} tti_attention_opts;
/* o[q rows, heads*head_dim]; q [rows, heads*head_dim], keys and values [rows, kv_heads*head_dim] of
 * both streams; k_rest/v_rest TTI_NONE where every row is selected. Output 1 is lse [rows, heads].
 * The gradient reaches q, k_sel, v_sel only: REST keys and values are constants. */
tti_val tti_attention(tti_graph *g, tti_val q, tti_val k_sel, tti_val v_sel, tti_val k_rest,
                      tti_val v_rest, const tti_attention_opts *o);

/* Copies keys and values of SEL rows into the caches (accumulators), rows TTI_IN_CACHE_ROW; emit it
 * behind the attention that reads them. */
void tti_cache_append(tti_graph *g, tti_val k, tti_val v, tti_val kept_k, tti_val kept_v);

typedef enum { TTI_POOL_FIRST, TTI_POOL_LAST, TTI_POOL_MEAN } tti_pool;
/* [sel,C] -> [seq,C]: the first, the last, or the mean over each sequence's SEL rows. */
tti_val tti_pool_rows(tti_graph *g, tti_val x, tti_pool how);

/* y = a + b, same shape */
tti_val tti_add(tti_graph *g, tti_val a, tti_val b);

/* Fused loss and gradient over sequences: logits [seq,C]. classes: cross-entropy with labels in
 * [0,C); otherwise (C = 1) squared error against f32 labels. Adds sum(loss) * loss_scale into the
 * accumulator `loss` [1,1]; its TEMP output is dlogits, already scaled by loss_scale. */
tti_val tti_loss(tti_graph *g, tti_val logits, tti_val loss, bool classes);

/* y = x * rsqrt(mean(x^2) + eps) * (w + plus) over groups of `group` columns, each normalised on
 * its own with the same w [1,group] (group = cols: a whole row; a head's size: query and key
 * norms). plus: 0, or 1 as Gemma stores its weights. Keeps one float a group. */
tti_val tti_rmsnorm(tti_graph *g, tti_val x, tti_val w, float eps, float plus, int group);

/* Rotary embedding (Su et al., arXiv 2104.09864) of heads of head_dim columns: the pair (x[c],
 * x[c + rot/2]), c < rot/2, turns by position * inv_freq[c], and is multiplied by scale. rot =
 * 2 * columns of inv_freq [1,rot/2] (a frozen parameter), at most head_dim; columns beyond pass.
 * rest: x are REST rows. */
tti_val tti_rope(tti_graph *g, tti_val x, tti_val inv_freq, int head_dim, float scale, bool rest);

/* y = act(gate) * up, same shapes */
tti_val tti_glu(tti_graph *g, tti_val gate, tti_val up, tti_act act);

/* Columns of x in n parts (2 to 4) of the given widths: out[i] of emit; the gradient joins them. */
void tti_split(tti_graph *g, tti_val x, const int *widths, int n, tti_val *out);

/* y = x * s */
tti_val tti_scale(tti_graph *g, tti_val x, float s);

/* SEL rows TTI_IN_LAB_ROW of x: [sel,C] -> [lab,C]; the gradient puts them back, zeros elsewhere.
 */
tti_val tti_gather_labelled(tti_graph *g, tti_val x);

/* Rows TTI_IN_KEPT_REST of kept [rows,C], an accumulator that holds all rows of the batch:
 * [rest,C]. No gradient. */
tti_val tti_gather_kept(tti_graph *g, tti_val kept);

/* Next-token loss fused with the output projection: logits = x w^T of x [lab,d], w [vocab,d],
 * capped as cap * tanh(logits / cap) where cap > 0; cross-entropy with TTI_IN_LAB_ID. Adds
 * sum(loss) * loss_scale into the accumulator `loss` [1,1]. Logits exist for `chunk` rows at a
 * time: a scratch value [chunk,vocab] whatever the batch has. Registers the gradient of x where it
 * is wanted and emits that of w where it is trained; neither between tti_graph_no_grad(g, true) and
 * false, as graphs of evaluation have it. Returns the loss of each row, [lab,1], without
 * loss_scale; TTI_NONE after a failure. */
tti_val tti_next_token_loss(tti_graph *g, tti_val x, tti_val w, tti_val loss, float cap, int chunk);

/* Gradient of a bias: db[c] = sum over rows of dy[r,c]; used by linear's gradient rule. */
extern const tti_op tti_op_colsum;

#endif
