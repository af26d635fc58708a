// SPDX-License-Identifier: Apache-2.0
/* tokenizer.c - encoding and decoding; loading is in load.c. */
#include "host/tokenizer/inside.h"

enum { TEXT_LIMIT = 1 << 30 };

void tti_encoding_free(tti_encoding *e) {
    tti_free(e->ids);
    tti_free(e->type_ids);
    tti_free(e->special);
    tti_free(e->spans);
    tti_work_free(e->work_);
    *e = (tti_encoding){0};
}

/* The caller's bytes become w->input; what is not UTF-8, U+FFFD. */
static tt_status take_input(tti_work *w, const char *text, size_t n) {
    const uint8_t *p = (const uint8_t *)text;
    tti_text *t = &w->input;
    t->n = 0;
    t->status = w->doc.status = w->cur.status = w->next.status = TT_OK;
    if (n >= TEXT_LIMIT) return tti_fail(TT_E_ARG, "text: %zu bytes; split it below 1 GiB", n);
    if (!tti_text_room(t, n)) return t->status;
    for (size_t i = 0, k, bad; i < n; i += k) {
        k = tti_utf8_check(p + i, n - i, &bad);
        tti_span at = {(uint32_t)i, (uint32_t)(i + (k ? k : bad))};
        if (k) {
            tti_text_bytes(t, p + i, k, at);
        } else {
            tti_text_put(t, 0xFFFD, at);
            k = bad;
        }
    }
    return t->status;
}

/* Normalizes a stretch of the input, appends it to the document and finds added tokens there. */
static tt_status normalize_piece(const tti_tokenizer *t, tti_work *w, tti_piece p) {
    size_t begin = w->doc.n;
    if (p.id >= 0) {
        tti_text_copy(&w->doc, &w->input, p.begin, p.end);
        TT_TRY(w->doc.status);
        return tti_pieces_add(&w->next_pieces, begin, w->doc.n, p.id);
    }
    w->cur.n = 0;
    tti_text_copy(&w->cur, &w->input, p.begin, p.end);
    TT_TRY(w->cur.status);
    TT_TRY(tti_normalize(&t->norms, w));
    tti_text_copy(&w->doc, &w->cur, 0, w->cur.n);
    TT_TRY(w->doc.status);
    return tti_added_find(&t->added, &t->added.normalized, &w->doc, begin, w->doc.n,
                          &w->next_pieces);
}

/* Appends the tokens of one text to w->token. */
static tt_status encode_text(const tti_tokenizer *t, tti_work *w, const char *text, size_t n) {
    size_t first = w->n_token;
    TT_TRY(take_input(w, text, n));
    w->pieces.n = w->next_pieces.n = w->doc.n = 0;
    TT_TRY(tti_added_find(&t->added, &t->added.raw, &w->input, 0, w->input.n, &w->pieces));
    for (size_t i = 0; i < w->pieces.n; i++) TT_TRY(normalize_piece(t, w, w->pieces.v[i]));
    tti_pieces old = w->pieces;
    w->pieces = w->next_pieces;
    w->next_pieces = old;
    TT_TRY(tti_pretokenize(&t->pres, w));
    for (size_t i = 0; i < w->pieces.n; i++) {
        const tti_piece p = w->pieces.v[i];
        if (p.id < 0) {
            TT_TRY(tti_model_word(&t->model, w, p.begin, p.end));
            continue;
        }
        TT_TRY(tti_work_token(w, p.id, p.begin, p.end));
        w->token[w->n_token - 1].added = true;
        tti_post_blanks(&t->post, &w->doc, p.begin, p.end, &w->token[w->n_token - 1]);
    }
    tti_post_trim(&t->post, &t->model, w, first, text);
    return TT_OK;
}

tt_status tti_tokenizer_encode(const tti_tokenizer *t, const char *a, size_t na, const char *b,
                               size_t nb, const tti_encode_opts *o, tti_encoding *out) {
    if (!out->work_) TT_TRY(tti_work_new(&out->work_));
    tti_work *w = out->work_;
    if (w->owner != t->serial) tti_cache_clear(&w->cache);
    w->owner = t->serial;
    w->n_token = 0;
    out->n = out->cut = 0;
    TT_TRY(encode_text(t, w, a, na));
    size_t n_first = w->n_token;
    if (b) TT_TRY(encode_text(t, w, b, nb));
    return tti_post_apply(&t->post, w, n_first, b != NULL, o, t->cut_left, out);
}

int32_t tti_tokenizer_id(const tti_tokenizer *t, const char *piece, size_t n) {
    int32_t id = tti_vocab_find(&t->added.vocab, piece, n);
    return id >= 0 ? id : tti_vocab_find(&t->model.vocab, piece, n);
}

const char *tti_tokenizer_piece(const tti_tokenizer *t, int32_t id, size_t *n) {
    const char *z = tti_added_piece(&t->added, id, n);
    return z ? z : tti_vocab_piece(&t->model.vocab, id, n);
}

size_t tti_tokenizer_vocab_size(const tti_tokenizer *t) {
    return TT_MAX(t->model.vocab.n_ids, t->added.vocab.n_ids);
}

tti_special_ids tti_tokenizer_special(const tti_tokenizer *t) { return t->special; }

tt_status tti_tokenizer_decode(const tti_tokenizer *t, const int32_t *ids, size_t n,
                               bool skip_special, tti_str *out) {
    tt_status s = TT_OK;
    tti_strings list = {0};
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *z = tti_tokenizer_piece(t, ids[i], &len);
        if (!z || (skip_special && tti_added_is_special(&t->added, z, len))) continue;
        TT_GO(tti_strings_add(&list, z, len));
    }
    if (!t->decs.n) { /* pieces side by side */
        for (size_t i = 0; i < list.n; i++) {
            size_t from = i ? list.end[i - 1] : 0;
            if (i) tti_str_putc(out, ' ');
            tti_str_add(out, list.text.p + from, list.end[i] - from);
        }
    } else if (list.n) {
        TT_GO(tti_decode_all(&t->decs, &list));
        tti_str_add(out, list.text.p, list.text.len);
    }
    s = out->status;
done:
    tti_strings_free(&list);
    return s;
}
