// SPDX-License-Identifier: Apache-2.0
/* dataset.c - files read into memory, labels given their ids. Sampling is in sample.c. */
#include "host/data/dataset.h"

#include <math.h>
#include <string.h>
#include "host/data/dataset_internal.h"
#include "host/data/labels.h"

enum { MAX_CLASSES = 1 << 20 };

tt_status tti_copy_names(char ***out, const char *const *names, size_t n) {
    char **copy = tti_calloc(n, sizeof *copy);
    *out = NULL;
    if (!copy) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        copy[i] = tti_strdup(names[i]);
        if (copy[i]) continue;
        tti_free_names(copy, n);
        return TT_E_NOMEM;
    }
    *out = copy;
    return TT_OK;
}

void tti_free_names(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++) tti_free(names[i]);
    tti_free(names);
}

void tti_dataset_free(tti_dataset *ds) {
    if (!ds) return;
    tti_free_names(ds->file, ds->files);
    tti_free_names(ds->label, ds->labels);
    tti_str_free(&ds->texts);
    tti_free(ds->at);
    tti_free(ds);
}

/* What reading needs besides the dataset. */
typedef struct {
    tti_dataset *ds;
    const tti_dataset_opts *opts;
    tti_label_set seen; /* the given labels, or those met so far */
    bool ids_allowed;   /* no given label is a whole number: a number may stand for an id */
} loader;

static tt_status unseen_label(const loader *l, const tti_data_row *row, const char *file) {
    tti_str known = {0};
    for (size_t i = 0; i < l->opts->nlabels && known.len < 300; i++)
        tti_str_printf(&known, "%s\"%.60s\"", i ? ", " : "", l->opts->labels[i]);
    tt_status s =
        tti_fail(TT_E_DATA, "%s:%zu: label \"%.100s\" is none of the %zu known: %s", file,
                 row->line, row->label, l->opts->nlabels, known.status == TT_OK ? known.p : "");
    tti_str_free(&known);
    return s;
}

/* The id of a given label; else the number in `seen`, made an id when all files are read. */
static tt_status number_label(loader *l, const tti_data_row *row, const char *file, int32_t *out) {
    size_t number = tti_label_set_find(&l->seen, row->label);
    if (number == SIZE_MAX && l->opts->labels) {
        int64_t id;
        if (!l->ids_allowed || !tti_label_whole(row->label, &id) || id < 0 ||
            (uint64_t)id >= l->opts->nlabels)
            return unseen_label(l, row, file);
        number = (size_t)id;
    }
    if (number == SIZE_MAX) {
        TT_TRY(tti_label_set_add(&l->seen, row->label, &number));
        if (l->seen.n > MAX_CLASSES)
            return tti_fail(TT_E_DATA,
                            "%s:%zu: more than %d different labels; is this column the label?",
                            file, row->line, MAX_CLASSES);
    }
    *out = (int32_t)number;
    return TT_OK;
}

static size_t keep_text(tti_str *texts, const char *s, size_t n) {
    const size_t at = texts->len;
    tti_str_add(texts, s, n + 1); /* with its NUL */
    return at;
}

static tt_status add_row(loader *l, const tti_data_row *row, uint32_t file) {
    tti_dataset *ds = l->ds;
    const char *name = ds->file[file];
    tti_record r = {.line = row->line, .file = file, .label = -1};
    r.text_len = row->text_len;
    r.text = keep_text(&ds->texts, row->text, row->text_len);
    if (row->text2) {
        r.text2_len = row->text2_len;
        r.text2 = keep_text(&ds->texts, row->text2, row->text2_len);
    }
    TT_TRY(ds->texts.status);
    if (l->opts->regression && !l->opts->unlabelled) {
        if (fabs(row->score) > (double)__FLT_MAX__)
            return tti_fail(TT_E_DATA, "%s:%zu: the number %g is too large for float32", name,
                            row->line, row->score);
        r.target = (float)row->score;
    } else if (row->label) {
        TT_TRY(number_label(l, row, name, &r.label));
    }
    if (ds->n >= UINT32_MAX)
        return tti_fail(TT_E_DATA, "%s:%zu: more than 2^32 - 1 samples", name, row->line);
    TT_TRY(TTI_GROW(ds->at, ds->cap, ds->n + 1));
    ds->at[ds->n++] = r;
    return TT_OK;
}

