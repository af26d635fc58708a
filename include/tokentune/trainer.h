// SPDX-License-Identifier: Apache-2.0
/* tokentune/trainer.h - a whole training run, as `tokentune train` does it: the same description
 * writes the same bytes. */
#ifndef TOKENTUNE_TRAINER_H
#define TOKENTUNE_TRAINER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tokentune/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How good a model is on n samples; the metrics of other tasks are 0. */
typedef struct {
    size_t n;
    bool regression;
    double loss; /* mean cross-entropy in nats, or mean squared error */
    double accuracy, macro_f1, mcc;
    double pearson, spearman;
    double perplexity; /* of a model that predicts tokens; its loss is a mean over learned tokens */
} tt_scores;

/* Device memory of a run in bytes; total is the sum of the others. */
typedef struct {
    size_t weights, gradients, optimizer;
    size_t kept, transient; /* values that the backward pass reads; all others */
    size_t inputs, workspace, evaluation, total;
} tt_bytes;

typedef enum {
    TT_TRAIN_PLAN,  /* before the first step: total, samples, trained, cut, bytes, device */
    TT_TRAIN_STEP,  /* after each step */
    TT_TRAIN_EVAL,  /* scores on the evaluation data; at step 0 those before training */
    TT_TRAIN_SAVED, /* path: a checkpoint */
    TT_TRAIN_TEST,  /* scores on the test data, at step 0 and of the final model */
    TT_TRAIN_DONE   /* path: the folder of the trained model */
} tt_train_event_kind;

/* Fields are those of the run so far; pointers are borrowed for the call. */
typedef struct {
    tt_train_event_kind kind;
    uint64_t step, total, per_epoch; /* steps */
    double epoch;
    bool logged; /* STEP: loss and grad_norm are this step's, not an earlier one's */
    double loss, lr, grad_norm;
    double tokens_per_s, eta; /* of training alone; seconds that are left, 0 when not known */
    size_t samples, eval_samples;
    size_t cut;              /* samples that were shortened to the longest length allowed */
    size_t trained;          /* numbers that learn */
    size_t device_bytes;     /* most that was allocated so far */
    tt_bytes bytes;          /* as planned */
    const tt_scores *scores; /* EVAL, TEST; else NULL */
    bool best;               /* EVAL: better than all before */
    const char *path;        /* SAVED, DONE; else NULL */
    const char *device;      /* its name */
} tt_train_event;

typedef struct {
    const char *config;          /* a YAML file, or NULL: the settings say all */
    const char *const *settings; /* "key=value", each going before the file and those in front;
                                  * paths are relative to the working folder */
    size_t nsettings;
    bool resume;    /* go on from the newest whole checkpoint, or begin where there is none */
    bool overwrite; /* remove what an earlier run left in the output folder */
    bool dry_run;   /* end after PLAN; no device memory is allocated, nothing is written */
    const volatile sig_atomic_t *stop; /* not 0: finish the step, save, end; a signal handler or
                                        * on_event may set it. NULL: never */
    void (*on_event)(void *ctx, const tt_train_event *e); /* on the calling thread; may be NULL */
    void *ctx;                                            /* of on_event */
} tt_train_opts;
TT_API tt_train_opts tt_train_defaults(void); /* nothing described, nothing resumed or removed */

/* Runs to the end on a device of its own (key "device"). Borrows o and all that it names.
 * TT_E_ARG: a setting, or settings that contradict each other, or an output folder that is in use
 * or not empty. TT_E_FORMAT: the file; the message has line, key and what was expected.
 * TT_E_IO, TT_E_DATA, TT_E_SHAPE, TT_E_UNSUPPORTED: a model or data that cannot be read or used.
 * TT_E_MEMORY: more than the device holds, by category. TT_E_DEVICE, TT_E_BUILD: OpenCL fails.
 * TT_E_INTERRUPTED: stopped, with a checkpoint of the last step for resume. TT_E_NUMERIC: a step's
 * loss or gradient is no finite number; its update was not made, checkpoints before it are kept. */
TT_API tt_status tt_train(const tt_train_opts *o);

#ifdef __cplusplus
}
#endif
#endif
