// SPDX-License-Identifier: Apache-2.0
/* trainer_budget.c - the settings of a run that trade memory for time: as configured, or found. */
#include "host/train/trainer_internal.h"

#include <string.h>

/* What memory.limit may decide; with what it found written into checkpoints. */
enum { FOUND = TTI_DIAL_RECOMPUTE | TTI_DIAL_KEPT | TTI_DIAL_KEYS | TTI_DIAL_WEIGHTS };

static void take_config(tti_job *r) {
    const tti_config *c = r->c;
    tti_dials *d = &r->dials;
    *d = tti_dials_defaults();
    r->given = TTI_DIAL_GRADIENTS | TTI_DIAL_NESTED;
    d->method = c->method.name;
    d->nested = c->storage.double_quant;
    d->gradients = tti_store_type(c->storage.gradients + TTI_STORE_F32);
    d->optimizer = (tti_optimizer_kind)c->train.optimizer;
    d->stream = c->memory.stream;
    d->keep = c->select.keep;
    d->batch = (size_t)c->train.batch;
    if (c->storage.weights != TTI_STORE_AUTO) {
        d->weights = (int)tti_store_type(c->storage.weights);
        r->given |= TTI_DIAL_WEIGHTS;
    }
    if (c->storage.head != TTI_STORE_AUTO) {
        d->head = (int)tti_store_type(c->storage.head);
        r->given |= TTI_DIAL_HEAD;
    }
    if (c->storage.kept != TTI_STORE_AUTO) {
        d->kept = tti_store_type(c->storage.kept);
        r->given |= TTI_DIAL_KEPT;
    }
    if (c->storage.keys != TTI_STORE_AUTO) {
        d->recompute_keys = c->storage.keys == TTI_STORE_RECOMPUTE;
        if (!d->recompute_keys) d->keys = tti_store_type(c->storage.keys);
        r->given |= TTI_DIAL_KEYS;
    }
    if (c->memory.recompute > 0) {
        d->recompute = (tti_recompute)(c->memory.recompute - 1);
        r->given |= TTI_DIAL_RECOMPUTE;
    }
    tti_dials_settle(d, r->given);
}

/* ---- what was found, in checkpoints ---- */

static const char *const found_key = "found.";

void tti_job_found(tti_str *out, const tti_job *r) {
    if (r->c->memory.limit == 0) return;
    for (unsigned bit = 1; bit <= FOUND; bit <<= 1) {
        if (!(bit & FOUND & ~r->given)) continue;
        tti_str_puts(out, found_key);
        tti_dials_say(out, &r->dials, bit, TTI_SAY_KEYS);
        tti_str_putc(out, '\n');
    }
}

/* The value of a line "found.KEY=VALUE" of text into out; false when there is none. */
static bool find_value(const char *text, const char *key, char out[32]) {
    char head[64];
    snprintf(head, sizeof head, "%s%s=", found_key, key);
    const char *at = strncmp(text, head, strlen(head)) == 0 ? text : NULL;
    for (const char *p = text; !at && (p = strchr(p, '\n')); p++)
        if (strncmp(p + 1, head, strlen(head)) == 0) at = p + 1;
    if (!at) return false;
    at += strlen(head);
    snprintf(out, 32, "%.*s", (int)TT_MIN(strcspn(at, "\n"), (size_t)31), at);
    return true;
}

/* A resumed run computes with the settings that its first process found. */
static tt_status take_found(tti_job *r) {
    const char *text = r->state.config;
    tti_dials *d = &r->dials;
    char v[32];
    tti_dtype t = TTI_F32;
    bool ok = true;
    if (find_value(text, "storage.weights", v)) {
        ok = strcmp(v, "auto") == 0 || tti_dtype_parse(v, &t);
        d->weights = strcmp(v, "auto") == 0 ? TTI_AS_STORED : (int)t;
    }
    if (ok && find_value(text, "storage.kept", v)) ok = tti_dtype_parse(v, &d->kept);
    if (ok && find_value(text, "storage.keys", v)) {
        d->recompute_keys = strcmp(v, "recompute") == 0;
        ok = d->recompute_keys || tti_dtype_parse(v, &d->keys);
    }
    if (ok && find_value(text, "memory.recompute", v)) {
        int i = TTI_RECOMPUTE_BLOCK;
        while (i > 0 && strcmp(v, tti_recompute_name((tti_recompute)i)) != 0) i--;
        d->recompute = (tti_recompute)i;
    }
    return ok ? TT_OK
              : tti_fail(TT_E_FORMAT, "%s/run.json: settings found: no type %s", r->checkpoint, v);
}

tt_status tti_job_dials(tti_job *r) {
    take_config(r);
    TT_TRY(tti_dials_check(&r->dials));
    return r->resumed ? take_found(r) : TT_OK;
}

/* ---- the search ---- */

/* Makes model and steps those of d. */
static tt_status turn(tti_job *r, const tti_dials *d) {
    const tti_dials had = r->dials;
    r->dials = *d;
    const bool method = had.method != d->method;
    if (!r->model || method || had.weights != d->weights || had.head != d->head ||
        had.nested != d->nested || had.gradients != d->gradients || had.stream != d->stream)
        TT_TRY(tti_job_model(r, NULL));
    if (!r->steps || method || had.keep < d->keep || had.keep > d->keep || had.batch != d->batch)
        TT_TRY(tti_job_steps(r));
    return TT_OK;
}

