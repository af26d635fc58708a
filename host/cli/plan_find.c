// SPDX-License-Identifier: Apache-2.0
/* plan_find.c - the search for the sizes and settings that a command line leaves open. */
#include "host/cli/plan.h"

enum { LARGEST_BATCH = 4096 };

static bool same_model(const tti_dials *a, const tti_dials *b) {
    return a->method == b->method && a->weights == b->weights && a->head == b->head &&
           a->nested == b->nested && a->gradients == b->gradients && a->stream == b->stream;
}

/* Describes the model for d's dials, unless it is. */
static tt_status load(plan_job *j, const tti_dials *d) {
    if (j->model && same_model(&j->loaded, d)) return TT_OK;
    tti_model_opts o = j->a->opts;
    tti_dials_model(d, &o);
    o.align = j->caps.align;
    o.max_alloc = j->caps.max_alloc;
    tti_model_free(j->model);
    j->model = NULL;
    TT_TRY(tti_model_load(&j->model, NULL, j->a->model, &o));
    j->loaded = *d;
    return TT_OK;
}

tt_status plan_cost(void *job, const tti_dials *d, bool exact, tti_cost *out) {
    plan_job *j = job;
    TT_TRY(load(j, d));
    tti_session_opts o = tti_session_defaults();
    o.training = true;
    tti_dials_session(d, &o);
    o.max = tti_shape_args_rows(j->a, d, tti_model_get_info(j->model), j->caps.att_rows);
    *out = (tti_cost){.total = SIZE_MAX};
    tt_status s = tti_session_plan_work(&out->bytes, &out->flops, &j->caps, exact ? j->gemm : NULL,
                                        j->model, &o);
    if (s == TT_OK) out->total = out->bytes.total;
    return s == TT_E_MEMORY ? TT_OK : s;
}

/* A device that is described by the command line need not be there. */
static tt_status open_device(plan_job *j) {
    const tti_shape_args *a = j->a;
    j->caps = (tti_caps){.cpu = true,
                         .wg = 1,
                         .vw = 16,
                         .att_rows = 16,
                         .max_alloc = SIZE_MAX / 2,
                         .align = 128,
                         .memory = SIZE_MAX / 2};
    if (!a->no_device && (a->device_memory <= 0 || a->device)) {
        TT_TRY(tti_device_open(&j->dev, a->device));
        TT_TRY(tti_gemm_new(&j->gemm, j->dev, a->gemm));
        j->caps = *tti_device_caps(j->dev);
    }
    if (a->device_memory > 0) j->caps.memory = (size_t)a->device_memory;
    if (a->max_alloc > 0) j->caps.max_alloc = (size_t)a->max_alloc;
    return TT_OK;
}

static tt_status describe_budget(plan_job *j) {
    const tti_shape_args *a = j->a;
    enum { SIZES = TTI_DIAL_KEEP | TTI_DIAL_SEQ | TTI_DIAL_BATCH };
    enum { SETTINGS = TTI_DIAL_RECOMPUTE | TTI_DIAL_KEPT | TTI_DIAL_KEYS | TTI_DIAL_WEIGHTS };
    enum { OTHERS = TTI_DIAL_HEAD | TTI_DIAL_GRADIENTS | TTI_DIAL_OPTIMIZER | TTI_DIAL_STREAM };
    TT_TRY(load(j, &a->d));
    const tti_model_info *info = tti_model_get_info(j->model);
    const size_t longest = (size_t)info->max_len;
    j->d = a->d;
    if (a->given & TTI_DIAL_SEQ) {
        if (a->d.seq > longest)
            return tti_fail(TT_E_ARG, "--seq %zu: the model reads at most %d tokens", a->d.seq,
                            info->max_len);
    } else {
        j->d.seq = TT_MIN(j->d.seq, longest);
    }
    j->budget = (tti_budget){.cost = plan_cost,
                             .ctx = j,
                             .limit = j->caps.memory,
                             .longest = longest,
                             .most = LARGEST_BATCH};
    if (a->limit > 0) {
        j->budget.limit = TT_MIN(j->budget.limit, (size_t)a->limit);
        j->budget.open = SIZES | (a->smallest ? 0 : SETTINGS);
    }
    /* what was given may still be named as a way out: sizes, and the method */
    j->budget.open &= ~a->given;
    if (a->d.method == TTI_CONFIG_FULL) j->budget.open &= ~(unsigned)TTI_DIAL_WEIGHTS;
    j->budget.advise = SIZES | TTI_DIAL_METHOD | ((SETTINGS | OTHERS) & ~a->given);
    return TT_OK;
}

static tt_status compare(plan_job *j) {
    tti_cost c;
    tti_dials d = j->d;
    d.recompute = TTI_RECOMPUTE_NONE;
    d.recompute_keys = false;
    TT_TRY(plan_cost(j, &d, false, &c));
    j->no_recompute_flops = c.flops;
    d.keep = 1;
    TT_TRY(plan_cost(j, &d, false, &c));
    j->plain_flops = c.flops;
    return TT_OK;
}

tt_status plan_find(plan_job *j, bool *fits) {
    TT_TRY(open_device(j));
    TT_TRY(describe_budget(j));
    TT_TRY(tti_budget_find(&j->budget, &j->d, &j->cost, fits));
    TT_TRY(compare(j));
    TT_TRY(load(j, &j->d)); /* whose largest layer is measured */
    if (j->a->gflops > 0)
        j->rate = j->a->gflops * 1e9;
    else if (j->dev)
        TT_TRY(tti_budget_rate(&j->rate, j->dev, j->gemm, j->model, j->d.batch * j->d.seq));
    return TT_OK;
}

void plan_free(plan_job *j) {
    tti_model_free(j->model);
    tti_gemm_free(j->gemm);
    tti_device_close(j->dev);
}
