// SPDX-License-Identifier: Apache-2.0
/* trainer_internal.h - a run, as the files of the trainer share it. */
#ifndef TT_HOST_TRAIN_TRAINER_INTERNAL_H
#define TT_HOST_TRAIN_TRAINER_INTERNAL_H

#include "host/train/budget.h"
#include "host/train/checkpoint.h"
#include "host/train/metrics_log.h"
#include "host/train/schedule.h"
#include "host/train/steps.h"
#include "host/train/trainer.h"

typedef struct {
    const tti_config *c;
    const tti_train_opts *o;
    int metric; /* tti_metric_kind of the best checkpoint */
    int folder; /* open and locked while the run uses it; -1 */
    bool resumed;
    char *checkpoint; /* resumed from; NULL */

    /* trainer_data.c */
    tti_tokenizer *tokenizer;
    tti_dataset *train_set, *eval_set, *test_set;
    tti_samples train, eval, test; /* n 0: none */
    tti_export about;
    char *template; /* about.template */
    tti_str data;   /* causal: what was read, in words */

    /* trainer_budget.c */
    tti_dials dials; /* as configured, and where memory.limit asks for it, as found */
    unsigned given;  /* those that the configuration leaves no choice of */

    /* trainer_setup.c */
    tti_device *dev;
    tti_gemm *gemm;
    tti_model *model;
    tti_steps *steps;
    tti_session *session;
    tti_session *scout; /* the first pass of select.policy loss; NULL */
    float *scout_loss;  /* [lab] of it */
    tti_evaluator *evaluator;
    tti_schedule schedule;

    tti_run_state state;
    tti_metrics_log log;
    double begun, idle;    /* a clock; seconds since then spent on evaluation and saving */
    uint64_t first_step;   /* first step of this process, minus one */
    uint64_t timed;        /* step at which begun was taken */
    uint64_t checked;      /* the last step known to be finite */
    uint64_t saved;        /* the last step saved */
    size_t tokens;         /* of this process */
    uint64_t unsupervised; /* steps whose selection has nothing to learn */
    tti_event last;        /* figures of the last event */
} tti_job;

/* trainer_data.c: data sets and labels, then, with the model's sizes, token ids. */
tt_status tti_job_data(tti_job *r);
tt_status tti_job_encode(tti_job *r);
/* Samples to hold back of n. */
size_t tti_job_held(const tti_config *c, size_t n);
/* trainer_causal.c: the same of decoders. */
tt_status tti_job_causal(tti_job *r);
/* trainer_setup.c: the output folder and the checkpoint to go on from; device, model, sessions. */
tt_status tti_job_folder(tti_job *r);
tt_status tti_job_setup(tti_job *r);
/* Loads the model; d NULL: shapes only, to plan with before any memory is taken. */
tt_status tti_job_model(tti_job *r, tti_device *d);
tt_status tti_job_steps(tti_job *r);
/* The bytes of all sessions, into r->last, and the operations of a batch (may be NULL), before any
 * is made; gemm NULL: without the scratch of matrix products. */
tt_status tti_job_plan(tti_job *r, tti_gemm *gemm, double *flops);
/* trainer_budget.c: the dials of the configuration, or of the checkpoint where that was found. */
tt_status tti_job_dials(tti_job *r);
/* Finds the dials that are left open; loads the model for them. Then r->last has the plan. */
tt_status tti_job_budget(tti_job *r);
/* Appends the dials found, as lines of the text in checkpoints. */
void tti_job_found(tti_str *out, const tti_job *r);
/* TT_E_MEMORY, with what would fit, where the plan of all sessions is more than the device has. */
tt_status tti_job_fits(tti_job *r);
/* The same where the device refused memory (the message says what) though it should have had it.
 * Frees the sessions and the model. */
tt_status tti_job_refused(tti_job *r);
void tti_job_free(tti_job *r);
/* trainer.c */
void tti_job_event(tti_job *r, tti_event_kind kind);

#endif
