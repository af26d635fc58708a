// SPDX-License-Identifier: Apache-2.0
/* internal.h - a model as its own files see it. */
#ifndef TT_HOST_MODEL_INTERNAL_H
#define TT_HOST_MODEL_INTERNAL_H

#include "host/format/peft.h"
#include "host/format/quantised.h"
#include "host/model/model.h"

/* ---- families: models as data ---- */

/* One dense layer of a head: modules named from the root of the model. */
typedef struct {
    const char *module;
    bool in_body; /* named below the body's prefix (BERT's pooler) */
    tti_act act;
} tti_head_layer;

/* Whether a dense layer has a bias. */
typedef enum { TTI_BIAS_NO, TTI_BIAS_YES, TTI_BIAS_ASK } tti_bias; /* ASK: config.json's key says */

/* Which layers attend to the last `sliding_window` positions only. */
typedef enum {
    TTI_WINDOW_NONE,
    TTI_WINDOW_ALL,   /* all, where sliding_window is a number */
    TTI_WINDOW_UPPER, /* those from max_window_layers on, where use_sliding_window is true */
    TTI_WINDOW_EVERY  /* all but each n-th (sliding_window_pattern) */
} tti_window_rule;

/* A decoder whose blocks are: x += [post1](o(attention(norm1(x)))), x += [post2](mlp(norm2(x))).
 * Names are below the block's; NULL where a family has no such part. */
typedef struct {
    bool layernorm;  /* LayerNorm with bias instead of RMSNorm */
    float norm_plus; /* RMSNorm multiplies by weight + this */
    const char *norm1, *post1, *norm2, *post2, *final_norm;
    const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm;
    const char *gate, *up, *gate_up, *down;
    bool conv1d; /* weights are [in, out] */
    tti_bias qkv_bias, o_bias, mlp_bias;
    bool embed_scale; /* embeddings times sqrt(hidden) */
    tti_window_rule window;
    int window_pattern;
    bool scalar;      /* scores by 1/sqrt(query_pre_attn_scalar), soft caps */
    bool nested_rope; /* rope_parameters apart for sliding and full layers */
    int head_dim;     /* default; 0: hidden / heads */
    bool tie;         /* default of tie_word_embeddings */
    const char *eps;
} tti_decoder;

/* An encoder whose blocks are: x = norm1(x + o(attention(x))), x = norm2(x + down(act(up(x)))). */
typedef struct {
    const char *model_type, *architecture; /* with a classification head */
    const char *causal;                    /* architecture that predicts tokens; decoders */
    const tti_decoder *decoder;            /* NULL: an encoder */
    const char *max_pos;                   /* key of the longest text */
    const char *prefix;                    /* of the body's names in a classification checkpoint */
    /* keys of config.json */
    const char *hidden, *layers, *heads, *ffn, *act;
    const char *hidden_dropout, *attention_dropout, *classifier_dropout;
    double hidden_dropout_default, attention_dropout_default, classifier_dropout_default;
    const char *word, *position, *type, *embed_norm; /* type NULL: no token types */
    const char *block;                               /* "encoder.layer.%d." */
    const char *q, *k, *v, *o, *norm1, *up, *down, *norm2;
    bool attention_out_dropout; /* hidden dropout behind o as well */
    tti_head_layer dense;       /* before the classifier; act at its output */
    bool head_dropout_first;    /* classifier dropout before the dense layer too */
    const char *classifier;
    const char *modules_to_save[3]; /* trained whole beside LoRA, as PEFT's SEQ_CLS does */
    int pad_default;
    bool pad_shifts_positions; /* RoBERTa: positions count from pad_token_id + 1 */
    double eps_default;        /* of layer norms, where config.json is silent */
    bool eps_in_config;
} tti_family;

extern const tti_family tti_decoder_families[];
extern const size_t tti_decoder_families_n;

