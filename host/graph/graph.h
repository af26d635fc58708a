// SPDX-License-Identifier: Apache-2.0
/* graph.h - a training step as a list of ops over values.
 *
 * A batch is ragged: the rows of its sequences lie end to end, without padding, in two streams:
 * SEL, the rows that carry gradient, and REST, those that do not. Within a stream the rows are
 * ordered by sequence, then by position. How many rows there are changes from batch to batch; a
 * value's first dimension is therefore a kind of row count (tti_rows_kind), planned by its maximum.
 *
 *   build (forward ops) -> tti_graph_backward (gradient ops) -> tti_graph_finish (dead ops out,
 *   fusing) -> tti_plan (offsets in arenas) -> tti_exec (enqueue)
 *
 * Building never needs a device. Errors stick: builders return TTI_NONE after a failure and
 * tti_graph_status has the first one. */
#ifndef TT_HOST_GRAPH_GRAPH_H
#define TT_HOST_GRAPH_GRAPH_H

#include "host/core/core.h"
#include "host/gemm/gemm.h"

typedef int tti_val; /* index of a value in its graph */
#define TTI_NONE (-1)

typedef enum {
    TTI_ROWS_CONST,    /* shape.n rows */
    TTI_ROWS_SEL,      /* rows with gradient, all sequences of the batch */
    TTI_ROWS_REST,     /* rows without */
    TTI_ROWS_SEQ,      /* sequences */
    TTI_ROWS_SEQ1,     /* sequences + 1: offsets */
    TTI_ROWS_BLK_SEL,  /* attention blocks over SEL rows: at most caps.att_rows rows of one sequence
                        */
    TTI_ROWS_BLK_REST, /* the same over REST rows */
    TTI_ROWS_UNIQ,     /* different token ids among the SEL rows of this batch */
    TTI_ROWS_UNIQ1,    /* + 1 */
    TTI_ROWS_LAB,      /* SEL rows whose next token is supervised (causal) */
    TTI_ROWS_STEP_UNIQ, /* different token ids among the SEL rows of all batches of the step */
    TTI_ROWS_KINDS
} tti_rows_kind;

/* Row counts, planned maxima or those of the batch in hand; n[TTI_ROWS_CONST] is unused. */
typedef struct {
    size_t n[TTI_ROWS_KINDS];
} tti_rows;

typedef struct {
    tti_rows_kind kind;
    size_t n; /* rows when kind is TTI_ROWS_CONST */
    size_t cols;
    tti_dtype dtype; /* computed values are F32, or as tti_graph_store keeps them */
} tti_shape;
static inline tti_shape tti_shape_rows(tti_rows_kind kind, size_t cols) {
    return (tti_shape){kind, 0, cols, TTI_F32};
}
static inline tti_shape tti_shape_const(size_t rows, size_t cols) {
    return (tti_shape){TTI_ROWS_CONST, rows, cols, TTI_F32};
}
size_t tti_shape_count(const tti_shape *s, const tti_rows *rows); /* rows of it */
size_t tti_shape_bytes(const tti_shape *s, const tti_rows *rows);
/* "[sel,384]" into one of a few rotating buffers, for messages */
const char *tti_shape_str(const tti_shape *s);

typedef enum {
    TTI_VALUE_INPUT, /* uploaded for each batch */
    TTI_VALUE_PARAM, /* weight: lives as long as the model */
    TTI_VALUE_GRAD,  /* gradient of a parameter, or the loss: lives through the step */
    TTI_VALUE_TEMP,  /* computed; placed by the planner */
} tti_value_kind;

struct tti_node;

typedef struct {
    tti_value_kind kind;
    tti_shape shape;
    char name[96];
    bool trainable;       /* PARAM: wants a gradient */
    tti_dtype grad_dtype; /* PARAM: of its gradient */
    bool needs_grad;      /* some trainable parameter reaches it through SEL rows */
    int producer;         /* node index, or -1 */
    tti_val grad;         /* PARAM: its GRAD value, once one exists */
    bool sparse;  /* PARAM: gradient rows are STEP_UNIQ slots (an embedding used only by lookups) */
    bool keys;    /* TEMP: keys or values of attention, stored as tti_store_opts.keys */
    bool chunked; /* TEMP: lives within one chunk of rows of its region (tti_graph_chunked) */
    int input;    /* INPUT: tti_input */
} tti_value;

