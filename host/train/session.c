// SPDX-License-Identifier: Apache-2.0
#include "host/train/session.h"

#include <math.h>
#include <string.h>

struct tti_session {
    tti_device *dev; /* NULL while only planning */
    tti_gemm *gemm;
    tti_model *model;
    tti_session_opts opts;
    tti_graph *graph;
    tti_forward_out out;
    tti_val *keys; /* of a first pass: two a layer */
    tti_plan *plan;
    tti_exec *exec;
    tti_optimizer *optimizer;
    tti_optimizer_opts optimizer_opts;
    tti_optimizer_arena *arenas;
    tti_optimizer_sparse sparse[1];
    size_t nsparse;
    cl_mem loss;
    tti_bytes planned, allocated;
    float scale; /* that of the loss's gradient, for f16 */
    double flops;
    const int32_t *slot_ids; /* of the step in hand; borrowed between begin and update */
    size_t slots;
};

tti_session_opts tti_session_defaults(void) {
    tti_optimizer_opts o = tti_optimizer_defaults();
    return (tti_session_opts){.beta1 = o.beta1,
                              .beta2 = o.beta2,
                              .eps = o.eps,
                              .weight_decay = o.weight_decay,
                              .max_grad_norm = o.max_grad_norm};
}

static tt_status build_graph(tti_session *s) {
    const tti_session_opts *o = &s->opts;
    if (!(s->graph = tti_graph_new())) return TT_E_NOMEM;
    const size_t layers = (size_t)tti_model_get_info(s->model)->layers;
    if (o->keep_keys && !(s->keys = tti_calloc(2 * layers, sizeof *s->keys))) return TT_E_NOMEM;
    const tti_forward_opts f = {.training = o->dropout,
                                .gradient = o->training,
                                .recompute = o->recompute,
                                .recompute_keys = o->recompute_keys,
                                .rest = o->max.n[TTI_ROWS_REST] > 0,
                                .loss = o->training || o->loss,
                                .keys = s->keys,
                                .kept_rows = o->kept_rows,
                                .logits = o->logits};
    TT_TRY(tti_model_forward(s->model, s->graph, &f, &s->out));
    if (o->training) TT_TRY(tti_graph_backward(s->graph));
    TT_TRY(tti_graph_finish(s->graph));
    return o->training ? tti_graph_store(s->graph, &o->store) : TT_OK;
}

static tt_status describe_arenas(tti_session *s) {
    for (size_t i = 0; i < tti_model_narenas(s->model); i++) {
        const tti_arena *a = tti_model_arena(s->model, i);
        tti_optimizer_arena *to = &s->arenas[i];
        const tti_matrix *had = to->matrices;
        const size_t nhad = to->nmatrices;
        *to = (tti_optimizer_arena){.p = a->p,
                                    .g = a->g,
                                    .type = a->type,
                                    .gtype = a->gtype,
                                    .count = a->count,
                                    .decay_count = a->decay_count,
                                    .matrices = had,
                                    .nmatrices = nhad};
        if (had || s->opts.optimizer != TTI_OPT_ADAFACTOR) continue;
        tti_matrix *m;
        TT_TRY(tti_model_arena_matrices(s->model, i, &m, &to->nmatrices));
        to->matrices = m;
    }
    return TT_OK;
}

static tt_status describe_optimizer(tti_session *s) {
    const tti_session_opts *o = &s->opts;
    s->optimizer_opts =
        (tti_optimizer_opts){.beta1 = o->beta1,
                             .beta2 = o->beta2,
                             .eps = o->eps,
                             .weight_decay = o->weight_decay,
                             .max_grad_norm = o->max_grad_norm,
                             .kind = o->optimizer,
                             .seed = o->seed,
                             .scaled = tti_model_get_opts(s->model)->gradients == TTI_F16};
    TT_TRY(describe_arenas(s));
    s->nsparse = 0;
    for (size_t i = 0; i < tti_model_nparams(s->model); i++) {
        const tti_param *p = tti_model_param(s->model, i);
        if (!p->sparse) continue;
        TT_ASSERT(s->nsparse < TT_COUNT(s->sparse));
        s->sparse[s->nsparse++] = (tti_optimizer_sparse){
            p->p, p->g, p->rows, p->cols, TT_MAX(o->max.n[TTI_ROWS_STEP_UNIQ], 1), p->decay};
        s->optimizer_opts.max_ids = p->rows;
    }
    return TT_OK;
}

