// SPDX-License-Identifier: Apache-2.0
/* causal.c - files to samples, kept in two long arrays. */
#include "host/data/causal.h"

#include <string.h>
#include "host/data/dataset_internal.h"

typedef struct {
    size_t at, n, prompt, supervised, cut, line;
    uint32_t file;
} record;

struct tti_causal_dataset {
    char **file;
    size_t files;
    int32_t *ids, *labels; /* of all samples, one behind the other */
    size_t n, cap, label_cap;
    record *record;
    size_t records, record_cap;
    size_t max_len;
    tti_causal_totals sum;
};

/* What reading needs besides. */
typedef struct {
    tti_causal_dataset *ds;
    const tti_tokenizer *tokenizer;
    const tti_causal_opts *opts;
    tti_marks marks;
    int32_t eos;
    tti_template *template[TTI_INSTRUCT_text + 1]; /* by format; NULL: not met yet */
    tti_rendered text;
    tti_causal_tokens tokens;
    const char *where; /* the record, for messages */
} loader;

void tti_causal_free(tti_causal_dataset *ds) {
    if (!ds) return;
    tti_free_names(ds->file, ds->files);
    tti_free(ds->ids);
    tti_free(ds->labels);
    tti_free(ds->record);
    tti_free(ds);
}

/* Appends n tokens as one sample; answer NULL: all are learned. */
static tt_status add_sample(tti_causal_dataset *ds, const int32_t *ids, const uint8_t *answer,
                            const record *from) {
    record r = *from;
    TT_TRY(TTI_GROW(ds->ids, ds->cap, ds->n + r.n));
    TT_TRY(TTI_GROW(ds->labels, ds->label_cap, ds->n + r.n));
    TT_TRY(TTI_GROW(ds->record, ds->record_cap, ds->records + 1));
    r.at = ds->n;
    r.supervised = 0;
    for (size_t t = 0; t < r.n; t++) {
        const bool learned = t + 1 < r.n && (!answer || answer[t + 1]);
        ds->ids[r.at + t] = ids[t];
        ds->labels[r.at + t] = learned ? ids[t + 1] : TTI_NO_LABEL;
        r.supervised += learned;
    }
    ds->n += r.n;
    ds->record[ds->records++] = r;
    ds->sum.samples++;
    ds->sum.tokens += r.n;
    ds->sum.supervised += r.supervised;
    ds->sum.longest = TT_MAX(ds->sum.longest, r.n);
    ds->sum.cut_samples += r.cut > 0;
    ds->sum.cut_tokens += r.cut;
    return TT_OK;
}

static const char *default_template(tti_instruct_format f) {
    return f == TTI_INSTRUCT_alpaca ? "alpaca" : f == TTI_INSTRUCT_prompt ? "none" : "model";
}

static tt_status template_for(loader *l, tti_instruct_format f, const tti_template **out) {
    const char *name = l->opts->template_name;
    if (!l->template[f])
        TT_TRY(tti_template_open(&l->template[f], name ? name : default_template(f),
                                 l->opts->model_dir, l->marks));
    *out = l->template[f];
    return TT_OK;
}

/* An unusable sample: passed over, or the error. */
static tt_status unusable(const loader *l, size_t *count, tt_status s) {
    if (!l->opts->skip) return s;
    ++*count;
    return TT_OK;
}

static tt_status add_conversation(loader *l, const tti_instruct_row *row, tti_instruct_format f,
                                  uint32_t file) {
    tti_causal_dataset *ds = l->ds;
    tti_causal_tokens *k = &l->tokens;
    const tti_template *t;
    TT_TRY(template_for(l, f, &t));
    tt_status s = tti_template_render(t, row->message, row->n, false, &l->text);
    if (s == TT_OK) s = tti_causal_encode(k, l->tokenizer, &l->text, tti_template_adds_special(t));
    if (s == TT_E_NOMEM) return s;
    if (s != TT_OK) return tti_fail_in(s, "%s", l->where);
    record r = {.n = k->n, .line = row->line, .file = file};
    if (ds->max_len && r.n > ds->max_len) r.n = ds->max_len;
    r.cut = k->n - r.n;
    while (r.prompt < k->n && !k->answer[r.prompt]) r.prompt++;
    const size_t answer = TT_MAX(r.prompt, (size_t)1); /* the first token is nobody's label */
    size_t first = answer;
    while (first < k->n && !k->answer[first]) first++;
    if (first == k->n)
        return unusable(l, &ds->sum.skipped_empty,
                        tti_fail(TT_E_DATA, "%s: no token of an answer to learn", l->where));
    if (first >= r.n && !l->opts->loss_all)
        return unusable(l, &ds->sum.skipped_long,
                        tti_fail(TT_E_DATA,
                                 "%s: the prompt has %zu tokens, which leaves no room for the "
                                 "answer within %zu; raise the limit or skip such samples",
                                 l->where, r.prompt, ds->max_len));
    r.prompt = TT_MIN(r.prompt, r.n);
    return add_sample(ds, k->ids, l->opts->loss_all ? NULL : k->answer, &r);
}