/* What the host uploads for each batch; all i32 but LABELS of regression (f32 bits). */
typedef enum {
    TTI_IN_IDS_SEL, /* [sel] token ids */
    TTI_IN_IDS_REST,
    TTI_IN_POS_SEL, /* [sel] position in the sequence, 0-based: masks, RoPE, dropout keys */
    TTI_IN_POS_REST,
    TTI_IN_POSID_SEL, /* [sel] row of the position table (RoBERTa: padding_idx + 1 + position) */
    TTI_IN_POSID_REST,
    TTI_IN_TYPE_SEL, /* [sel] token type */
    TTI_IN_TYPE_REST,
    TTI_IN_SEQ_SEL, /* [sel] number of the row's sequence, unique in the step: dropout keys */
    TTI_IN_SEQ_REST,
    TTI_IN_OFF_SEL, /* [seq+1] first SEL row of each sequence, then the count */
    TTI_IN_OFF_REST,
    TTI_IN_BLK_SEL, /* [blk_sel,4] first row, rows (1..att_rows), sequence in batch, 0 */
    TTI_IN_BLK_REST,
    TTI_IN_LAB_ROW, /* [lab] SEL row of each supervised position, ascending */
    TTI_IN_LAB_ID,  /* [lab] token that follows it */
    TTI_IN_LABELS,  /* [seq] class, or f32 target */
    /* Gradient of a lookup, as rows sorted by table row: uniq u sums SEL rows
     * perm[start[u] .. start[u+1]) into gradient row dst[u]. Rows that torch's padding_idx leaves
     * without gradient are absent. For ids, for position and type tables. */
    TTI_IN_IDS_PERM,  /* [sel] */
    TTI_IN_IDS_START, /* [uniq+1] */
    TTI_IN_IDS_DST,   /* [uniq] slot (sparse) or table row (dense) */
    TTI_IN_POS_PERM,
    TTI_IN_POS_START,
    TTI_IN_POS_DST,
    TTI_IN_TYPE_PERM,
    TTI_IN_TYPE_START,
    TTI_IN_TYPE_DST,
    TTI_IN_CACHE,     /* [seq,2] cache rows of each sequence's kept keys: the first, and the end */
    TTI_IN_CACHE_ROW, /* [sel] cache row that keeps the row's own key and value */
    TTI_IN_KEPT_REST, /* [rest] row of each among all rows of the batch, by sequence and position */
    TTI_IN_COUNT
} tti_input;

typedef struct tti_graph tti_graph;
typedef struct tti_exec tti_exec;
typedef struct tti_node tti_node;

enum { TTI_MAX_IN = 16, TTI_MAX_OUT = 6, TTI_ATTR_I = 10, TTI_ATTR_F = 4 };

typedef struct {
    int i[TTI_ATTR_I];
    float f[TTI_ATTR_F];
} tti_attr;

/* An op: one const struct in its host file. Everything it reads is an input, everything it writes
 * an output: the planner trusts that. */
typedef struct {
    const char *name; /* also the kernel file cl/<name>.cl of its family, for reports */
    /* Checks the inputs' shapes and declares outputs with tti_out. */
    tt_status (*shape)(tti_graph *g, tti_node *n);
    /* Optional: once before the first run, with the planned maxima: choose GEMM plans, say how much
     * workspace is needed (n->workspace). */
    tt_status (*prepare)(tti_exec *e, tti_node *n);
    tt_status (*enqueue)(tti_exec *e, const tti_node *n);
    /* Appends the ops that turn gradients of outputs into gradients of inputs. NULL: none exists.
     */
    tt_status (*backward)(tti_graph *g, const tti_node *n);
    /* Floating-point operations for given row counts; NULL counts as 0. */
    double (*flops)(const tti_graph *g, const tti_node *n, const tti_rows *rows);
    /* Optional: takes over the elementwise op `next`, the only user of n's only output (an
     * activation in a GEMM's epilogue). true: n now computes next's output, next goes away. */
    bool (*absorb)(tti_node *n, const tti_node *next);
    /* Bits of outputs that are never stored in fewer bits: statistics, log-sum-exps. */
    unsigned exact_outs;
    /* Bits of inputs whose rounding the forward pass must have seen too, where they are stored in
     * fewer bits: a gradient that goes with numbers saved from them (attention's log-sum-exp). */
    unsigned exact_ins;
} tti_op;

