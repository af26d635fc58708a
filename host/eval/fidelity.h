// SPDX-License-Identifier: Apache-2.0
/* fidelity.h - how close the gradient of selected tokens comes to that of all, on batches as
 * training would have them, and what it saves. */
#ifndef TT_HOST_EVAL_FIDELITY_H
#define TT_HOST_EVAL_FIDELITY_H

#include "host/train/samples.h"
#include "host/train/select.h"
#include "host/train/session.h"

typedef struct {
    tti_select_policy policy;
    double keep; /* as select.keep */
} tti_fidelity_choice;

typedef struct {
    size_t batches, batch; /* how many, of how many samples */
    uint32_t seed;
    double temperature; /* of TTI_SELECT_LOSS */
    const tti_fidelity_choice *choice;
    size_t nchoices;
} tti_fidelity_opts;

/* Of one choice; means over the batches unless said otherwise. */
typedef struct {
    tti_fidelity_choice choice;
    double tokens;        /* share of the tokens that was selected */
    double cosine, least; /* of the gradients of all trained parameters; of the worst batch */
    double norm;          /* length of the gradient over that of the full one */
    double *group;        /* cosine by group */
    size_t kept, total;   /* bytes between forward and backward pass; of the whole step */
    double seconds;       /* a training step */
} tti_fidelity_row;

/* row[0] is the full gradient's own. Groups: "embeddings", "block <i>", "head". */
typedef struct {
    tti_fidelity_row *row;
    size_t rows;
    char (*group)[32];
    size_t groups;
} tti_fidelity_result;

/* The model must train (gradients are its own) and not be in use; its weights stay as they are.
 * Dropout is off. Borrows all. Gives *out (tti_fidelity_free). */
tt_status tti_fidelity(tti_fidelity_result *out, tti_device *d, tti_gemm *gemm, tti_model *model,
                       const tti_samples *samples, const tti_fidelity_opts *o);
void tti_fidelity_free(tti_fidelity_result *r);

#endif