/* NULL with the message set (the known ones listed) when there is none. */
const tti_family *tti_family_find(const char *model_type);

/* What config.json says of a model's sizes, checked. */
typedef struct {
    int vocab, max_pos, types, layers, hidden, heads, ffn;
    float eps, init_range;
    float hidden_dropout, attention_dropout, classifier_dropout;
    tti_act act;
    /* decoders */
    int kv_heads, head_dim, window;
    float scale, score_cap, logit_cap, rope_scale[2]; /* rope: of full and of sliding layers */
    int rot;                                          /* columns of a head that turn */
    bool tied, attention_bias, mlp_bias;
    uint8_t *sliding;   /* by layer */
    float *inv_freq[2]; /* rot / 2 each; [1] NULL where sliding layers turn as full ones do */
    bool sinusoidal;    /* position table is computed, not trained (DistilBERT) */
} tti_sizes;

typedef struct {
    int base;    /* parameter index of the module's weight */
    int a, b;    /* of lora_A, lora_B */
    float scale; /* alpha / rank, or alpha / sqrt(rank) */
} tti_lora;

/* Where a slab lies: in which arena, trained ones at which element, frozen ones at which byte. */
typedef struct {
    size_t arena, offset;
} tti_place;

/* Frozen parameters of all types, one behind the other. */
typedef struct {
    cl_mem p;
    size_t bytes;
} tti_bytes_arena;

struct tti_model {
    tti_device *dev;
    char *dir;
    tti_model_opts opts;
    tti_hf_config *config;
    tti_quant_config quant; /* what config.json says of the checkpoint */
    tti_st *st;             /* while it is loaded */
    bool turned; /* weights stored [in, out] are [out, in] here, as bitsandbytes has them */
    const tti_family *family;
    tti_sizes sizes;
    tti_model_info info;
    tti_param *params;
    size_t nparams, params_cap;
    uint8_t *fresh; /* by parameter: drawn here, not read */
    int rope[2];    /* parameters that hold inv_freq, or -1 */
    tti_lora *loras;
    size_t nloras, loras_cap;
    tti_peft_config *peft; /* LORA: what the adapter is */
    char *generation;      /* generation_config.json, or NULL */
    size_t generation_size;
    tti_arena *arenas; /* trained, dense */
    size_t narenas, arenas_cap;
    tti_bytes_arena *frozen;
    size_t nfrozen, frozen_cap;
    tti_slab *slabs, *gslabs; /* of all parameters */
    tti_place *places;        /* by slab */
    void **hosts;             /* by slab: host memory of hosted parameters, else NULL */
    size_t nslabs;
    size_t align, max_alloc;
    size_t sparse_rows;
    struct tti_stream *stream; /* of the hosted ones; NULL: none */
    size_t stream_bytes;       /* of its slots, planned */
};

/* ---- config.c ---- */
tt_status tti_model_read_config(tti_model *m);

/* ---- decoder_config.c, rope.c ---- */
tt_status tti_decoder_read_config(tti_model *m);
/* Frequencies and scale of config.json's rope settings (sliding: those of sliding layers). */
tt_status tti_rope_frequencies(const tti_model *m, bool sliding, float *inv_freq, float *scale);

/* ---- decoder_params.c, decoder.c ---- */
tt_status tti_decoder_declare(tti_model *m);
tt_status tti_decoder_forward(tti_model *m, tti_graph *g, const tti_forward_opts *o,
                              tti_forward_out *out);

