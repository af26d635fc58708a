// SPDX-License-Identifier: Apache-2.0
/* optimizer_step.c - the steps of any kind: begin, the norm of the gradients, update, and the loss
 * scale; kernels cl/optimizer_norm.cl. */
#include "host/train/optimizer_internal.h"

#include <math.h>

enum { GOOD_STEPS = 2000 }; /* until the loss scale is doubled */
static const float largest_scale = 0x1p24f;

/* ---- loss scale ---- */

/* Takes the verdict of the last update into account, once. */
static tt_status judge(tti_optimizer *o) {
    if (!o->o.scaled || o->judged == o->updated) return TT_OK;
    float made;
    TT_TRY(tti_mem_read(o->d, o->state, 2 * sizeof made, &made, sizeof made));
    tti_optimizer_scaling *s = &o->scaling;
    if (made == 0.0f) {
        s->overflows++;
        s->good = 0;
        s->scale = TT_MAX(s->scale / 2, 1.0f);
    } else if (++s->good == GOOD_STEPS) {
        s->good = 0;
        s->scale = TT_MIN(s->scale * 2, largest_scale);
    }
    o->judged = o->updated;
    return TT_OK;
}

float tti_optimizer_loss_scale(const tti_optimizer *o) { return o->scaling.scale; }
uint32_t tti_optimizer_overflows(const tti_optimizer *o) { return o->scaling.overflows; }

tt_status tti_optimizer_get_scaling(tti_optimizer *o, tti_optimizer_scaling *out) {
    TT_TRY(judge(o));
    *out = o->scaling;
    return TT_OK;
}

tt_status tti_optimizer_set_scaling(tti_optimizer *o, const tti_optimizer_scaling *s) {
    int exponent;
    const bool power =
        s->scale >= 1 && s->scale <= largest_scale && frexpf(s->scale, &exponent) == 0.5f;
    if (!power || s->good >= GOOD_STEPS || (!o->o.scaled && s->scale > 1))
        return tti_fail(TT_E_ARG, "loss scale: %g after %u finite steps is no state of this run",
                        (double)s->scale, s->good);
    o->scaling = *s;
    return TT_OK;
}

/* ---- a step ---- */

tt_status tti_optimizer_flush(tti_optimizer *o) {
    if (o->flushed == o->updated) return TT_OK;
    for (size_t i = 0; i < o->nsparse; i++)
        TT_TRY(o->kind->catch_up(o, i, false, o->sparse[i].rows, o->updated));
    o->flushed = o->updated;
    return TT_OK;
}

tt_status tti_optimizer_begin(tti_optimizer *o, uint32_t step, float lr, const int32_t *ids,
                              size_t n) {
    if (step != o->updated + 1 || step > INT32_MAX)
        return tti_fail(TT_E_INTERNAL, "optimizer: step %u begun after step %u", step, o->updated);
    if (!isfinite(lr) || lr < 0)
        return tti_fail(TT_E_NUMERIC, "learning rate: %g at step %u", (double)lr, step);
    if (o->nsparse && n > TT_MAX(o->o.max_ids, 1))
        return tti_fail(TT_E_SHAPE, "optimizer: %zu rows in a step, planned for %zu", n,
                        o->o.max_ids);
    TT_TRY(judge(o));
    /* The oldest step that a row may still need must not be overwritten. */
    if (step - o->flushed >= TTI_OPT_STEPS) TT_TRY(tti_optimizer_flush(o));
    float s[4] = {(float)(1.0 - (double)lr * o->weight_decay), 0.0f, 0.0f, 1.0f};
    o->kind->coefficients(o, step, (double)lr, s);
    TT_TRY(tti_mem_write(o->d, o->ring, step % TTI_OPT_STEPS * sizeof s, s, sizeof s));
    o->begun = step;
    if (!o->nsparse || !n) return TT_OK;
    TT_TRY(tti_mem_write(o->d, o->ids, 0, ids, n * sizeof *ids));
    for (size_t i = 0; i < o->nsparse; i++) TT_TRY(o->kind->catch_up(o, i, true, n, step - 1));
    return TT_OK;
}

