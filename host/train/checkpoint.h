// SPDX-License-Identifier: Apache-2.0
/* checkpoint.h - folders <output>/checkpoint-<step>, from which a run goes on to the same bits.
 *
 * Each holds the model or adapter as an export (see export.h), optimizer.safetensors, run.json and
 * SUMS, a line "<digest> <bytes> <name>" for every other file. It appears complete or not at all,
 * and what was damaged afterwards is told by SUMS. */
#ifndef TT_HOST_TRAIN_CHECKPOINT_H
#define TT_HOST_TRAIN_CHECKPOINT_H

#include "host/train/export.h"
#include "host/train/session.h"

/* What a run remembers beside weights and moments. */
typedef struct {
    uint64_t step;
    bool has_best;
    uint64_t best_step;
    double best_value;
    uint64_t metrics_bytes;       /* of metrics.jsonl at this step */
    uint64_t train_sum, eval_sum; /* tti_samples_digest; 0 without evaluation */
    char *config;                 /* tti_config_text; owned */
    char *gemm;                   /* tti_gemm_choices_save; owned */
} tti_run_state;
void tti_run_state_free(tti_run_state *r);

/* Gives the path of a checkpoint (tti_free); NULL on TT_E_NOMEM. */
char *tti_checkpoint_path(const char *output, uint64_t step);
/* Flushes s, then writes the folder. Waits for the device. */
tt_status tti_checkpoint_write(const char *output, const tti_run_state *r, tti_session *s,
                               tti_model *m, const tti_tokenizer *t, const tti_export *e);
/* Whether every file is as SUMS says; TT_E_FORMAT or TT_E_IO tell what is wrong. */
tt_status tti_checkpoint_check(const char *path);
/* run.json of a checkpoint. Gives *out (tti_run_state_free). */
tt_status tti_checkpoint_read(tti_run_state *out, const char *path);

/* Steps of all checkpoint folders, ascending. Gives *steps (tti_free). A missing output folder has
 * none. */
tt_status tti_checkpoint_list(uint64_t **steps, size_t *n, const char *output);
/* The newest checkpoint that is whole; the damaged ones are named in warnings. *found false: none.
 */
tt_status tti_checkpoint_latest(uint64_t *step, bool *found, const char *output);
/* Removes all but the newest `keep` and the best one; and those after `newest`, which a run that
 * went on from `newest` left behind. */
tt_status tti_checkpoint_prune(const char *output, size_t keep, const tti_run_state *r);
tt_status tti_checkpoint_drop_after(const char *output, uint64_t newest);
/* Removes what a killed writer left. For the only run that uses output. */
tt_status tti_checkpoint_recover(const char *output);
/* Copies the export in a checkpoint to the folder `to`, which appears complete or not at all. */
tt_status tti_checkpoint_export(const char *path, const char *to);

#endif