/* ---- builder.c: what encoders and decoders build their graphs with ---- */
typedef struct {
    tti_model *m;
    tti_graph *g;
    bool dropout;
    tti_recompute recompute;
    bool recompute_keys; /* of REST rows */
    tti_val *value;      /* by parameter: its PARAM value, once used */
    tti_val cache;       /* decoders: the first of two a layer, or TTI_NONE */
    tti_val kept;        /* the same of a first pass */
    tti_val *keys;       /* of this first pass, or NULL */
} tti_builder;
enum { TTI_STREAMS = 2, TTI_SEL = 0, TTI_REST = 1 };
enum { TTI_SITE_LORA = 8192 }; /* dropout sites of adapters begin there */
tt_status tti_builder_open(tti_builder *b, tti_model *m, tti_graph *g, const tti_forward_opts *o);
void tti_builder_close(tti_builder *b);
tti_val tti_build_param(tti_builder *b, int index);
int tti_build_leaf(tti_builder *b, const char *module, const char *leaf); /* -1: none */
/* Rows of a stream out of the word, type and position tables, those that the family has, summed. */
tti_val tti_build_embed(tti_builder *b, int stream);
/* Dense layer with its adapter, if it has one: residual (or TTI_NONE) + x w^T + b. */
tti_val tti_build_dense(tti_builder *b, tti_val x, const char *module, tti_val residual);
/* Whether what is built for a stream in a part of a block (MLP: the MLP, BLOCK: the rest of it) is
 * computed again in the backward pass. */
static inline bool tti_build_again(const tti_builder *b, int stream, tti_recompute part) {
    return stream == TTI_SEL && b->recompute >= part;
}
/* v is kept even if its op stands in a region that is computed again: what the region gives. */
void tti_build_keep(tti_builder *b, tti_val v);
/* "prefix" "block layer" part */
const char *tti_build_name(tti_builder *b, char out[192], int layer, const char *part);

/* ---- params.c ---- */
tt_status tti_model_declare(tti_model *m);                 /* every parameter, in order */
int tti_model_index(const tti_model *m, const char *name); /* -1 when there is none */
tt_status tti_model_add_param(tti_model *m, const char *name, size_t rows, size_t cols, bool vector,
                              bool trainable); /* frozen models train nothing all the same */
tt_status tti_model_add_dense(tti_model *m, const char *module, size_t in, size_t out, bool bias,
                              bool transposed);
tt_status tti_model_add_vector(tti_model *m, const char *module, const char *leaf, size_t n);
/* "prefix" + fmt, in out[192] */
void tti_body_name(const tti_model *m, char *out, const char *fmt, ...) TT_PRINTF(3, 4);

/* ---- store.c ---- */
tt_status tti_model_layout(tti_model *m);
tt_status tti_model_allocate(tti_model *m);

/* ---- streamed.c: plan, once the parameters are cut; make, once they have their host memory ----
 */
tt_status tti_model_stream_plan(tti_model *m);
tt_status tti_model_stream_make(tti_model *m);
/* Hosted parameters of g; none without a stream. */
tt_status tti_model_stream_bind(tti_model *m, const tti_graph *g, tti_exec *e);
void tti_model_release(tti_model *m);

/* ---- types.c: which type each parameter has in memory ---- */
/* A matrix of the body's linear layers: opts.weights is its type, unless it trains beside adapters.
 */
bool tti_model_is_body(const tti_model *m, const tti_param *p);
bool tti_model_is_table(const tti_model *m, const char *name); /* of embeddings */
/* Whether name is a layer of the head that a classifier has behind its body. */
bool tti_model_in_head(const tti_model *m, const char *name);
/* Resolves opts.weights and opts.head and gives every parameter its layout, the type of its
 * gradient and its block. TT_E_ARG: a type that is none, or that cannot be trained. */
tt_status tti_model_assign_types(tti_model *m);

/* ---- lora.c ---- */
tt_status tti_lora_declare(tti_model *m);
const tti_lora *tti_lora_of(const tti_model *m, int base);
tt_status tti_lora_load(tti_model *m); /* weights of opts.adapter */
tt_status tti_lora_save(tti_model *m, const char *dir);
/* Whether parameter i is in the adapter's file: its own matrices, and what is saved whole. */
tt_status tti_lora_in_file(const tti_model *m, size_t i, bool *out);

