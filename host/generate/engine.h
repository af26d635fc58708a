// SPDX-License-Identifier: Apache-2.0
/* engine.h - a decoder that keeps the keys and values of what it has read: tokens go in behind
 * those before, logits of what comes next come out. Sequences live in slots of one cache; any of
 * them may go on in a run, each by a number of tokens of its own, without padding. */
#ifndef TT_HOST_GENERATE_ENGINE_H
#define TT_HOST_GENERATE_ENGINE_H

#include "host/model/model.h"

typedef struct {
    size_t slots;    /* sequences kept at once */
    size_t capacity; /* tokens of each at most; the model's context at most */
    size_t rows;     /* tokens computed at once: longer prompts are read in pieces. 0: 512 */
} tti_engine_opts;

typedef struct tti_engine tti_engine;
/* Borrows d, gemm, model, which must be a causal one (TTI_TASK_CAUSAL, frozen). Everything is
 * allocated here, through the ledger. TT_E_ARG: no decoder, or capacity over the context;
 * TT_E_MEMORY: with the cache's size. Gives *out. */
tt_status tti_engine_new(tti_engine **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                         const tti_engine_opts *o);
void tti_engine_free(tti_engine *e); /* NULL is a no-op */
tti_engine_opts tti_engine_get_opts(const tti_engine *e);
size_t tti_engine_vocab(const tti_engine *e);
size_t tti_engine_cache_bytes(const tti_engine *e);

/* The next n >= 1 tokens of a slot. */
typedef struct {
    size_t slot;
    const int32_t *ids;
    size_t n;
} tti_piece;
/* Reads n pieces of different slots; logits [n, vocab] are those behind each piece's last token.
 * Waits. TT_E_DATA: a token id that the model does not have; TT_E_ARG: over the capacity; the
 * slots are as before in both cases. */
tt_status tti_engine_run(tti_engine *e, const tti_piece *pieces, size_t n, float *logits);

/* How many tokens a slot keeps; all but the first n are forgotten. */
size_t tti_engine_kept(const tti_engine *e, size_t slot);
void tti_engine_forget(tti_engine *e, size_t slot, size_t n);

#endif
