// SPDX-License-Identifier: Apache-2.0
/* causal_tokens.c - from rendered text to tokens and the answers among them. */
#include <string.h>
#include "host/data/causal.h"

void tti_causal_tokens_free(tti_causal_tokens *t) {
    tti_free(t->ids);
    tti_free(t->answer);
    tti_encoding_free(&t->encoding);
    *t = (tti_causal_tokens){0};
}

tti_marks tti_causal_marks(const tti_tokenizer *tokenizer) {
    const tti_special_ids ids = tti_tokenizer_special(tokenizer);
    size_t n;
    return (tti_marks){.bos = tti_tokenizer_piece(tokenizer, ids.bos, &n),
                       .eos = tti_tokenizer_piece(tokenizer, ids.eos, &n)};
}

/* A token without bytes of its own, a lone word mark whose blank the tokenizer took out of its
 * span, stands behind that blank: at the beginning of an answer it is the prompt's. */
static bool within(tti_span s, tti_answer_span a) {
    return s.from == s.to ? s.from > a.from && s.from < a.to : s.from < a.to && s.to > a.from;
}

tt_status tti_causal_encode(tti_causal_tokens *out, const tti_tokenizer *tokenizer,
                            const tti_rendered *text, bool add_special) {
    const tti_encode_opts o = {.add_special = add_special};
    tti_encoding *e = &out->encoding;
    out->n = 0;
    TT_TRY(tti_tokenizer_encode(tokenizer, text->text.p, text->text.len, NULL, 0, &o, e));
    size_t n = e->n;
    while (n && e->special[n - 1]) n--;
    TT_TRY(TTI_GROW(out->ids, out->cap, n));
    TT_TRY(TTI_GROW(out->answer, out->cap_answer, n));
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < text->answers && text->answer[at].to <= e->spans[i].from) at++;
        out->ids[i] = e->ids[i];
        out->answer[i] =
            !e->special[i] && at < text->answers && within(e->spans[i], text->answer[at]);
    }
    out->n = n;
    return TT_OK;
}
