// SPDX-License-Identifier: Apache-2.0
#include "host/generate/generate.h"
#include "host/core/file.h"
#include "host/format/json.h"

#include <string.h>

const char *tti_end_name(tti_end e) {
    static const char *const names[] = {"length", "end", "stop", "interrupted"};
    return names[e];
}

void tti_completion_free(tti_completion *c) {
    tti_free(c->ids);
    tti_str_free(&c->text);
    *c = (tti_completion){0};
}

/* A prompt in work, in a slot. */
typedef struct {
    bool busy;
    size_t prompt;
    int32_t *seen; /* prompt and completion, for the repetition penalty */
    size_t nseen, cap;
    tti_text_stream stream;
    tti_str held;
} work;

typedef struct {
    tti_engine *engine;
    const tti_tokenizer *t;
    const tti_generate_opts *o;
    const tti_prompt *prompts;
    size_t n, next;
    tti_completion *out;
    tti_sampler *sampler;
    work *slot;
    size_t slots;
    tti_piece *pieces;
    float *logits;
    tti_str fresh, shown; /* text of the token in hand; what of it may be shown */
} run;

static tt_status check(const run *r) {
    const size_t room = tti_engine_get_opts(r->engine).capacity + 1;
    for (size_t i = 0; i < r->n; i++) {
        const tti_prompt *p = &r->prompts[i];
        if (p->n < 1) return tti_fail(TT_E_DATA, "prompt %zu: no tokens", i + 1);
        if (p->max_new < 1 || p->n >= room || p->max_new > room - p->n)
            return tti_fail(TT_E_DATA,
                            "prompt %zu: %zu tokens and %zu new ones do not fit the context of "
                            "%zu",
                            i + 1, p->n, p->max_new, room - 1);
        if (p->kept && (r->n > 1 || p->kept >= p->n || p->kept > tti_engine_kept(r->engine, 0)))
            return tti_fail(TT_E_ARG, "prompt %zu: %zu of %zu tokens kept", i + 1, p->kept, p->n);
    }
    return TT_OK;
}

static tt_status open_run(run *r) {
    r->slots = tti_engine_get_opts(r->engine).slots;
    TT_TRY(tti_sampler_new(&r->sampler, &r->o->sampling, tti_engine_vocab(r->engine)));
    r->slot = tti_calloc(r->slots, sizeof *r->slot);
    r->pieces = tti_calloc(r->slots, sizeof *r->pieces);
    size_t floats;
    if (!tti_mul(r->slots, tti_engine_vocab(r->engine), &floats) ||
        !tti_mul(floats, sizeof *r->logits, &floats))
        return tti_fail(TT_E_NOMEM, "logits of %zu sequences", r->slots);
    r->logits = tti_malloc(floats);
    if (!r->slot || !r->pieces || !r->logits) return TT_E_NOMEM;
    for (size_t i = 0; i < r->slots; i++) r->slot[i].stream.t = r->t;
    return TT_OK;
}

static void close_run(run *r) {
    for (size_t i = 0; r->slot && i < r->slots; i++) {
        tti_free(r->slot[i].seen);
        tti_text_stream_free(&r->slot[i].stream);
        tti_str_free(&r->slot[i].held);
    }
    tti_sampler_free(r->sampler);
    tti_free(r->slot);
    tti_free(r->pieces);
    tti_free(r->logits);
    tti_str_free(&r->fresh);
    tti_str_free(&r->shown);
}

/* ---- text ---- */

static tt_status show(run *r, work *w, bool done) {
    TT_TRY(r->shown.status);
    tti_completion *c = &r->out[w->prompt];
    if (r->shown.len) tti_str_add(&c->text, r->shown.p, r->shown.len);
    TT_TRY(c->text.status);
    if (!r->o->on_text || (!r->shown.len && !done)) return TT_OK;
    return r->o->on_text(r->o->ctx, w->prompt, r->shown.p ? r->shown.p : "", r->shown.len, done);
}

/* The text in r->fresh goes on; *stopped: it holds a stop string. */
static tt_status pass_on(run *r, work *w, bool *stopped) {
    TT_TRY(r->fresh.status);
    tti_completion *c = &r->out[w->prompt];
    r->shown.len = 0;
    c->stop = tti_stop_push(r->o->stops, r->o->nstops, &w->held, r->fresh.p ? r->fresh.p : "",
                            r->fresh.len, &r->shown);
    *stopped = c->stop >= 0;
    return w->held.status;
}

/* Gives the slot back; what was held comes out, unless a stop string ended it. */
static tt_status end(run *r, work *w, tti_end how) {
    tti_completion *c = &r->out[w->prompt];
    bool stopped = how == TTI_END_STOP;
    if (!stopped) {
        r->fresh.len = 0;
        if (r->t) TT_TRY(tti_text_stream_finish(&w->stream, &r->fresh));
        TT_TRY(pass_on(r, w, &stopped));
        if (!stopped && w->held.len) tti_str_add(&r->shown, w->held.p, w->held.len);
    }
    c->end = stopped ? TTI_END_STOP : how;
    w->busy = false;
    return show(r, w, true);
}

/* ---- tokens ---- */

static bool ends(const run *r, int32_t id) {
    for (size_t i = 0; i < r->o->nend_ids; i++)
        if (r->o->end_ids[i] == id) return true;
    return false;
}