static tt_status load_file(loader *l, uint32_t file) {
    tti_data_opts o = l->opts->data;
    o.unlabelled = l->opts->unlabelled;
    o.with_score = l->opts->regression;
    tti_data_reader *r;
    TT_TRY(tti_data_open(&r, l->ds->file[file], &o));
    const size_t before = l->ds->n;
    tt_status s = TT_OK;
    for (bool end = false; s == TT_OK && !end;) {
        tti_data_row row;
        s = tti_data_next(r, &row, &end);
        if (s == TT_OK && !end) s = add_row(l, &row, file);
    }
    if (s == TT_OK && l->ds->n == before)
        s = tti_fail(TT_E_DATA, "%s: holds no samples", tti_data_name(r));
    tti_data_close(r);
    return s;
}

static tt_status take_given_labels(loader *l) {
    l->ids_allowed = true;
    for (size_t i = 0; i < l->opts->nlabels; i++) {
        size_t number;
        int64_t v;
        TT_TRY(tti_label_set_add(&l->seen, l->opts->labels[i], &number));
        if (number != i)
            return tti_fail(TT_E_ARG, "label \"%.100s\" is twice in the list of labels",
                            l->opts->labels[i]);
        if (tti_label_whole(l->opts->labels[i], &v)) l->ids_allowed = false;
    }
    return TT_OK;
}

/* Numbers of first meeting become ids. */
static tt_status order_labels(loader *l) {
    tti_dataset *ds = l->ds;
    const size_t n = l->seen.n;
    if (n < 2)
        return tti_fail(TT_E_DATA, "%s: every label is \"%.100s\"; two classes are needed at least",
                        ds->file[0], l->seen.name[0]);
    tt_status s = TT_E_NOMEM;
    size_t *number_of_id = tti_calloc(n, sizeof *number_of_id);
    int32_t *id_of = tti_calloc(n, sizeof *id_of);
    const char **name = tti_calloc(n, sizeof *name);
    if (!number_of_id || !id_of || !name) goto done;
    tti_label_set_order(&l->seen, number_of_id);
    for (size_t id = 0; id < n; id++) {
        id_of[number_of_id[id]] = (int32_t)id;
        name[id] = l->seen.name[number_of_id[id]];
    }
    for (size_t i = 0; i < ds->n; i++) ds->at[i].label = id_of[ds->at[i].label];
    TT_GO(tti_copy_names(&ds->label, name, n));
    ds->labels = n;
done:
    tti_free(number_of_id);
    tti_free(id_of);
    tti_free(name);
    return s;
}

static tt_status load(loader *l) {
    const tti_dataset_opts *o = l->opts;
    const bool classes = !o->regression && !o->unlabelled;
    if (classes && o->labels) TT_TRY(take_given_labels(l));
    for (size_t i = 0; i < l->ds->files; i++) TT_TRY(load_file(l, (uint32_t)i));
    if (!classes) return TT_OK;
    if (!o->labels) return order_labels(l);
    TT_TRY(tti_copy_names(&l->ds->label, o->labels, o->nlabels));
    l->ds->labels = o->nlabels;
    return TT_OK;
}

tt_status tti_dataset_load(tti_dataset **out, const char *const *paths, size_t n,
                           const tti_dataset_opts *opts) {
    *out = NULL;
    if (!n) return tti_fail(TT_E_ARG, "no data file is named");
    loader l = {.opts = opts, .ds = tti_calloc(1, sizeof *l.ds)};
    if (!l.ds) return TT_E_NOMEM;
    l.ds->pairs = opts->data.text2 != NULL;
    tt_status s = tti_copy_names(&l.ds->file, paths, n);
    if (s == TT_OK) {
        l.ds->files = n;
        s = load(&l);
    }
    tti_label_set_free(&l.seen);
    if (s == TT_OK)
        *out = l.ds;
    else
        tti_dataset_free(l.ds);
    return s;
}

size_t tti_dataset_count(const tti_dataset *ds) { return ds->n; }

tti_sample tti_dataset_at(const tti_dataset *ds, size_t i) {
    TT_ASSERT(i < ds->n);
    const tti_record *r = &ds->at[i];
    return (tti_sample){.text = ds->texts.p + r->text,
                        .text_len = r->text_len,
                        .text2 = ds->pairs ? ds->texts.p + r->text2 : NULL,
                        .text2_len = r->text2_len,
                        .label = r->label,
                        .target = r->target,
                        .file = ds->file[r->file],
                        .line = r->line};
}

bool tti_dataset_has_pairs(const tti_dataset *ds) { return ds->pairs; }
size_t tti_dataset_classes(const tti_dataset *ds) { return ds->labels; }

const char *const *tti_dataset_labels(const tti_dataset *ds) {
    return (const char *const *)ds->label;
}

size_t tti_dataset_class_count(const tti_dataset *ds, size_t label) {
    size_t count = 0;
    for (size_t i = 0; i < ds->n; i++) count += ds->at[i].label == (int32_t)label;
    return count;
}