/* y = a + b: gradients that meet in one value are added up with it (host/ops/add.c). */
extern const tti_op tti_op_add;
/* [rows,cols] f32 -> the same in the type attr.i[0], and back (host/ops/store.c). */
extern const tti_op tti_op_store, tti_op_load;

struct tti_node {
    const tti_op *op;
    tti_val in[TTI_MAX_IN], out[TTI_MAX_OUT];
    int nin, nout;
    tti_attr attr;
    bool
        recompute; /* cheap: the backward pass computes the outputs again instead of keeping them */
    bool backward; /* stands behind the loss */
    int chunk;     /* region whose nodes run together, chunk by chunk of REST rows; 0: none */
    bool accumulate; /* adds into its GRAD output even in the first batch of a step */
    int reuse_in; /* out[0] may take the memory of this input when that input ends here; -1 never */
    tti_gemm_plan gemm, more_gemms[2]; /* the others of an op that is several products */
    size_t workspace;
};

tti_graph *tti_graph_new(void); /* NULL: TT_E_NOMEM */
void tti_graph_free(tti_graph *g);
tt_status tti_graph_status(const tti_graph *g);
tt_status tti_graph_fail(tti_graph *g, tt_status s); /* records a failure whose message is set */

const tti_value *tti_value_at(const tti_graph *g, tti_val v);
const tti_shape *tti_val_shape(const tti_graph *g, tti_val v);
size_t tti_graph_values(const tti_graph *g);
size_t tti_graph_nodes(const tti_graph *g);
const tti_node *tti_node_at(const tti_graph *g, size_t i);

/* Inputs are made on first use and then shared. */
tti_val tti_graph_input(tti_graph *g, tti_input which);
/* A weight [rows, cols]; vectors are [1, n]. copies name. */
tti_val tti_graph_param(tti_graph *g, const char *name, size_t rows, size_t cols, bool trainable);

/* Marks a parameter that only lookups read: its gradient has a row for each of the step's ids. */
void tti_graph_param_sparse(tti_graph *g, tti_val p);

/* Ops built while this is on carry no gradient (the stream REST). Returns the former setting. */
bool tti_graph_no_grad(tti_graph *g, bool on);
/* Ops built while this is on are computed again in the backward pass rather than kept. */
bool tti_graph_recompute(tti_graph *g, bool on);
/* Ops built while this is on, all of REST rows and each row by itself, run chunk after chunk of at
 * most TTI_CHUNK_ROWS rows: values that only they read exist for one chunk. A new region begins
 * each time it is switched on. Returns the former setting. */
bool tti_graph_chunked(tti_graph *g, bool on);
enum { TTI_CHUNK_ROWS = 256 };
/* Marks v as keys or values of attention: see tti_store_opts. */
void tti_graph_mark_keys(tti_graph *g, tti_val v);
/* The type in which the parameter p lies in memory (its layout is that of the slabs bound). */
void tti_graph_param_dtype(tti_graph *g, tti_val p, tti_dtype type);
/* The type in which p's gradient is kept: F32, F16 or BF16. Other types than F32 are for weights
 * that only linear layers read; sums are made in F32 and rounded when they are added to it. */
void tti_graph_param_grad_dtype(tti_graph *g, tti_val p, tti_dtype type);
/* Names given to the values built from now on begin with it (copied). */
void tti_graph_scope(tti_graph *g, const char *scope);

/* Appends an op; its shape rule runs at once. Returns out[0] (others: tti_emit_out of it).
 * TTI_NONE inputs are allowed where the op says so. */
tti_val tti_emit(tti_graph *g, const tti_op *op, const tti_val *in, int nin, const tti_attr *attr);
/* The same with outputs that exist already (a GRAD value). */
tti_val tti_emit_into(tti_graph *g, const tti_op *op, const tti_val *in, int nin,
                      const tti_attr *attr, tti_val out, bool accumulate);
/* Output i of the op that made v. */
tti_val tti_emit_out(const tti_graph *g, tti_val v, int i);
tti_node *tti_producer(tti_graph *g, tti_val v); /* NULL for inputs and parameters */
/* For shape rules: declares output i (a TEMP), or checks it where it exists already. */
void tti_out(tti_graph *g, tti_node *n, int i, tti_shape shape);

/* ---- for gradient rules ---- */

