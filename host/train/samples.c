// SPDX-License-Identifier: Apache-2.0
/* samples.c - encodes a data set with a tokenizer. */
#include <string.h>
#include "host/train/digest.h"
#include "host/train/samples.h"

void tti_samples_free(tti_samples *s) {
    tti_free(s->start);
    tti_free(s->ids);
    tti_free(s->types);
    tti_free(s->label);
    tti_free(s->target);
    *s = (tti_samples){0};
}

typedef struct {
    size_t ids, types;
} capacity;

static tt_status add(tti_samples *s, capacity *cap, size_t i, const tti_sample *q,
                     const tti_encoding *e, int vocab) {
    size_t at = s->start[i];
    if (e->n == 0) return tti_fail(TT_E_DATA, "%s:%zu: the text gives no token", q->file, q->line);
    for (size_t t = 0; t < e->n; t++)
        if (e->ids[t] < 0 || e->ids[t] >= vocab)
            return tti_fail(TT_E_DATA,
                            "%s:%zu: the tokenizer gives token id %d, the model has %d; the "
                            "tokenizer files belong to another model",
                            q->file, q->line, (int)e->ids[t], vocab);
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

tti_sequence tti_samples_at(const tti_samples *s, size_t i) {
    return (tti_sequence){.ids = s->ids + s->start[i],
                          .types = s->types + s->start[i],
                          .n = tti_samples_length(s, i),
                          .label = s->label[i],
                          .target = s->target[i]};
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
    tti_digest_add(&d, s->types, tokens * sizeof *s->types);
    tti_digest_add(&d, s->label, s->n * sizeof *s->label);
    tti_digest_add(&d, s->target, s->n * sizeof *s->target);
    return tti_digest_end(&d);
}