static size_t loss_bytes(const tti_caps *caps) { return caps->align; }

/* The byte table, before anything is allocated. */
static tt_status make_plan(tti_session *s, const tti_caps *caps) {
    TT_TRY(build_graph(s));
    TT_TRY(tti_plan_new(&s->plan, s->graph, &s->opts.max, caps->align, caps->max_alloc));
    const tti_plan_bytes b = tti_plan_get_bytes(s->plan);
    tti_bytes *p = &s->planned;
    p->weights = tti_model_weight_bytes(s->model);
    p->kept = b.kept;
    p->transient = b.transient;
    p->inputs = b.inputs;
    TT_TRY(tti_plan_workspace(&p->workspace, s->plan, caps, s->gemm));
    for (size_t i = 0; i < tti_graph_nodes(s->graph); i++) {
        const tti_node *n = tti_node_at(s->graph, i);
        if (n->op->flops) s->flops += n->op->flops(s->graph, n, &s->opts.max);
    }
    if (s->out.loss != TTI_NONE) p->gradients += loss_bytes(caps);
    if (s->opts.training) {
        s->arenas = tti_calloc(tti_model_narenas(s->model) + 1, sizeof *s->arenas);
        if (!s->arenas) return TT_E_NOMEM;
        p->gradients += tti_model_gradient_bytes(s->model, s->opts.max.n[TTI_ROWS_STEP_UNIQ]);
        TT_TRY(describe_optimizer(s));
        p->optimizer = tti_optimizer_bytes(&s->optimizer_opts, s->arenas,
                                           tti_model_narenas(s->model), s->sparse, s->nsparse);
    }
    p->total = p->weights + p->gradients + p->optimizer + p->kept + p->transient + p->inputs +
               p->workspace;
    return TT_OK;
}

/* others: bytes in use that are not the session's. */
static tt_status refuse(const tti_bytes *b, size_t others, bool training, const tti_caps *caps) {
    const double mib = 1.0 / (1 << 20);
    return tti_fail(
        TT_E_MEMORY,
        "the run needs %.1f MiB (weights %.1f, gradients %.1f, optimizer %.1f, kept activations "
        "%.1f, transients %.1f, inputs %.1f, workspace %.1f) beside %.1f MiB in use, the device "
        "has %.1f MiB; %s",
        (double)b->total * mib, (double)b->weights * mib, (double)b->gradients * mib,
        (double)b->optimizer * mib, (double)b->kept * mib, (double)b->transient * mib,
        (double)b->inputs * mib, (double)b->workspace * mib, (double)others * mib,
        (double)caps->memory * mib,
        training ? "a smaller select.keep, train.batch or data.max_len, or method.name=lora, needs "
                   "less"
                 : "a smaller batch or length needs less");
}

tt_status tti_bytes_fit(const tti_bytes *b, const tti_caps *caps) {
    return b->total > caps->memory ? refuse(b, 0, true, caps) : TT_OK;
}

static tt_status bind(tti_session *s) {
    TT_TRY(tti_model_bind(s->model, s->graph, s->exec));
    if (s->out.loss != TTI_NONE) tti_exec_bind(s->exec, s->out.loss, s->loss);
    return TT_OK;
}

static void ledger(const tti_session *s, size_t out[TTI_MEM_CATEGORIES]) {
    for (int c = 0; c < TTI_MEM_CATEGORIES; c++)
        out[c] = tti_mem_allocated(s->dev, (tti_mem_category)c);
}

