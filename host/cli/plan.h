// SPDX-License-Identifier: Apache-2.0
/* plan.h - what a training step would cost, for the files of tokentune plan. */
#ifndef TT_HOST_CLI_PLAN_H
#define TT_HOST_CLI_PLAN_H

#include "host/cli/shape_args.h"

typedef struct {
    tti_shape_args *a;
    tti_caps caps;
    tti_device *dev; /* NULL: planned without one */
    tti_gemm *gemm;
    tti_model *model;
    tti_dials loaded;   /* the dials that model was described for */
    tti_budget budget;  /* of the sizes and settings left open */
    tti_dials d;        /* the chosen ones */
    tti_cost cost;      /* of them, workspace of matrix products included */
    double plain_flops; /* of the same step with keep 1 and without recomputation */
    double no_recompute_flops;
    double rate; /* operations a second; 0: unknown */
} plan_job;

/* The cost of d for job, a plan_job: see tti_budget. Over the largest buffer: total SIZE_MAX. */
tt_status plan_cost(void *job, const tti_dials *d, bool exact, tti_cost *out);
/* Opens the device where one is asked for, finds the open sizes and settings, sets d and cost and
 * the other figures; *fits says whether they fit. */
tt_status plan_find(plan_job *j, bool *fits);
void plan_free(plan_job *j);

/* Appends the table of keep x recomputation x storage around the chosen dials. */
tt_status plan_trade(plan_job *j, tti_str *out);

#endif
