// SPDX-License-Identifier: Apache-2.0
/* perplexity.c - how well texts are predicted, a window of the model's length at a time. */
#include <math.h>
#include <string.h>
#include "host/core/file.h"
#include "host/eval/harness.h"
#include "host/eval/pytext.h"
#include "host/format/json.h"

static const size_t most_bytes = (size_t)4 << 30;

/* Windows of max_len tokens, of which each judges as many as are left; the last one reaches back.
 * The first begins behind the beginning of text. */
static tt_status windows(tti_scorer *scorer, const tti_pairs *p, double *loglik) {
    const size_t n = p->whole.n, most = p->max_len, first = TT_MIN(most, n);
    if (p->prefix < 0)
        return tti_fail(TT_E_UNSUPPORTED, "the tokenizer has no token that begins a text");
    int32_t *ids = tti_malloc((n + 1) * sizeof *ids);
    if (!ids) return TT_E_NOMEM;
    ids[0] = p->prefix;
    memcpy(ids + 1, p->whole.ids, n * sizeof *ids);
    tti_scored t = {ids, first + 1, 1};
    tt_status s = tti_scorer_run(scorer, &t, 1, loglik);
    for (size_t done = first, count; s == TT_OK && done < n; done += count) {
        double part;
        count = TT_MIN(n - done, most);
        const size_t end = done + count; /* in ids: one more */
        t = (tti_scored){ids + end - most, most + 1, most + 1 - count};
        s = tti_scorer_run(scorer, &t, 1, &part);
        *loglik += part;
    }
    tti_free(ids);
    return s;
}

static tt_status add(tti_perplexity *out, tti_scorer *scorer, tti_pairs *p, const char *text,
                     size_t n) {
    double loglik = 0;
    TT_TRY(tti_pairs_text(p, text, n));
    out->documents++;
    out->bytes += n;
    out->words += tti_py_words(text, n);
    out->tokens += p->whole.n;
    if (p->whole.n > 0) TT_TRY(windows(scorer, p, &loglik));
    out->loglik += loglik;
    return TT_OK;
}

static tt_status add_line(tti_perplexity *out, tti_scorer *scorer, tti_pairs *p, const char *path,
                          const char *line, size_t n, size_t number) {
    cJSON *json = NULL;
    const char *text;
    char where[512];
    snprintf(where, sizeof where, "%.480s:%zu", path, number);
    TT_TRY(tti_json_parse_line(&json, line, n, path, number));
    tt_status s = cJSON_IsObject(json) ? TT_OK : tti_fail(TT_E_FORMAT, "%s: no object", where);
    const tti_json_at at = {json, where};
    if (s == TT_OK) s = tti_json_need(at, "text");
    if (s == TT_OK) s = tti_json_str(at, "text", &text, NULL);
    if (s == TT_OK) {
        s = add(out, scorer, p, text, strlen(text));
        if (s != TT_OK) s = tti_fail_in(s, "%s", where);
    }
    tti_json_free(json);
    return s;
}

static bool is_json(const char *text, size_t n) {
    const size_t at = tti_py_lstrip(text, n);
    return at < n && text[at] == '{';
}

tt_status tti_perplexity_evaluate(tti_perplexity *out, tti_scorer *scorer, tti_pairs *pairs,
                                  const char *path, size_t limit) {
    char *text = NULL;
    size_t size, number = 0;
    *out = (tti_perplexity){0};
    tt_status s = tti_file_read(&text, &size, path, most_bytes);
    if (s == TT_OK && !is_json(text, size)) {
        s = add(out, scorer, pairs, text, size);
        if (s != TT_OK) s = tti_fail_in(s, "%s", path);
    } else {
        for (size_t at = 0; s == TT_OK && at < size && (!limit || out->documents < limit);) {
            const char *end = memchr(text + at, '\n', size - at);
            const size_t n = end ? (size_t)(end - text) - at : size - at;
            number++;
            if (tti_py_lstrip(text + at, n) < n)
                s = add_line(out, scorer, pairs, path, text + at, n, number);
            at += n + 1;
        }
    }
    tti_free(text);
    TT_TRY(s);
    if (out->tokens == 0 || out->bytes == 0) return tti_fail(TT_E_DATA, "%s: no text", path);
    out->token_perplexity = exp(-out->loglik / (double)out->tokens);
    out->word_perplexity = exp(-out->loglik / (double)out->words);
    out->byte_perplexity = exp(-out->loglik / (double)out->bytes);
    out->bits_per_byte = -out->loglik / (double)out->bytes / log(2);
    return TT_OK;
}

tt_status tti_perplexity_fits(bool *out, const char *path) {
    char *text = NULL;
    size_t size;
    cJSON *json = NULL;
    TT_TRY(tti_file_read(&text, &size, path, most_bytes));
    tt_status s = TT_OK;
    *out = !is_json(text, size);
    if (!*out) {
        const size_t from = tti_py_lstrip(text, size);
        const char *end = memchr(text + from, '\n', size - from);
        s = tti_json_parse_line(&json, text + from, end ? (size_t)(end - text) - from : size - from,
                                path, 1);
        *out = s == TT_OK && tti_json_get(json, "text") && !tti_json_get(json, "choices");
    }
    tti_json_free(json);
    tti_free(text);
    return s;
}
