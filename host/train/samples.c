// SPDX-License-Identifier: Apache-2.0
/* samples.c - encodes a data set with a tokenizer. */
#include <string.h>
#include "host/core/philox.h"
#include "host/train/digest.h"
#include "host/train/samples.h"

void tti_samples_free(tti_samples *s) {
    tti_free(s->start);
    tti_free(s->ids);
    tti_free(s->types);
    tti_free(s->label);
    tti_free(s->target);
    tti_free(s->next);
    tti_free(s->prompt);
    *s = (tti_samples){0};
}

typedef struct {
    size_t ids, types;
} capacity;

static tt_status check_id(int32_t id, int vocab, const char *file, size_t line) {
    if (id >= 0 && id < vocab) return TT_OK;
    return tti_fail(TT_E_DATA,
                    "%s:%zu: the tokenizer gives token id %d, the model has %d; the tokenizer "
                    "files belong to another model",
                    file, line, (int)id, vocab);
}

static tt_status add(tti_samples *s, capacity *cap, size_t i, const tti_sample *q,
                     const tti_encoding *e, int vocab) {
    size_t at = s->start[i];
    if (e->n == 0) return tti_fail(TT_E_DATA, "%s:%zu: the text gives no token", q->file, q->line);
    for (size_t t = 0; t < e->n; t++) TT_TRY(check_id(e->ids[t], vocab, q->file, q->line));
    TT_TRY(TTI_GROW(s->ids, cap->ids, at + e->n));
    TT_TRY(TTI_GROW(s->types, cap->types, at + e->n));
    memcpy(s->ids + at, e->ids, e->n * sizeof *s->ids);
    memcpy(s->types + at, e->type_ids, e->n * sizeof *s->types);
    s->start[i + 1] = at + e->n;
    s->label[i] = TT_MAX(q->label, 0);
    s->target[i] = q->target;
    s->cut += e->cut > 0;
    s->longest = TT_MAX(s->longest, e->n);
    return TT_OK;
}

tt_status tti_samples_encode(tti_samples *out, const tti_dataset *ds, const tti_tokenizer *t,
                             size_t max_len, int vocab) {
    const tti_encode_opts o = {.max_len = max_len, .add_special = true};
    tti_samples made = {.n = tti_dataset_count(ds)};
    tti_encoding e = {0};
    capacity cap = {0};
    tt_status s = TT_E_NOMEM;
    made.start = tti_calloc(made.n + 1, sizeof *made.start);
    made.label = tti_calloc(made.n, sizeof *made.label);
    made.target = tti_calloc(made.n, sizeof *made.target);
    if (!made.start || !made.label || !made.target) goto done;
    for (size_t i = 0; i < made.n; i++) {
        tti_sample q = tti_dataset_at(ds, i);
        s = tti_tokenizer_encode(t, q.text, q.text_len, q.text2, q.text2_len, &o, &e);
        if (s != TT_OK) {
            tti_fail_in(s, "%s:%zu", q.file, q.line);
            goto done;
        }
        TT_GO(add(&made, &cap, i, &q, &e, vocab));
    }
    *out = made;
    s = TT_OK;
done:
    if (s != TT_OK) tti_samples_free(&made);
    tti_encoding_free(&e);
    return s;
}

/* Room for n samples of `tokens` tokens in all; everything 0. */
static tt_status causal_room(tti_samples *s, size_t n, size_t tokens) {
    *s = (tti_samples){.n = n};
    s->start = tti_calloc(n + 1, sizeof *s->start);
    s->prompt = tti_calloc(n, sizeof *s->prompt);
    s->ids = tti_calloc(tokens, sizeof *s->ids);
    s->next = tti_calloc(tokens, sizeof *s->next);
    return s->start && s->prompt && s->ids && s->next ? TT_OK : TT_E_NOMEM;
}

