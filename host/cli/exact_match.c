// SPDX-License-Identifier: Apache-2.0
/* exact_match.c - eval --task exact: greedy answers to instructions, counted where they are the
 * reference's, white space around either left out. */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include "host/cli/generate.h"
#include "host/cli/lm_eval.h"

typedef struct {
    tti_prompt *prompt;
    char **want;
    size_t n, prompts_cap, wants_cap, longest;
} questions;

static void trim(const char **p, size_t *n) {
    while (*n && isspace((unsigned char)(*p)[*n - 1])) (*n)--;
    while (*n && isspace((unsigned char)**p)) (*p)++, (*n)--;
}

/* One conversation: all but its last answer is the prompt. */
static tt_status add(questions *q, tti_writer *w, const tti_instruct_row *row, const char *where) {
    const tti_message *last = &row->message[row->n - 1];
    const char *want = last->text;
    size_t len = last->len, room;
    TT_TRY(tti_writer_encode(w, row->message, row->n - 1));
    TT_TRY(tti_writer_room(w, where, w->tokens.n, &room));
    TT_TRY(TTI_GROW(q->prompt, q->prompts_cap, q->n + 1));
    TT_TRY(TTI_GROW(q->want, q->wants_cap, q->n + 1));
    int32_t *ids = tti_calloc(w->tokens.n, sizeof *ids);
    trim(&want, &len);
    q->prompt[q->n] = (tti_prompt){.ids = ids, .n = w->tokens.n, .max_new = room};
    q->want[q->n] = tti_strndup(want, len);
    q->n++;
    if (!ids || !q->want[q->n - 1]) return TT_E_NOMEM;
    memcpy(ids, w->tokens.ids, w->tokens.n * sizeof *ids);
    q->longest = TT_MAX(q->longest, w->tokens.n + room);
    return TT_OK;
}

static tt_status read_all(questions *q, tti_writer *w, const char *path, size_t limit) {
    tti_instruct_reader *r;
    const tti_instruct_opts o = {0};
    tti_instruct_row row;
    bool end = false;
    TT_TRY(tti_instruct_open(&r, path, &o));
    tt_status s = TT_OK;
    while (s == TT_OK && (!limit || q->n < limit)) {
        s = tti_instruct_next(r, &row, &end);
        if (s != TT_OK || end) break;
        const char *where = tti_instruct_where(r);
        s = row.n >= 2 ? add(q, w, &row, where)
                       : tti_fail(TT_E_DATA, "%s: a text has no answer to match", where);
    }
    tti_instruct_close(r);
    if (s == TT_OK && q->n == 0) s = tti_fail(TT_E_DATA, "%s: no instructions", path);
    return s;
}

static size_t count_equal(const questions *q, const tti_completion *out) {
    size_t equal = 0;
    for (size_t i = 0; i < q->n; i++) {
        const char *got = out[i].text.p ? out[i].text.p : "";
        size_t n = out[i].text.len;
        trim(&got, &n);
        equal += n == strlen(q->want[i]) && memcmp(got, q->want[i], n) == 0;
    }
    return equal;
}

tt_status tti_cli_exact_match(tti_exact_match *out, const tti_generate_args *args, const char *path,
                              size_t limit) {
    tti_writer w = {0};
    questions q = {0};
    tti_engine *e = NULL;
    tti_engine_opts eo = {0};
    tti_completion *made = NULL;
    tt_status s;
    TT_GO(tti_writer_open(&w, args));
    TT_GO(read_all(&q, &w, path, limit));
    if (!(made = tti_calloc(q.n, sizeof *made))) TT_GO(TT_E_NOMEM);
    eo.capacity = q.longest;
    eo.slots = TT_MIN(q.n, args->batch);
    TT_GO(tti_engine_new(&e, w.dev, w.gemm, w.t.model, &eo));
    const tti_generate_opts o = tti_writer_options(&w);
    TT_GO(tti_generate(e, w.t.tokenizer, &o, q.prompt, q.n, made));
    *out = (tti_exact_match){.n = q.n, .equal = count_equal(&q, made)};
done:
    tti_engine_free(e);
    for (size_t i = 0; i < q.n; i++) {
        if (made) tti_completion_free(&made[i]);
        tti_free((int32_t *)(uintptr_t)q.prompt[i].ids);
        tti_free(q.want[i]);
    }
    tti_free(made);
    tti_free(q.prompt);
    tti_free(q.want);
    tti_writer_close(&w);
    return s;
}
