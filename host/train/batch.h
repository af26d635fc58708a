// SPDX-License-Identifier: Apache-2.0
/* batch.h - sequences and a selection laid out as the graph's inputs. */
#ifndef TT_HOST_TRAIN_BATCH_H
#define TT_HOST_TRAIN_BATCH_H

#include "host/model/model.h"

typedef struct {
    const int32_t *ids, *types; /* types NULL: all 0 */
    size_t n;                   /* tokens, >= 1 */
    const int32_t *selected;    /* ascending positions that carry gradient; NULL: all */
    size_t nselected;
    uint32_t number;     /* of the sequence within the step: dropout keys */
    int32_t label;       /* class */
    float target;        /* regression */
    const int32_t *next; /* causal: [n] the token that follows where it is supervised, else
                          * negative; only those of selected positions count */
} tti_sequence;

typedef struct tti_batch tti_batch; /* grows, is reused; tti_feed points into it */
tt_status tti_batch_new(tti_batch **out);
void tti_batch_free(tti_batch *b);
/* Lays out n sequences. slot_ids: the step's ids with gradient (ascending), so that sparse
 * embedding gradients of several batches meet in one buffer; NULL: those of this batch alone.
 * dense_ids: embedding gradient rows are table rows instead of slots. Validates ids, positions,
 * types, labels, lengths against info (TT_E_DATA names sequence and value). */
tt_status tti_batch_fill(tti_batch *b, const tti_model_info *info, int att_rows,
                         const tti_sequence *seqs, size_t n, const int32_t *slot_ids, size_t slots,
                         bool dense_ids);
const tti_feed *tti_batch_feed(const tti_batch *b);
/* Supervised positions among the selected ones: the divisor of a causal loss. */
size_t tti_sequence_supervised(const tti_sequence *q);
/* Ids read by any row / ids with gradient of n sequences: ascending and unique, merged into set. */
typedef struct {
    int32_t *id;
    size_t n, cap;
} tti_idset;
tt_status tti_idset_add(tti_idset *set, const tti_model_info *info, const tti_sequence *seqs,
                        size_t n, bool only_gradient);
void tti_idset_free(tti_idset *set);
/* Upper bounds of every row kind for batches of at most `batch` sequences, `micro` batches a step.
 * tokens and selected are those of the largest batch: with selections of tti_select_count neither
 * the selected rows nor the others of a shorter sequence are more. */
tti_rows tti_batch_bounds(const tti_model_info *info, int att_rows, size_t batch, size_t tokens,
                          size_t selected, size_t micro);
/* Row counts of one batch of n sequences with lengths[i] tokens, selected[i] of them with gradient:
 * exact, except that the kinds of unique ids are upper bounds (one batch a step). */
tti_rows tti_batch_rows(const tti_model_info *info, int att_rows, const size_t *lengths,
                        const size_t *selected, size_t n);
/* Raises each count of *most to that of r. */
void tti_rows_raise(tti_rows *most, const tti_rows *r);

#endif