static void count_allocated(tti_session *s, const size_t before[TTI_MEM_CATEGORIES]) {
    size_t now[TTI_MEM_CATEGORIES];
    ledger(s, now);
    tti_bytes *a = &s->allocated;
    a->weights = now[TTI_MEM_WEIGHTS];
    a->gradients = now[TTI_MEM_GRADIENTS] - before[TTI_MEM_GRADIENTS];
    a->optimizer = now[TTI_MEM_OPTIMIZER] - before[TTI_MEM_OPTIMIZER];
    a->kept = tti_exec_bytes(s->exec).kept;
    a->transient = now[TTI_MEM_ACTIVATIONS] - before[TTI_MEM_ACTIVATIONS] - a->kept;
    a->inputs = now[TTI_MEM_INPUTS] - before[TTI_MEM_INPUTS];
    a->workspace = now[TTI_MEM_WORKSPACE] - before[TTI_MEM_WORKSPACE];
    a->total = a->weights + a->gradients + a->optimizer + a->kept + a->transient + a->inputs +
               a->workspace;
}

static tt_status allocate(tti_session *s) {
    const tti_caps *caps = tti_device_caps(s->dev);
    size_t before[TTI_MEM_CATEGORIES], held = 0;
    ledger(s, before);
    for (int c = 0; c < TTI_MEM_CATEGORIES; c++) held += before[c];
    if (s->planned.total - s->planned.weights > caps->memory - TT_MIN(held, caps->memory))
        return refuse(&s->planned, held - TT_MIN(held, s->planned.weights), s->opts.training, caps);
    if (s->out.loss != TTI_NONE)
        TT_TRY(tti_mem_new(&s->loss, s->dev, loss_bytes(caps), TTI_MEM_GRADIENTS, true));
    if (s->opts.training) {
        TT_TRY(tti_model_alloc_gradients(s->model, s->opts.max.n[TTI_ROWS_STEP_UNIQ]));
        TT_TRY(describe_optimizer(s)); /* again, now that the gradients' buffers exist */
        TT_TRY(tti_optimizer_new(&s->optimizer, s->dev, &s->optimizer_opts, s->arenas,
                                 tti_model_narenas(s->model), s->sparse, s->nsparse));
    }
    TT_TRY(tti_exec_new(&s->exec, s->dev, s->gemm, s->graph, s->plan));
    s->exec->seed = s->opts.seed;
    s->exec->training = s->opts.dropout;
    TT_TRY(bind(s));
    count_allocated(s, before);
    return TT_OK;
}

tt_status tti_session_new(tti_session **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                          const tti_session_opts *o) {
    tti_session *s = tti_calloc(1, sizeof *s);
    if (!s) return TT_E_NOMEM;
    s->dev = d;
    s->gemm = gemm;
    s->model = model;
    s->opts = *o;
    s->scale = 1.0f;
    tt_status st = make_plan(s, tti_device_caps(d));
    if (st == TT_OK) st = allocate(s);
    if (st == TT_OK)
        *out = s;
    else
        tti_session_free(s);
    return st;
}

void tti_session_free(tti_session *s) {
    if (!s) return;
    if (s->dev) tti_device_finish(s->dev); /* what is enqueued still uses the buffers */
    tti_exec_free(s->exec);
    tti_optimizer_free(s->optimizer);
    if (s->dev && s->opts.training) tti_model_free_gradients(s->model);
    if (s->dev) tti_mem_free(s->dev, s->loss);
    tti_plan_free(s->plan);
    tti_graph_free(s->graph);
    for (size_t i = 0; s->arenas && i < tti_model_narenas(s->model); i++)
        tti_free((tti_matrix *)(uintptr_t)s->arenas[i].matrices);
    tti_free(s->arenas);
    tti_free(s->keys);
    tti_free(s);
}

