// SPDX-License-Identifier: Apache-2.0
/* budget.h - the settings that trade memory for time or precision ("dials"), and the search for
 * those that fit in so many bytes.
 *
 * A budget asks its caller what a set of dials costs. Two things can be looked for:
 *   settings  recompute, kept, keys, frozen weights: of the combinations that fit the fastest by
 *             arithmetic; of those about equally fast the one that rounds least
 *   sizes     keep, length and batch: the largest keep that fits with a short length and a batch of
 *             one; where that is all tokens the largest length; where that is all that the model
 *             reads the largest batch
 * Bytes grow with the sizes, so that these are found by halving. */
#ifndef TT_HOST_TRAIN_BUDGET_H
#define TT_HOST_TRAIN_BUDGET_H

#include "host/train/config.h"
#include "host/train/session.h"

/* Bits of dials. */
enum {
    TTI_DIAL_WEIGHTS = 1 << 0,
    TTI_DIAL_HEAD = 1 << 1,
    TTI_DIAL_KEPT = 1 << 2,
    TTI_DIAL_KEYS = 1 << 3,
    TTI_DIAL_GRADIENTS = 1 << 4,
    TTI_DIAL_RECOMPUTE = 1 << 5,
    TTI_DIAL_OPTIMIZER = 1 << 6,
    TTI_DIAL_KEEP = 1 << 7,
    TTI_DIAL_SEQ = 1 << 8,
    TTI_DIAL_BATCH = 1 << 9,
    TTI_DIAL_METHOD = 1 << 10,
    TTI_DIAL_STREAM = 1 << 11,
    TTI_DIAL_NESTED = 1 << 12,
};

typedef struct {
    int method;        /* TTI_CONFIG_FULL, _LORA, _QLORA */
    int weights, head; /* tti_dtype, or TTI_AS_STORED */
    bool nested;
    tti_dtype kept, keys, gradients;
    bool recompute_keys; /* keys then says nothing */
    tti_recompute recompute;
    tti_optimizer_kind optimizer;
    bool stream;
    double keep; /* up to 1 a share, above a count */
    size_t seq, batch;
} tti_dials;
/* Full training of all tokens, everything in f32, weights as stored, 8 sequences of 256 tokens. */
tti_dials tti_dials_defaults(void);
/* What follows from other dials, for those not given (bits): weights of qlora, keys as kept. */
void tti_dials_settle(tti_dials *d, unsigned given);
/* Takes every dial of storage, recomputation and optimizer not given to its smallest. */
void tti_dials_smallest(tti_dials *d, unsigned given);
/* TT_E_ARG for what cannot be: quantised weights that train, or such that stay in host memory. */
tt_status tti_dials_check(const tti_dials *d);
/* d with the types that m's weights have in the place of TTI_AS_STORED: to be shown. */
tti_dials tti_dials_of_model(const tti_dials *d, tti_model *m);
/* Sets the fields of model and session options that the dials stand for. */
void tti_dials_model(const tti_dials *d, tti_model_opts *o);
void tti_dials_session(const tti_dials *d, tti_session_opts *o);
/* A storage choice of the configuration (TTI_STORE_*, not AUTO or RECOMPUTE) as a type. */
tti_dtype tti_store_type(int choice);
/* "full", "lora", "qlora"; "none", "mlp", "block"; "nf4" or "auto"; "q8" or "recompute" */
const char *tti_method_name(int method);
const char *tti_recompute_name(tti_recompute r);
const char *tti_storage_name(int type);
const char *tti_dials_keys_name(const tti_dials *d);
/* Appends the dials as members of a JSON object: "method": "qlora", "weights": "nf4", .. */
void tti_dials_json(tti_str *out, const tti_dials *d);

/* How dials are called in what is said to people. */
typedef enum {
    TTI_SAY_KEYS, /* memory.recompute=mlp */
    TTI_SAY_FLAGS /* --recompute mlp */
} tti_say;
/* Appends the dials named in `which` with their values, separated by blanks. */
void tti_dials_say(tti_str *out, const tti_dials *d, unsigned which, tti_say how);

typedef struct {
    tti_bytes bytes; /* of the training session */
    size_t total;    /* of all sessions; SIZE_MAX: some value is larger than the largest buffer */
    double flops;    /* of one batch */
} tti_cost;

typedef struct {
    /* What d costs; exact: the scratch of matrix products too, which takes longer to say. Failures
     * end the search. */
    tt_status (*cost)(void *ctx, const tti_dials *d, bool exact, tti_cost *out);
    void *ctx;
    size_t limit;    /* bytes */
    unsigned open;   /* dials that may be set */
    unsigned advise; /* dials that advice may name beside the open ones */
    size_t longest;  /* SEQ: at most */
    size_t most;     /* BATCH: at most */
} tti_budget;

/* Sets what is open of *d: sizes, which begin as *d has them for seq and as 1 for batch, then
 * settings for these sizes. *c is the exact cost of *d. *fits false: nothing does, and *d has the
 * settings that need least, and the smallest keep where it is open. */
tt_status tti_budget_find(const tti_budget *b, tti_dials *d, tti_cost *c, bool *fits);
/* Appends the smallest changes of *d that would fit: "memory.recompute=mlp would need 5.2 GiB; or
 * select.keep=0.21 5.9 GiB". */
tt_status tti_budget_advice(tti_str *out, const tti_budget *b, const tti_dials *d, tti_say how);

/* Appends "5.2 GiB"; "weights 3.1 GiB, gradients 44.3 MiB, ..". */
void tti_bytes_say(tti_str *out, size_t bytes);
void tti_bytes_table(tti_str *out, const tti_bytes *b);

/* Floating-point operations a second of d in a product of m's largest layer, rows tokens at once,
 * as the GEMM service chooses it; takes a fraction of a second. 0 where d has no memory for it. m
 * may be loaded without a device. */
tt_status tti_budget_rate(double *out, tti_device *d, tti_gemm *g, tti_model *m, size_t rows);

#endif
