// SPDX-License-Identifier: Apache-2.0
/* batch_order.h - which samples form the batches of an epoch, and in what order.
 *
 * The samples are shuffled; runs of `group` batches are sorted by length, so that a batch holds
 * sequences of about one length; then the order of the batches is shuffled. If the samples do not
 * fill the last batch it is short, and comes last. Only lengths, batch, group, seed and epoch
 * decide, so any step of a run can be found again. */
#ifndef TT_HOST_DATA_BATCH_ORDER_H
#define TT_HOST_DATA_BATCH_ORDER_H

#include "host/core/core.h"

enum { TTI_BATCH_GROUP = 50 };

typedef struct tti_batch_order tti_batch_order;

/* Lengths (of any unit) of n samples, copied; 1 <= n < 2^32, batch >= 1; group 0 or 1: no grouping
 * by length. Stands at epoch 0. Gives *out. */
tt_status tti_batch_order_new(tti_batch_order **out, const size_t *lengths, size_t n, size_t batch,
                              size_t group, uint64_t seed);
void tti_batch_order_free(tti_batch_order *o); /* NULL is a no-op */
/* Goes to an epoch, counted from 0, in any order. */
void tti_batch_order_epoch(tti_batch_order *o, uint32_t epoch);
/* Batches of an epoch: n / batch, rounded up. */
size_t tti_batch_order_count(const tti_batch_order *o);
/* The samples of batch i of the current epoch; *n of them, at least 1. Borrowed until the next call
 * of tti_batch_order_epoch. */
const uint32_t *tti_batch_order_at(const tti_batch_order *o, size_t i, size_t *n);

#endif