tt_status tti_session_plan_work(tti_bytes *out, double *flops, const tti_caps *caps, tti_gemm *gemm,
                                tti_model *model, const tti_session_opts *o) {
    tti_session *s = tti_calloc(1, sizeof *s);
    if (!s) return TT_E_NOMEM;
    s->gemm = gemm;
    s->model = model;
    s->opts = *o;
    tt_status st = make_plan(s, caps);
    if (st == TT_OK) *out = s->planned;
    if (st == TT_OK && flops) *flops = s->flops;
    tti_session_free(s);
    return st;
}

tt_status tti_session_plan(tti_bytes *out, const tti_caps *caps, tti_gemm *gemm, tti_model *model,
                           const tti_session_opts *o) {
    return tti_session_plan_work(out, NULL, caps, gemm, model, o);
}

tti_bytes tti_session_planned(const tti_session *s) { return s->planned; }
tti_bytes tti_session_allocated(const tti_session *s) { return s->allocated; }
tti_optimizer *tti_session_optimizer(tti_session *s) { return s->optimizer; }
tti_exec *tti_session_exec(tti_session *s) { return s->exec; }

void tti_session_keys(tti_session *s, const tti_session *first) {
    const int n = 2 * tti_model_get_info(s->model)->layers;
    for (int i = 0; s->out.kept != TTI_NONE && i < n; i++)
        tti_exec_bind(s->exec, s->out.kept + i, first->exec->mem[first->keys[i]]);
}

void tti_session_slots(tti_session *s, const int32_t *slot_ids, size_t slots) {
    s->slot_ids = slot_ids;
    s->slots = s->nsparse ? slots : 0;
}

tt_status tti_session_begin(tti_session *s, uint32_t step, float lr, const int32_t *ids, size_t n,
                            const int32_t *slot_ids, size_t slots) {
    s->exec->step = step;
    tti_session_slots(s, slot_ids, slots);
    TT_TRY(tti_optimizer_begin(s->optimizer, step, lr, ids, s->nsparse ? n : 0));
    s->scale = tti_optimizer_loss_scale(s->optimizer);
    return TT_OK;
}

tt_status tti_session_batch(tti_session *s, const tti_feed *feed, unsigned micro,
                            float loss_scale) {
    s->exec->micro = micro;
    s->exec->loss_scale = loss_scale * s->scale;
    return tti_exec_run(s->exec, feed);
}

tt_status tti_session_update(tti_session *s) {
    TT_TRY(tti_optimizer_update(s->optimizer, s->slot_ids, s->slots, s->loss));
    return tti_device_flush(s->dev);
}

tt_status tti_session_loss(tti_session *s, float *loss) {
    TT_TRY(tti_exec_read(s->exec, s->out.loss, loss, 1));
    *loss /= s->scale; /* a power of two: exact */
    return TT_OK;
}

tt_status tti_session_logits(tti_session *s, float *dst, size_t count) {
    return tti_exec_read(s->exec, s->out.logits, dst, count);
}

tt_status tti_session_row_losses(tti_session *s, float *dst, size_t count) {
    return count > 0 ? tti_exec_read(s->exec, s->out.row_loss, dst, count) : TT_OK;
}

tt_status tti_session_result(tti_session *s, float *loss, float *norm, bool *finite) {
    TT_TRY(tti_session_loss(s, loss));
    TT_TRY(tti_optimizer_stats(s->optimizer, norm, finite));
    *finite = *finite && isfinite(*loss);
    return TT_OK;
}

tt_status tti_session_infer(tti_session *s, const tti_feed *feed, float *logits, float *loss) {
    TT_TRY(tti_session_batch(s, feed, 0, 1.0f / (float)TT_MAX(feed->rows.n[TTI_ROWS_SEQ], 1)));
    const size_t labels = (size_t)tti_model_get_info(s->model)->num_labels;
    TT_TRY(tti_session_logits(s, logits, feed->rows.n[TTI_ROWS_SEQ] * labels));
    return loss ? tti_session_loss(s, loss) : TT_OK;
}

tt_status tti_session_flush(tti_session *s) {
    return s->optimizer ? tti_optimizer_flush(s->optimizer) : TT_OK;
}
