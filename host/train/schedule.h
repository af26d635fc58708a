// SPDX-License-Identifier: Apache-2.0
/* schedule.h - the learning rate of a step, as transformers' get_*_schedule_with_warmup have it. */
#ifndef TT_HOST_TRAIN_SCHEDULE_H
#define TT_HOST_TRAIN_SCHEDULE_H

#include "host/core/core.h"

typedef enum { TTI_SCHEDULE_LINEAR, TTI_SCHEDULE_COSINE, TTI_SCHEDULE_CONSTANT } tti_schedule_kind;

typedef struct {
    tti_schedule_kind kind;
    double lr;       /* the largest */
    uint64_t warmup; /* steps */
    uint64_t total;  /* steps */
} tti_schedule;

/* warmup below 1 is a share of total (rounded up, as transformers' Trainer does), else a count. */
uint64_t tti_schedule_warmup(double warmup, uint64_t total);
/* The rate of step `step`, counted from 1. Without warm-up the first step has the full rate; with
 * it the first step has rate 0, as in transformers. */
double tti_schedule_lr(const tti_schedule *s, uint64_t step);

#endif