/* ---- transfer.c ---- */
/* Where a parameter's numbers come from: elements first .. first+count-1 of it, of which first is
 * even. Called by several threads at once. */
typedef struct tti_source tti_source;
struct tti_source {
    tt_status (*read)(const tti_source *from, size_t first, size_t count, float *dst);
    void (*done)(const tti_source *from); /* now and then: what was read may be let go; or NULL */
    const char *name;                     /* "file: tensor", for messages */
    const void *data, *more;
};
/* Converts the numbers to p's type and puts them into its slabs. TT_E_NUMERIC: one is not finite,
 * or is too large for the type. */
tt_status tti_model_send(tti_model *m, const tti_param *p, const tti_source *from);
/* The same for a quantised parameter's bytes, in p->layout. */
tt_status tti_model_send_packed(tti_model *m, const tti_param *p, const uint8_t *packed);
/* Elements first .. first+count-1 of p; waits. Of a quantised one a whole slab is read for them. */
tt_status tti_model_read_part(tti_model *m, const tti_param *p, size_t first, size_t count,
                              float *dst);

/* ---- draw.c: numbers that no checkpoint has ---- */
/* A source of p's fresh numbers: as transformers and PEFT initialise. Borrows both. */
tti_source tti_draw_source(const tti_model *m, const tti_param *p);

/* ---- weights.c ---- */
/* A tensor of a file, or none (t NULL); quantised: t is its data, layout how it lies in memory. */
typedef struct {
    const tti_st *st;
    const tti_st_tensor *t;
    bool quantised;
    tti_layout layout;
} tti_stored;
/* The tensor of a parameter: its name may be with and without the body's prefix, and LayerNorm's
 * weight and bias be the gamma and beta of old. */
tt_status tti_model_stored(const tti_model *m, const tti_st *st, const char *name, tti_stored *out);
/* Whether x is quantised and has p's rows and columns, so that its bytes can be p's. */
bool tti_model_stored_alike(const tti_param *p, const tti_stored *x);
/* Opens m->st where there is need of it: to load, to check, or to see how weights are quantised. */
tt_status tti_model_open_checkpoint(tti_model *m);
void tti_model_close_checkpoint(tti_model *m);
tt_status tti_model_load_weights(tti_model *m);
tt_status tti_model_fresh(tti_model *m, size_t i); /* draws parameter i */
/* Checks and uploads a tensor as parameter i; of a model without a device, checks its shape. */
tt_status tti_model_take(tti_model *m, size_t i, const tti_stored *x);

/* ---- reader.c: for rewriting checkpoints ---- */
bool tti_st_is_float(const tti_st_tensor *t);
typedef struct {
    tti_stored x;
    size_t count;
    uint8_t *packed; /* a quantised one */
} tti_reader;
/* Zero-initialised it may be closed. */
tt_status tti_reader_open(tti_reader *r, const tti_stored *x);
void tti_reader_close(tti_reader *r);
void tti_reader_drop(const tti_reader *r); /* the pages that were read */
tt_status tti_reader_f32(const tti_reader *r, float *dst, size_t first, size_t n);
/* Writes all of it as dtype: as it is where it has that type. name: for messages. */
tt_status tti_reader_copy(const tti_reader *r, tti_st_writer *w, const char *name,
                          tti_st_dtype dtype);
/* TT_E_NUMERIC: an element, counted from `first`, that dtype cannot hold. */
tt_status tti_check_held(const char *name, tti_st_dtype dtype, const float *v, size_t first,
                         size_t n);
/* Whether t is a part (scales and the like) of a quantised weight in st. */
bool tti_stored_is_part(const tti_st *st, const tti_st_tensor *t);

/* ---- model.c ---- */
/* Writes the parameters whose `stored` is not 0 to dir/file. */
tt_status tti_model_write_file(tti_model *m, const char *dir, const char *file,
                               const uint8_t *stored);

#endif