/* Chooses the next token of a slot. */
static tt_status accept(run *r, work *w, float *logits) {
    const tti_prompt *p = &r->prompts[w->prompt];
    tti_completion *c = &r->out[w->prompt];
    int32_t id;
    bool stopped;
    TT_TRY(tti_sampler_next(r->sampler, logits, w->seen, w->nseen,
                            r->o->first + (uint32_t)w->prompt, (uint32_t)c->n, &id));
    TT_TRY(TTI_GROW(c->ids, c->cap, c->n + 1));
    TT_TRY(TTI_GROW(w->seen, w->cap, w->nseen + 1));
    c->ids[c->n++] = w->seen[w->nseen++] = id;
    if (ends(r, id)) return end(r, w, TTI_END_TOKEN);
    r->fresh.len = 0;
    if (r->t) TT_TRY(tti_text_stream_push(&w->stream, id, &r->fresh));
    TT_TRY(pass_on(r, w, &stopped));
    if (stopped) return end(r, w, TTI_END_STOP);
    TT_TRY(show(r, w, false));
    return c->n == p->max_new ? end(r, w, TTI_END_LENGTH) : TT_OK;
}

static tt_status begin(run *r, size_t slot) {
    work *w = &r->slot[slot];
    const tti_prompt *p = &r->prompts[r->next];
    tti_completion *c = &r->out[r->next];
    w->prompt = r->next++;
    w->busy = true;
    w->held.len = 0;
    c->n = c->text.len = 0;
    c->stop = -1;
    TT_TRY(TTI_GROW(w->seen, w->cap, p->n + p->max_new));
    memcpy(w->seen, p->ids, p->n * sizeof *p->ids);
    w->nseen = p->n;
    tti_engine_forget(r->engine, slot, p->kept);
    return r->t ? tti_text_stream_start(&w->stream, p->ids, p->n) : TT_OK;
}

static tt_status run_pieces(run *r, size_t n) {
    const size_t vocab = tti_engine_vocab(r->engine);
    TT_TRY(tti_engine_run(r->engine, r->pieces, n, r->logits));
    for (size_t i = 0; i < n; i++)
        TT_TRY(accept(r, &r->slot[r->pieces[i].slot], r->logits + i * vocab));
    return TT_OK;
}

/* Prompts into the slots that are free. */
static tt_status admit(run *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->slots && r->next < r->n; i++) {
        if (r->slot[i].busy) continue;
        const tti_prompt *p = &r->prompts[r->next];
        TT_TRY(begin(r, i));
        r->pieces[n++] = (tti_piece){i, p->ids + p->kept, p->n - p->kept};
    }
    return n ? run_pieces(r, n) : TT_OK;
}

/* One further token of every text in work; *any: there was one. */
static tt_status step(run *r, bool *any) {
    size_t n = 0;
    for (size_t i = 0; i < r->slots; i++) {
        work *w = &r->slot[i];
        if (w->busy) r->pieces[n++] = (tti_piece){i, &w->seen[w->nseen - 1], 1};
    }
    *any = n > 0;
    return n ? run_pieces(r, n) : TT_OK;
}

static tt_status interrupted(run *r) {
    for (size_t i = 0; i < r->slots; i++)
        if (r->slot[i].busy) TT_TRY(end(r, &r->slot[i], TTI_END_ASKED));
    for (; r->next < r->n; r->next++) {
        r->out[r->next].end = TTI_END_ASKED;
        r->out[r->next].stop = -1;
    }
    return TT_OK;
}

tt_status tti_generate(tti_engine *e, const tti_tokenizer *t, const tti_generate_opts *o,
                       const tti_prompt *prompts, size_t n, tti_completion *out) {
    run r = {.engine = e, .t = t, .o = o, .prompts = prompts, .n = n, .out = out};
    tt_status s;
    bool any = false;
    TT_GO(check(&r));
    TT_GO(open_run(&r));
    do {
        if (o->interrupt && *o->interrupt) {
            TT_GO(interrupted(&r));
            break;
        }
        TT_GO(admit(&r));
        TT_GO(step(&r, &any));
    } while (any || r.next < n);
done:
    close_run(&r);
    return s;
}

/* ---- end tokens ---- */

static tt_status one_id(int32_t *out, const cJSON *v, const char *file) {
    char found[64];
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > INT32_MAX ||
        v->valuedouble != (double)(int32_t)v->valuedouble)
        return tti_fail(TT_E_FORMAT, "%s: eos_token_id: expected token ids, found %s", file,
                        tti_json_describe(v, found));
    *out = (int32_t)v->valuedouble;
    return TT_OK;
}

static tt_status read_ids(int32_t **ids, size_t *n, const cJSON *v, const char *file) {
    const bool list = cJSON_IsArray(v);
    tti_free(*ids);
    const int count = list ? cJSON_GetArraySize(v) : 1;
    if (!(*ids = tti_calloc((size_t)count + 1, sizeof **ids))) return TT_E_NOMEM;
    for (int i = 0; i < count; i++)
        TT_TRY(one_id(*ids + i, list ? cJSON_GetArrayItem(v, i) : v, file));
    *n = (size_t)count;
    return TT_OK;
}

tt_status tti_end_ids_read(int32_t **ids, size_t *n, const char *dir) {
    static const char *const files[] = {"generation_config.json", "config.json"};
    *ids = NULL;
    *n = 0;
    for (size_t i = 0; i < TT_COUNT(files) && *n == 0; i++) {
        char *path = tti_path_join(dir, files[i]);
        cJSON *root = NULL;
        if (!path) return TT_E_NOMEM;
        tt_status s = TT_OK;
        if (tti_file_exists(path)) s = tti_json_file(&root, path, TTI_JSON_MAX);
        const cJSON *v = root ? tti_json_get(root, "eos_token_id") : NULL;
        if (s == TT_OK && v) s = read_ids(ids, n, v, path);
        tti_json_free(root);
        tti_free(path);
        if (s != TT_OK) {
            tti_free(*ids);
            *ids = NULL;
            *n = 0;
            return s;
        }
    }
    return TT_OK;
}