/* The gradient that has arrived at v (complete when v's producer is asked), TTI_NONE if none. */
tti_val tti_grad_of(const tti_graph *g, tti_val v);
bool tti_grad_wanted(const tti_graph *g, tti_val v); /* false for TTI_NONE too */
/* v for reading in the backward pass: itself, or computed again where its op says recompute. */
tti_val tti_grad_read(tti_graph *g, tti_val v);
/* dv is a contribution to the gradient of the TEMP v. An op that can add on its way takes
 * tti_grad_of(v) as an extra input first and then replaces it with tti_grad_set. */
void tti_grad_add(tti_graph *g, tti_val v, tti_val dv);
void tti_grad_set(tti_graph *g, tti_val v, tti_val dv);
/* Emits an op whose only output is the gradient of parameter p (made on first use). */
void tti_grad_emit_param(tti_graph *g, tti_val p, const tti_op *op, const tti_val *in, int nin,
                         const tti_attr *attr);

/* The GRAD value of parameter p (made on first use) for an op that emits it beside other outputs;
 * *again: it has been written by an op before. */
tti_val tti_grad_param(tti_graph *g, tti_val p, bool *again);
/* tti_emit with some outputs that exist already: out[i] TTI_NONE are made by the shape rule. */
tti_val tti_emit_outs(tti_graph *g, const tti_op *op, const tti_val *in, int nin,
                      const tti_attr *attr, const tti_val *out, int nout, bool accumulate);

/* ---- whole graph ---- */

/* A GRAD value that is no parameter's: the loss [1,1]. */
tti_val tti_graph_accumulator(tti_graph *g, const char *name, tti_shape shape);
/* Keeps v to the end of the run (logits in verify and eval). */
void tti_graph_keep(tti_graph *g, tti_val v);
/* Appends gradient ops for everything that needs it. The loss op's own dlogits output (see
 * host/ops/loss) is where it starts. */
tt_status tti_graph_backward(tti_graph *g);
/* Removes ops whose outputs nobody needs, fuses activations into linears where the value between is
 * used once. Roots: GRAD values and kept values. */
tt_status tti_graph_finish(tti_graph *g);

/* How values that live from the forward into the backward pass are stored in between. Each is
 * rounded once, where it is made; the gradient passes through the rounding as through an identity.
 * The forward pass goes on with the rounded value where an op's exact_ins asks for it, else with
 * the value as computed. */
typedef struct {
    tti_dtype kept; /* F32, F16 or BF16 */
    tti_dtype keys; /* of values marked as keys: F32, F16, BF16; Q8: those of REST rows are Q8, the
                     * others as kept */
} tti_store_opts;
/* Puts the stores and loads into a finished graph, before it is planned. */
tt_status tti_graph_store(tti_graph *g, const tti_store_opts *o);

/* ---- running (exec.c); ops use these ---- */

struct tti_exec {
    tti_device *dev;
    const tti_caps *caps;
    tti_gemm *gemm;
    tti_graph *graph;
    tti_rows max, rows; /* planned, and of the batch in hand */
    cl_mem *mem;        /* by value */
    cl_mem workspace;
    uint32_t seed, step; /* dropout keys */
    unsigned micro;      /* number of this batch within its step: 0 overwrites GRAD values */
    float loss_scale;    /* 1 / (sequences or supervised tokens of the whole step) */
    bool training;       /* dropout on */
};
static inline cl_mem tti_x_mem(const tti_exec *e, tti_val v) {
    return v == TTI_NONE ? NULL : e->mem[v];
}
/* Rows of v in the batch in hand; columns. */
size_t tti_x_rows(const tti_exec *e, tti_val v);
size_t tti_x_cols(const tti_exec *e, tti_val v);
/* A parameter or its gradient in memory: rows row0 .. row0+rows-1 of it, one buffer each, so that
 * no buffer is over the device's largest. Most have one slab. */
typedef struct {
    cl_mem mem;
    size_t row0, rows;
    tti_layout layout; /* of mem: rows x cols of the slab */
} tti_slab;
/* The slabs of a PARAM or GRAD value; *n of them. A value bound as a whole has one. */
const tti_slab *tti_x_slabs(const tti_exec *e, tti_val v, size_t *n);
/* Whether node n must add into its GRAD output now. */
static inline bool tti_x_accumulate(const tti_exec *e, const tti_node *n) {
    return n->accumulate || e->micro > 0;
}
/* Defines common to row kernels: "-DWG=.. -DVW=.." and the formatted rest, interned: the pointer is
 * valid for the life of the device. */
const char *tti_x_defines(tti_exec *e, const char *fmt, ...) TT_PRINTF(2, 3);

#endif
