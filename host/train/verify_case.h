// SPDX-License-Identifier: Apache-2.0
/* verify_case.h - case.json read into a batch. */
#ifndef TT_HOST_TRAIN_VERIFY_CASE_H
#define TT_HOST_TRAIN_VERIFY_CASE_H

#include "host/format/json.h"
#include "host/train/batch.h"

typedef struct {
    cJSON *json;
    char *path;
    tti_model_opts opts; /* as the case asks; strings borrowed from json */
    const char *targets[64];
    tti_sequence *seqs;
    size_t nseqs, selected, supervised; /* positions */
    int32_t **lists;                    /* the arrays seqs point into */
    size_t nlists, lists_cap;
    double lr, beta1, beta2, eps, weight_decay, max_grad_norm;
    int64_t steps;
    double tol_loss, tol_logits, tol_grad, tol_after;
} tti_case;

/* Reads dir/case.json; TT_E_FORMAT names file and key, TT_E_UNSUPPORTED the task. */
tt_status tti_case_read(tti_case *c, const char *dir);
void tti_case_free(tti_case *c);

#endif