static tt_status add_text(loader *l, const tti_instruct_row *row, uint32_t file) {
    tti_causal_dataset *ds = l->ds;
    tti_causal_tokens *k = &l->tokens;
    l->text.text.len = l->text.answers = 0;
    tti_str_add(&l->text.text, row->text, row->text_len);
    TT_TRY(l->text.text.status);
    tt_status s = tti_causal_encode(k, l->tokenizer, &l->text, true);
    if (s == TT_E_NOMEM) return s;
    if (s != TT_OK) return tti_fail_in(s, "%s", l->where);
    if (!l->opts->no_end && l->eos >= 0) {
        TT_TRY(TTI_GROW(k->ids, k->cap, k->n + 1));
        k->ids[k->n++] = l->eos;
    }
    if (k->n < 2)
        return unusable(l, &ds->sum.skipped_empty,
                        tti_fail(TT_E_DATA, "%s: too short: no token follows another", l->where));
    const size_t most = ds->max_len ? ds->max_len : k->n;
    for (size_t at = 0; at + 1 < k->n; at += most - 1) {
        const record r = {.n = TT_MIN(most, k->n - at), .line = row->line, .file = file};
        TT_TRY(add_sample(ds, k->ids + at, NULL, &r));
    }
    return TT_OK;
}

static tt_status load_file(loader *l, uint32_t file) {
    const tti_instruct_opts o = {.format = l->opts->format, .pass_empty = l->opts->skip};
    tti_instruct_reader *r;
    TT_TRY(tti_instruct_open(&r, l->ds->file[file], &o));
    tt_status s = TT_OK;
    for (bool end = false; s == TT_OK && !end;) {
        tti_instruct_row row;
        s = tti_instruct_next(r, &row, &end);
        if (s != TT_OK || end) continue;
        l->where = tti_instruct_where(r);
        if (row.empty)
            l->ds->sum.skipped_empty++;
        else if (row.n)
            s = add_conversation(l, &row, tti_instruct_reader_format(r), file);
        else
            s = add_text(l, &row, file);
    }
    tti_instruct_close(r);
    return s;
}

static tt_status load(loader *l) {
    tti_causal_dataset *ds = l->ds;
    for (size_t i = 0; i < ds->files; i++) TT_TRY(load_file(l, (uint32_t)i));
    if (!ds->records)
        return tti_fail(TT_E_DATA,
                        "%s: no usable sample: %zu have no answer, %zu none within %zu "
                        "tokens",
                        ds->file[0], ds->sum.skipped_empty, ds->sum.skipped_long, ds->max_len);
    /* Growing doubles; the halves that are not used go back. */
    int32_t *ids = tti_realloc(ds->ids, ds->n, sizeof *ids);
    if (!ids) return TT_E_NOMEM;
    ds->ids = ids;
    int32_t *labels = tti_realloc(ds->labels, ds->n, sizeof *labels);
    if (!labels) return TT_E_NOMEM;
    ds->labels = labels;
    return TT_OK;
}

tt_status tti_causal_load(tti_causal_dataset **out, const char *const *paths, size_t n,
                          const tti_tokenizer *tokenizer, const tti_causal_opts *opts) {
    *out = NULL;
    if (!n) return tti_fail(TT_E_ARG, "no data file is named");
    if (opts->max_len == 1)
        return tti_fail(TT_E_ARG, "a limit of 1 token leaves nothing to learn; give 2 or more");
    loader l = {.tokenizer = tokenizer,
                .opts = opts,
                .marks = tti_causal_marks(tokenizer),
                .eos = tti_tokenizer_special(tokenizer).eos,
                .ds = tti_calloc(1, sizeof *l.ds)};
    if (!l.ds) return TT_E_NOMEM;
    l.ds->max_len = opts->max_len;
    tt_status s = tti_copy_names(&l.ds->file, paths, n);
    if (s == TT_OK) {
        l.ds->files = n;
        s = load(&l);
    }
    for (size_t i = 0; i < TT_COUNT(l.template); i++) tti_template_free(l.template[i]);
    tti_rendered_free(&l.text);
    tti_causal_tokens_free(&l.tokens);
    if (s == TT_OK)
        *out = l.ds;
    else
        tti_causal_free(l.ds);
    return s;
}

size_t tti_causal_count(const tti_causal_dataset *ds) { return ds->records; }

tti_causal_sample tti_causal_at(const tti_causal_dataset *ds, size_t i) {
    TT_ASSERT(i < ds->records);
    const record *r = &ds->record[i];
    return (tti_causal_sample){.ids = ds->ids + r->at,
                               .labels = ds->labels + r->at,
                               .n = r->n,
                               .prompt = r->prompt,
                               .supervised = r->supervised,
                               .cut = r->cut,
                               .file = ds->file[r->file],
                               .line = r->line};
}

tti_causal_totals tti_causal_sum(const tti_causal_dataset *ds) { return ds->sum; }

void tti_causal_describe(const tti_causal_dataset *ds, tti_str *out) {
    const tti_causal_totals *s = &ds->sum;
    tti_str_printf(out, "%zu samples, %zu tokens, %zu of them learned", s->samples, s->tokens,
                   s->supervised);
    if (s->cut_samples)
        tti_str_printf(out, "; %zu cut to %zu tokens, which lost %zu", s->cut_samples, ds->max_len,
                       s->cut_tokens);
    if (s->skipped_empty) tti_str_printf(out, "; %zu skipped: no answer", s->skipped_empty);
    if (s->skipped_long)
        tti_str_printf(out, "; %zu skipped: no answer within %zu tokens", s->skipped_long,
                       ds->max_len);
}
