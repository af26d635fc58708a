// SPDX-License-Identifier: Apache-2.0
/* model.h - a transformer with its weights: read from a Hugging Face folder, described as a graph,
 * written back as one (or as a PEFT adapter). */
#ifndef TT_HOST_MODEL_MODEL_H
#define TT_HOST_MODEL_MODEL_H

#include "host/format/hf_config.h"
#include "host/format/safetensors.h"
#include "host/graph/run.h"
#include "host/ops/ops.h"

typedef enum { TTI_TASK_CLASSIFY, TTI_TASK_REGRESS, TTI_TASK_CAUSAL } tti_task;
typedef enum { TTI_METHOD_FULL, TTI_METHOD_LORA } tti_method;

typedef struct {
    tti_task task;
    int num_labels; /* 0: as config.json says */
    int pooling;    /* tti_pool, or -1: as config.json says (tokentune_pooling), else first */
    uint32_t seed;  /* of fresh heads, adapters, random weights */
    tti_method method;
    int lora_rank;
    float lora_alpha, lora_dropout;
    const char *const *lora_targets; /* module names as PEFT matches them; borrowed */
    int lora_ntargets;               /* 0: the family's: query and value, or a decoder's MLP */
    bool lora_rslora;                /* adapters are scaled by alpha / sqrt(rank) */
    const char *adapter;             /* PEFT folder to continue, or NULL */
    float hidden_dropout, attention_dropout, classifier_dropout; /* < 0: as config.json says */
    bool random_weights; /* no checkpoint is read: weights are drawn as transformers initialises */
    bool frozen;         /* evaluation: nothing trains, no gradient, no optimizer state */
    bool no_decay_1d;    /* biases and norms are in the group without weight decay */
    bool check_weights;  /* without a device: the checkpoint's names and shapes are checked all the
                          * same, its numbers are not read */
    bool fresh_head;     /* a new head even where the checkpoint has one of this size */
    size_t align, max_alloc; /* layout without a device: sub-buffer alignment, largest buffer */
    /* How matrices lie in memory: those of linear layers in the body (weights) and the embedding
     * tables and output layers (head). F32, F16, BF16; frozen ones Q8 and NF4 too: a trained one is
     * then TT_E_ARG. Vectors, adapters and what trains beside them are F32. weights AS_STORED: as
     * the checkpoint has them where it is quantised, else F32. */
    int weights, head;   /* tti_dtype or TTI_AS_STORED */
    bool nested;         /* NF4: scales are 8-bit numbers too (double quantisation) */
    tti_dtype gradients; /* of trained linear layers' matrices: F32, F16, BF16 */
    bool stream;         /* frozen parameters of blocks stay in host memory (host/graph/stream.h) */
} tti_model_opts;
enum { TTI_AS_STORED = -1 };
tti_model_opts tti_model_defaults(void);

typedef struct {
    const char *name; /* as the checkpoint names it; adapters: <module>.lora_A.weight */
    size_t rows, cols;
    bool vector; /* rank 1 in files */
    bool trainable, sparse, decay;
    bool transposed;   /* a dense layer's weight stored [in, out] */
    bool turned;       /* the same, but [out, in] here, as bitsandbytes has it: NF4 */
    bool computed;     /* a table made from config.json: in no checkpoint */
    int layer;         /* of the body, from 0; -1: none */
    tti_dtype gtype;   /* of the gradient */
    tti_layout layout; /* of the whole parameter; layout.type is its type */
    size_t offset;     /* bytes, in the weights arena `arena` */
    size_t arena;
    /* Rows that lie in one buffer each: weights, and gradients in the same cuts (none until
     * tti_model_alloc_gradients, or frozen; sparse: one, of the step's rows). */
    tti_slab *slabs, *gslabs;
    size_t nslabs;
    cl_mem p, g; /* of the first slab: all there is of most */
    bool hosted; /* in host memory: slabs say how it is cut, their mem is NULL */
} tti_param;

typedef struct {
    const char *architecture; /* "BertForSequenceClassification" */
    int vocab, max_len, types, layers, hidden, heads, ffn, num_labels;
    int posid_offset; /* position table row of position 0 (RoBERTa: padding_idx + 1) */
    int posid_pad;    /* position table row of a pad token inside a text, or -1 */
    int pad_id;       /* token id whose embedding gets no gradient (torch's padding_idx), or -1 */
    tti_pool pooling;
    tti_task task;
    bool has_types, has_posids; /* decoders with rotary embeddings have neither */
    bool decoder; /* causal attention: the last row of a text feeds a head, not the first */
} tti_model_info;

typedef struct tti_model tti_model;

/* Whether the folder's config.json describes a decoder. */
tt_status tti_model_is_decoder(bool *out, const char *dir);

/* Reads config.json and, unless random_weights, the checkpoint in dir; d NULL: shapes only, for
 * planning. Errors name the file, the tensor, the shapes; weights that are no finite numbers are
 * TT_E_NUMERIC. Notes (fresh head, ignored tensors) go to tti_info. Borrows d. Gives *out. */
tt_status tti_model_load(tti_model **out, tti_device *d, const char *dir,
                         const tti_model_opts *opts);
void tti_model_free(tti_model *m);
const tti_model_info *tti_model_get_info(const tti_model *m);
const tti_model_opts *tti_model_get_opts(const tti_model *m);
tti_hf_config *tti_model_config(tti_model *m);