static void put_causal(tti_samples *s, size_t i, const tti_causal_sample *q) {
    const size_t at = s->start[i];
    memcpy(s->ids + at, q->ids, q->n * sizeof *s->ids);
    memcpy(s->next + at, q->labels, q->n * sizeof *s->next);
    s->start[i + 1] = at + q->n;
    s->prompt[i] = q->prompt;
    s->cut += q->cut > 0;
    s->longest = TT_MAX(s->longest, q->n);
}

tt_status tti_samples_causal(tti_samples *out, const tti_causal_dataset *ds, int vocab) {
    const tti_causal_totals sum = tti_causal_sum(ds);
    tti_samples made;
    tt_status s = causal_room(&made, sum.samples, sum.tokens);
    for (size_t i = 0; s == TT_OK && i < made.n; i++) {
        const tti_causal_sample q = tti_causal_at(ds, i);
        for (size_t t = 0; s == TT_OK && t < q.n; t++)
            s = check_id(q.ids[t], vocab, q.file, q.line);
        if (s == TT_OK) put_causal(&made, i, &q);
    }
    if (s == TT_OK)
        *out = made;
    else
        tti_samples_free(&made);
    return s;
}

/* Sample i as it was put in. */
static tti_causal_sample causal_at(const tti_samples *s, size_t i) {
    return (tti_causal_sample){.ids = s->ids + s->start[i],
                               .labels = s->next + s->start[i],
                               .n = tti_samples_length(s, i),
                               .prompt = s->prompt[i]};
}

tt_status tti_samples_hold_back(tti_samples *s, tti_samples *held, size_t count, uint32_t seed) {
    if (count >= s->n)
        return tti_fail(TT_E_DATA,
                        "%zu samples cannot be held back for evaluation: there are %zu, and some "
                        "must be left to train on",
                        count, s->n);
    tti_samples part[2] = {{0}, {0}}; /* what stays, what is held */
    const size_t tokens = s->start[s->n], sizes[] = {s->n - count, count};
    tt_status st = causal_room(&part[0], sizes[0], tokens);
    if (st == TT_OK) st = causal_room(&part[1], sizes[1], tokens);
    size_t used[2] = {0, 0};
    for (size_t i = 0; st == TT_OK && i < s->n; i++) {
        const uint32_t word = tti_philox((uint32_t)i, 1, 0, TTI_STREAM_SHOTS, seed, 0).v[0];
        const int to = tti_below(word, (uint32_t)(s->n - i)) < count - used[1];
        const tti_causal_sample q = causal_at(s, i);
        put_causal(&part[to], used[to]++, &q);
    }
    if (st != TT_OK) {
        tti_samples_free(&part[0]);
        tti_samples_free(&part[1]);
        return st;
    }
    part[0].cut = s->cut;
    tti_samples_free(s);
    *s = part[0];
    *held = part[1];
    return TT_OK;
}

tti_sequence tti_samples_at(const tti_samples *s, size_t i) {
    const size_t at = s->start[i];
    return (tti_sequence){.ids = s->ids + at,
                          .types = s->types ? s->types + at : NULL,
                          .n = tti_samples_length(s, i),
                          .label = s->label ? s->label[i] : 0,
                          .target = s->target ? s->target[i] : 0,
                          .next = s->next ? s->next + at : NULL};
}

uint64_t tti_samples_digest(const tti_samples *s) {
    tti_digest d;
    size_t tokens = s->n > 0 ? s->start[s->n] : 0;
    tti_digest_begin(&d);
    for (size_t i = 0; i < s->n; i++) {
        uint64_t end = s->start[i + 1];
        tti_digest_add(&d, &end, sizeof end);
    }
    tti_digest_add(&d, s->ids, tokens * sizeof *s->ids);
    if (s->types) tti_digest_add(&d, s->types, tokens * sizeof *s->types);
    if (s->label) tti_digest_add(&d, s->label, s->n * sizeof *s->label);
    if (s->target) tti_digest_add(&d, s->target, s->n * sizeof *s->target);
    if (s->next) tti_digest_add(&d, s->next, tokens * sizeof *s->next);
    if (s->prompt) tti_digest_add(&d, s->prompt, s->n * sizeof *s->prompt);
    return tti_digest_end(&d);
}
