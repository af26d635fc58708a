// SPDX-License-Identifier: Apache-2.0
/* pairs.c - contexts and continuations as tokens. */
#include <string.h>
#include "host/eval/pairs.h"
#include "host/eval/pytext.h"

tt_status tti_pairs_open(tti_pairs *p, const tti_tokenizer *tokenizer, size_t max_len) {
    const tti_special_ids special = tti_tokenizer_special(tokenizer);
    *p = (tti_pairs){.tokenizer = tokenizer, .max_len = max_len};
    p->prefix = special.bos >= 0 ? special.bos : special.eos;
    if (p->prefix < 0) return TT_OK;
    return tti_tokenizer_decode(tokenizer, &p->prefix, 1, false, &p->prefix_text);
}

void tti_pairs_close(tti_pairs *p) {
    tti_encoding_free(&p->whole);
    tti_encoding_free(&p->part);
    tti_str_free(&p->joined);
    tti_str_free(&p->prefix_text);
    *p = (tti_pairs){0};
}

static tt_status encode(const tti_pairs *p, const char *text, size_t n, bool special,
                        tti_encoding *out) {
    const tti_str *b = &p->prefix_text;
    if (p->prefix >= 0 && n >= b->len && (b->len == 0 || !memcmp(text, b->p, b->len)))
        special = false;
    const tti_encode_opts o = {.add_special = special};
    return tti_tokenizer_encode(p->tokenizer, text, n, NULL, 0, &o, out);
}

tt_status tti_pairs_text(tti_pairs *p, const char *text, size_t n) {
    return encode(p, text, n, true, &p->whole);
}

/* The last tokens of a and b that the model can read, the very last only as a label. */
static tt_status join(const tti_pairs *p, const int32_t *a, size_t na, const int32_t *b, size_t nb,
                      tti_scored *out) {
    if (na == 0) return tti_fail(TT_E_DATA, "the context has no tokens");
    if (nb == 0) return tti_fail(TT_E_DATA, "the answer adds no tokens to the context");
    if (nb > p->max_len)
        return tti_fail(TT_E_DATA, "an answer of %zu tokens: the model reads %zu", nb, p->max_len);
    const size_t n = TT_MIN(na + nb, p->max_len + 1), kept = n - nb;
    int32_t *ids = tti_malloc(n * sizeof *ids);
    if (!ids) return TT_E_NOMEM;
    memcpy(ids, a + na - kept, kept * sizeof *ids);
    memcpy(ids + kept, b, nb * sizeof *ids);
    *out = (tti_scored){ids, n, kept};
    return TT_OK;
}

/* Nothing stands before: the beginning of text does, which may be the continuation's own. */
static tt_status encode_alone(tti_pairs *p, const char *text, size_t n, tti_scored *out) {
    TT_TRY(encode(p, text, n, false, &p->whole));
    const int32_t *ids = p->whole.ids;
    if (p->whole.n > 0 && (p->prefix < 0 || ids[0] == p->prefix))
        return join(p, ids, 1, ids + 1, p->whole.n - 1, out);
    return join(p, &p->prefix, p->prefix >= 0, ids, p->whole.n, out);
}

tt_status tti_pairs_encode(tti_pairs *p, const char *context, size_t nc, const char *continuation,
                           size_t nt, tti_scored *out) {
    if (nc == 0) return encode_alone(p, continuation, nt, out);
    const size_t end = tti_py_rstrip(context, nc);
    p->joined.len = 0;
    tti_str_add(&p->joined, context, nc);
    tti_str_add(&p->joined, continuation, nt);
    TT_TRY(p->joined.status);
    TT_TRY(encode(p, p->joined.p, p->joined.len, true, &p->whole));
    TT_TRY(encode(p, context, end, true, &p->part));
    if (p->whole.n <= p->part.n)
        return tti_fail(TT_E_DATA, "the answer adds no tokens to the context");
    return join(p, p->part.ids, p->part.n, p->whole.ids + p->part.n, p->whole.n - p->part.n, out);
}