static tt_status cost(void *ctx, const tti_dials *d, bool exact, tti_cost *out) {
    tti_job *r = ctx;
    *out = (tti_cost){.total = SIZE_MAX};
    tt_status s = turn(r, d);
    if (s == TT_OK) s = tti_job_plan(r, exact ? r->gemm : NULL, &out->flops);
    if (s == TT_E_MEMORY) return TT_OK; /* over the largest buffer */
    TT_TRY(s);
    out->bytes = r->last.bytes;
    out->total = out->bytes.total + r->last.scout_bytes + r->last.eval_bytes;
    return TT_OK;
}

static tti_budget describe(tti_job *r) {
    enum { OTHERS = TTI_DIAL_HEAD | TTI_DIAL_GRADIENTS | TTI_DIAL_OPTIMIZER | TTI_DIAL_STREAM };
    const tti_config *c = r->c;
    tti_budget b = {.cost = cost, .ctx = r, .limit = tti_device_caps(r->dev)->memory};
    if (c->memory.limit > 0 && !r->resumed) b.open = FOUND & ~r->given;
    if (c->method.name == TTI_CONFIG_FULL) b.open &= ~(unsigned)TTI_DIAL_WEIGHTS;
    if (r->resumed) return b; /* the run must stay what it is */
    b.advise = TTI_DIAL_KEEP | TTI_DIAL_BATCH | ((FOUND | OTHERS) & ~r->given);
    if (!c->model.random_weights) b.advise |= TTI_DIAL_METHOD;
    return b;
}

/* ---- refusals ---- */

/* Appends what would fit in `limit` bytes. */
static tt_status advise(tti_str *out, tti_job *r, size_t limit) {
    tti_budget b = describe(r);
    const tti_dials d = r->dials;
    b.limit = limit;
    b.open = 0;
    if (r->resumed) return out->status;
    tti_str_puts(out, "; ");
    tt_status s = tti_budget_advice(out, &b, &d, TTI_SAY_KEYS);
    tt_status back = turn(r, &d);
    return s == TT_OK ? back : s;
}

/* "1.2 GiB (weights 1.0 GiB, ..)" */
static size_t say_total(tti_str *out, const tti_event *e) {
    const size_t total = e->bytes.total + e->scout_bytes + e->eval_bytes;
    tti_bytes_say(out, total);
    tti_str_puts(out, " (");
    tti_bytes_table(out, &e->bytes);
    if (e->scout_bytes > 0) tti_str_puts(out, ", first pass "), tti_bytes_say(out, e->scout_bytes);
    if (e->eval_bytes > 0) tti_str_puts(out, ", evaluation "), tti_bytes_say(out, e->eval_bytes);
    tti_str_putc(out, ')');
    return total;
}

static tt_status refuse(tti_job *r, tti_str *text, size_t limit) {
    tti_event had = r->last; /* advice plans other runs */
    tt_status s = advise(text, r, limit);
    had.dials = &r->dials;
    r->last = had;
    if (s == TT_OK) s = text->status;
    if (s == TT_OK) s = tti_fail(TT_E_MEMORY, "%s", text->p);
    tti_str_free(text);
    return s;
}

tt_status tti_job_fits(tti_job *r) {
    const tti_caps *caps = tti_device_caps(r->dev);
    const tti_event *e = &r->last;
    if (e->bytes.total + e->scout_bytes + e->eval_bytes <= caps->memory) return TT_OK;
    tti_str s = {0};
    tti_str_puts(&s, "the run needs ");
    say_total(&s, e);
    const bool limited = r->c->memory.limit > 0 && (size_t)r->c->memory.limit == caps->memory;
    tti_str_puts(&s, limited ? "; memory.limit is " : "; the device has ");
    tti_bytes_say(&s, caps->memory);
    return refuse(r, &s, caps->memory);
}

tt_status tti_job_refused(tti_job *r) {
    tti_str s = {0};
    const size_t given = tti_mem_peak(r->dev); /* what the device did give */
    tti_str_printf(&s, "%s; the run needs ", tt_error());
    say_total(&s, &r->last);
    tti_evaluator_free(r->evaluator);
    tti_session_free(r->scout);
    tti_session_free(r->session);
    r->evaluator = NULL, r->scout = r->session = NULL;
    tti_model_free(r->model);
    r->model = NULL;
    tti_str_puts(&s, ", the device gave ");
    tti_bytes_say(&s, given);
    return refuse(r, &s, given);
}

tt_status tti_job_budget(tti_job *r) {
    const tti_budget b = describe(r);
    tti_cost c;
    bool fits;
    r->dials.seq = r->train.longest;
    tti_dials d = r->dials;
    TT_TRY(tti_budget_find(&b, &d, &c, &fits));
    TT_TRY(cost(r, &d, true, &c));
    r->last.dials = &r->dials;
    r->last.limit = (size_t)r->c->memory.limit;
    if (c.total < SIZE_MAX) return TT_OK;
    tti_str s = {0};
    tti_str_puts(&s, tt_error()); /* names the value that no buffer holds */
    return refuse(r, &s, b.limit);
}