static tt_status sum_of_squares(tti_optimizer *o, cl_mem g, tti_dtype type, size_t count,
                                size_t *parts) {
    tti_launch k = tti_opt_kernel(o, "optimizer_norm", "opt_sumsq", TTI_F32, type, "");
    tti_arg_mem(&k, o->sums);
    tti_arg_mem(&k, g);
    tti_arg_u32(&k, (uint32_t)count);
    tti_arg_u32(&k, (uint32_t)*parts);
    *parts += tti_opt_chunks(count);
    return tti_run_groups(&k, tti_opt_chunks(count));
}

static tt_status find_norm(tti_optimizer *o, size_t slots, cl_mem loss) {
    size_t parts = 0;
    for (size_t i = 0; i < o->narenas; i++) {
        const tti_optimizer_arena *a = &o->arenas[i];
        TT_TRY(sum_of_squares(o, a->g, a->gtype, a->count, &parts));
    }
    for (size_t i = 0; i < o->nsparse; i++)
        TT_TRY(sum_of_squares(o, o->sparse[i].g, TTI_F32, slots * o->sparse[i].cols, &parts));
    TT_ASSERT(parts <= o->sums_n);
    tti_launch k = tti_opt_kernel(o, "optimizer_norm", "opt_norm", TTI_F32, TTI_F32, "");
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_mem(&k, o->sums);
    tti_arg_i32(&k, (int)parts);
    tti_arg_u32(&k, o->begun);
    tti_arg_f32(&k, o->o.max_grad_norm);
    tti_arg_f32(&k, 1.0f / o->scaling.scale);
    tti_arg_mem(&k, loss ? loss : o->state);
    tti_arg_i32(&k, loss != NULL);
    return tti_run_groups(&k, 1);
}

tt_status tti_optimizer_update(tti_optimizer *o, const int32_t *slot_ids, size_t slots,
                               cl_mem loss) {
    if (o->begun != o->updated + 1)
        return tti_fail(TT_E_INTERNAL, "optimizer: an update without a begin after step %u",
                        o->updated);
    for (size_t i = 0; i < o->nsparse; i++)
        if (slots > o->sparse[i].slots)
            return tti_fail(TT_E_SHAPE, "optimizer: %zu rows with gradient, planned for %zu", slots,
                            o->sparse[i].slots);
    if (o->nsparse && slots)
        TT_TRY(tti_mem_write(o->d, o->slot_ids, 0, slot_ids, slots * sizeof *slot_ids));
    TT_TRY(find_norm(o, slots, loss));
    for (size_t i = 0; i < o->narenas; i++) TT_TRY(o->kind->update_arena(o, i));
    for (size_t i = 0; i < o->nsparse; i++) TT_TRY(o->kind->update_rows(o, i, slots));
    o->updated = o->begun;
    return TT_OK;
}

/* ---- what came of it ---- */

tt_status tti_optimizer_stats(tti_optimizer *o, float *norm, bool *finite) {
    float state[4];
    TT_TRY(tti_mem_read(o->d, o->state, 0, state, sizeof state));
    *norm = state[1];
    *finite = state[3] != 0.0f;
    return TT_OK;
}

tt_status tti_optimizer_skipped(tti_optimizer *o, uint32_t from, uint32_t to, uint32_t *step) {
    float(*ring)[4] = tti_malloc(TTI_OPT_STEPS * sizeof *ring);
    if (!ring) return TT_E_NOMEM;
    tt_status s = tti_mem_read(o->d, o->ring, 0, ring, TTI_OPT_STEPS * sizeof *ring);
    if (to - from >= TTI_OPT_STEPS) from = to - TTI_OPT_STEPS + 1;
    *step = 0;
    for (uint32_t i = from; i <= to && *step == 0; i++)
        if (ring[i % TTI_OPT_STEPS][3] == 0.0f) *step = i;
    tti_free(ring);
    return s;
}
