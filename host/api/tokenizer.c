// SPDX-License-Identifier: Apache-2.0
/* tokenizer.c - include/tokentune/tokenizer.h over host/tokenizer. */
#include <string.h>
#include "host/api/internal.h"
#include "host/tokenizer/tokenizer.h"

struct tt_tokenizer {
    tti_tokenizer *t;
};

tt_status tt_tokenizer_open(tt_tokenizer **out, const char *path) {
    TT_NEED(out);
    TT_NEED(path);
    tt_tokenizer *t = tti_calloc(1, sizeof *t);
    if (!t) return TT_E_NOMEM;
    tt_status s = tti_tokenizer_load(&t->t, path);
    if (s == TT_OK)
        *out = t;
    else
        tti_free(t);
    return s;
}

void tt_tokenizer_close(tt_tokenizer *t) {
    if (!t) return;
    tti_tokenizer_free(t->t);
    tti_free(t);
}

size_t tt_tokenizer_vocab_size(const tt_tokenizer *t) {
    return t ? tti_tokenizer_vocab_size(t->t) : 0;
}

tt_encode_opts tt_encode_defaults(void) { return (tt_encode_opts){.add_special = true}; }

static tt_status copy(tt_tokens *out, const tti_encoding *e) {
    tt_tokens made = {.ids = tti_calloc(e->n, sizeof *made.ids),
                      .type_ids = tti_calloc(e->n, sizeof *made.type_ids),
                      .n = e->n,
                      .cut = e->cut};
    if (!made.ids || !made.type_ids) {
        tt_tokens_free(&made);
        return TT_E_NOMEM;
    }
    if (e->n > 0) {
        memcpy(made.ids, e->ids, e->n * sizeof *made.ids);
        memcpy(made.type_ids, e->type_ids, e->n * sizeof *made.type_ids);
    }
    *out = made;
    return TT_OK;
}

tt_status tt_tokenizer_encode(const tt_tokenizer *t, const char *text, const char *text2,
                              const tt_encode_opts *o, tt_tokens *out) {
    const tt_encode_opts defaults = tt_encode_defaults();
    TT_NEED(t);
    TT_NEED(text);
    TT_NEED(out);
    if (!o) o = &defaults;
    const tti_encode_opts inner = {.max_len = o->max_len, .add_special = o->add_special};
    tti_encoding e = {0};
    tt_status s = tti_tokenizer_encode(t->t, text, strlen(text), text2, text2 ? strlen(text2) : 0,
                                       &inner, &e);
    if (s == TT_OK) s = copy(out, &e);
    tti_encoding_free(&e);
    return s;
}

void tt_tokens_free(tt_tokens *tokens) {
    if (!tokens) return;
    tti_free(tokens->ids);
    tti_free(tokens->type_ids);
    *tokens = (tt_tokens){0};
}

tt_status tt_tokenizer_decode(const tt_tokenizer *t, const int32_t *ids, size_t n,
                              bool skip_special, char **text) {
    TT_NEED(t);
    if (n > 0) TT_NEED(ids);
    TT_NEED(text);
    tti_str out = {0};
    tt_status s = tti_tokenizer_decode(t->t, ids, n, skip_special, &out);
    tti_str_puts(&out, ""); /* also "" ends with a zero byte */
    if (s == TT_OK) s = out.status;
    if (s == TT_OK)
        *text = out.p;
    else
        tti_str_free(&out);
    return s;
}

void tt_text_free(char *text) { tti_free(text); }
