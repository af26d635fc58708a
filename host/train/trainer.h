// SPDX-License-Identifier: Apache-2.0
/* trainer.h - a whole training run as its description says: data, steps, evaluation, checkpoints
 * and the trained model.
 *
 * In the output folder: checkpoint-<step>/ (see checkpoint.h), metrics.jsonl and final/ (see
 * export.h): the best checkpoint's model where there is evaluation data, else the last one's. Two
 * runs of one description write the same bytes; so does one that was killed and resumed. */
#ifndef TT_HOST_TRAIN_TRAINER_H
#define TT_HOST_TRAIN_TRAINER_H

#include <signal.h>
#include "host/train/budget.h"
#include "host/train/config.h"
#include "host/train/evaluate.h"
#include "host/train/session.h"

typedef enum {
    TTI_EVENT_PLAN,  /* before the first step */
    TTI_EVENT_STEP,  /* after each step */
    TTI_EVENT_EVAL,  /* scores */
    TTI_EVENT_SAVED, /* path */
    TTI_EVENT_TEST,  /* scores on data.test: at step 0, and of the final model */
    TTI_EVENT_DONE,  /* path: the final folder */
} tti_event_kind;

/* Fields are those of the run so far; pointers are borrowed for the call. */
typedef struct {
    tti_event_kind kind;
    uint64_t step, total, per_epoch;
    double epoch;
    bool logged; /* STEP: loss and lr are those of this step */
    double loss, lr, grad_norm;
    double tokens_per_s, eta;                                 /* of training alone; seconds left */
    size_t samples, eval_samples, cut, trained, device_bytes; /* trained: numbers that learn */
    tti_bytes bytes;                                          /* PLAN: of the training session */
    size_t eval_bytes;        /* PLAN: beside those, for evaluation */
    size_t scout_bytes;       /* PLAN: and for the first pass of select.policy loss */
    const char *data;         /* PLAN, causal: the training samples in words */
    const tti_scores *scores; /* EVAL, TEST */
    bool best;                /* EVAL: better than all before */
    const char *path;
    const char *device;     /* PLAN */
    const tti_dials *dials; /* PLAN: the settings, as given or found */
    size_t limit;           /* PLAN: memory.limit */
} tti_event;

typedef struct {
    bool resume;    /* go on from the newest whole checkpoint, or begin where there is none */
    bool overwrite; /* what an earlier run left in the output folder is removed */
    bool dry_run;   /* ends after PLAN; nothing is allocated or written */
    const volatile sig_atomic_t *stop;         /* not 0: finish the step, save, end; NULL: never */
    void (*on)(void *ctx, const tti_event *e); /* may be NULL */
    void *ctx;
} tti_train_opts;

/* TT_E_INTERRUPTED: stopped, with a checkpoint of the last step. TT_E_NUMERIC: a step's loss or
 * gradient is not finite; its update was not made and nothing after the last checkpoint is saved.
 */
tt_status tti_train(const tti_config *c, const tti_train_opts *o);

#endif