size_t tti_model_nparams(const tti_model *m);
tti_param *tti_model_param(tti_model *m, size_t i);
tti_param *tti_model_find(tti_model *m, const char *name); /* NULL when there is none */
/* The name that the checkpoint's or the adapter's file gives it. */
void tti_model_file_name(const tti_model *m, const tti_param *p, char out[256]);
tt_status tti_model_read(tti_model *m, const tti_param *p, float *dst); /* rows*cols; waits */
tt_status tti_model_write(tti_model *m, const tti_param *p, const float *src);

/* Flat arenas of trained dense parameters: gradients and optimizer states use the same layout. All
 * elements of an arena have one type, and their gradients too. */
typedef struct {
    cl_mem p, g; /* whole buffers; g NULL until tti_model_alloc_gradients */
    tti_dtype type, gtype;
    size_t count;       /* elements, padding included */
    size_t decay_count; /* the first so many get weight decay, the others none */
} tti_arena;
/* The matrices in arena i, slabs of one apart, vectors as [1, n]: gives *out (tti_free),
 * ascending by first element. For optimizers that look at rows and columns. */
tt_status tti_model_arena_matrices(const tti_model *m, size_t i, tti_matrix **out, size_t *n);
size_t tti_model_narenas(const tti_model *m);
const tti_arena *tti_model_arena(const tti_model *m, size_t i);
/* Gradients for all trained parameters; sparse ones have step_uniq rows. */
tt_status tti_model_alloc_gradients(tti_model *m, size_t step_uniq);
void tti_model_free_gradients(tti_model *m);
/* p's gradient as f32, of the whole parameter; of a sparse one, of the rows it has; waits. */
tt_status tti_model_read_gradient(tti_model *m, const tti_param *p, float *dst);
/* Bytes of weights (of hosted ones, the stream's two slots) and of gradients, as allocated or,
 * without a device, as they would be. */
size_t tti_model_weight_bytes(const tti_model *m);
size_t tti_model_gradient_bytes(const tti_model *m, size_t step_uniq);

/* What the backward pass computes again instead of keeping: nothing; the MLPs' inner values; all of
 * a block but its input. */
typedef enum { TTI_RECOMPUTE_NONE, TTI_RECOMPUTE_MLP, TTI_RECOMPUTE_BLOCK } tti_recompute;

typedef struct {
    bool training; /* dropout */
    tti_recompute recompute;
    bool
        recompute_keys; /* keys and values of REST rows are computed again from the block's input */
    bool gradient;      /* a backward pass follows */
    bool rest;          /* some rows carry no gradient: build the stream REST */
    bool loss;          /* labels are fed */
    /* causal: rows that each layer keeps keys and values of, of all sequences; SEL rows then come
     * behind them (TTI_IN_CACHE) and are kept as well (TTI_IN_CACHE_ROW). 0: none. No training. */
    size_t cache_rows;
    /* causal: two passes over one batch. The first computes all rows as SEL and puts its keys and
     * values, which live to the end of the run, into keys: two a layer, of the caller; NULL: no.
     * The second has `rest`, but takes the keys and values of REST rows from accumulators of
     * kept_rows rows (out->kept) instead of computing the stream; 0: no. */
    tti_val *keys;
    size_t kept_rows;
    enum { TTI_LOGITS_NONE, TTI_LOGITS_ALL, TTI_LOGITS_LAST } logits; /* causal: of which rows */
} tti_forward_opts;
typedef struct {
    tti_val logits;   /* [seq, num_labels]; causal: as asked, [sel, vocab] or [seq, vocab] */
    tti_val row_loss; /* causal with loss: [lab,1], of each supervised position */
    tti_val loss;     /* accumulator [1,1], or TTI_NONE */
    /* Accumulators [cache_rows, kv width] that the caller binds: keys of layer 0, its values, keys
     * of layer 1 and so on, one value behind the other; or TTI_NONE. */
    tti_val cache;
    tti_val kept; /* the same for kept_rows */
} tti_forward_out;
/* Describes the model's forward pass (and loss) in g. */
tt_status tti_model_forward(tti_model *m, tti_graph *g, const tti_forward_opts *o,
                            tti_forward_out *out);
/* Binds all PARAM values of g, and their gradients where there are any, in their slabs; hosted ones
 * to the model's stream, which all executors share. Once for each executor. */
tt_status tti_model_bind(tti_model *m, const tti_graph *g, tti_exec *e);
/* The host memory of a hosted parameter, by slab (layout.bytes each; NULL without a device, and for
 * parameters that are in device memory); and of all of them. Borrowed. */
const void *const *tti_model_host(const tti_model *m, const tti_param *p);
size_t tti_model_host_bytes(const tti_model *m);
/* The parameter a PARAM value of g stands for. */
tti_param *tti_model_param_of(tti_model *m, const tti_graph *g, tti_val v);

/* Writes what training made into the existing folder dir: config.json + model.safetensors in
 * transformers' names, or adapter_config.json + adapter_model.safetensors in PEFT's. Labels as
 * id2label (n may be 0). Tokenizer files are the caller's. */
tt_status tti_model_save(tti_model *m, const char *dir, const char *const *labels, int n);

#endif
