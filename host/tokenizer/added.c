// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/added.h"

static int32_t next_id(const tti_added *a, const tti_model *m) {
    size_t next = m->vocab.n;
    for (size_t i = a->vocab.n_ids; i-- > next;)
        if (a->vocab.by_id[i] >= 0) return (int32_t)i + 1;
    return (int32_t)next;
}

tt_status tti_added_add(tti_added *a, const tti_model *m, const char *content, size_t n,
                        tti_added_flags flags) {
    if (!n) return TT_OK;
    int32_t id = tti_vocab_find(&a->vocab, content, n);
    if (id < 0) id = tti_vocab_find(&m->vocab, content, n);
    if (id < 0) id = next_id(a, m);
    if (id >= TTI_ID_LIMIT) return tti_fail(TT_E_FORMAT, "added tokens: too many ids");
    TT_TRY(TTI_GROW(a->flags, a->cap_flags, a->vocab.n + 1));
    int32_t old;
    TT_TRY(tti_vocab_add(&a->vocab, content, n, id, &old));
    tti_added_flags *to = &a->flags[a->vocab.by_id[id]];
    if (old >= 0) flags.special |= to->special; /* once special, always special */
    *to = flags;
    return TT_OK;
}

tt_status tti_added_load(tti_added *a, const tti_model *m, const tti_file *f, const cJSON *json) {
    static const char where[] = "added_tokens";
    const cJSON *list = tti_member(json, where), *j;
    if (!list) return TT_OK;
    if (!cJSON_IsArray(list))
        return tti_fail(TT_E_FORMAT, "%s: added_tokens: expected a list", f->name);
    cJSON_ArrayForEach(j, list) {
        const char *z;
        char *content;
        size_t n;
        int32_t id;
        tti_added_flags flags = {0};
        TT_TRY(tti_need_string(f, j, where, "content", &z));
        TT_TRY(tti_as_id(f, tti_member(j, "id"), where, &id));
        TT_TRY(tti_get_bool(f, j, where, "special", false, &flags.special));
        TT_TRY(tti_get_bool(f, j, where, "normalized", !flags.special, &flags.normalized));
        TT_TRY(tti_get_bool(f, j, where, "single_word", false, &flags.single_word));
        TT_TRY(tti_get_bool(f, j, where, "lstrip", false, &flags.lstrip));
        TT_TRY(tti_get_bool(f, j, where, "rstrip", false, &flags.rstrip));
        TT_TRY(tti_string(z, &content, &n));
        tt_status s = tti_added_add(a, m, content, n, flags);
        tti_free(content);
        TT_TRY(s);
    }
    return TT_OK;
}

static tt_status add_to(tti_finder *f, const void *p, size_t n, size_t number) {
    if (!n) return TT_OK;
    f->first[*(const uint8_t *)p] = true;
    return tti_trie_add(&f->trie, p, n, (int32_t)number, false); /* of equal ones the first */
}

/* Lists what each token looks like: its content, normalized where it is matched so. */
static tt_status show(tti_added *a, const tti_norms *norms, tti_work *w) {
    for (size_t i = 0; i < a->vocab.n; i++) {
        const tti_entry *e = &a->vocab.entry[i];
        w->cur.n = 0;
        tti_text_bytes(&w->cur, a->vocab.bytes + e->at, e->len, (tti_span){0, 0});
        TT_TRY(w->cur.status);
        if (a->flags[i].normalized) TT_TRY(tti_normalize(norms, w));
        tti_text_bytes(&w->cur, "", 1, (tti_span){0, 0}); /* strings end in NUL here */
        TT_TRY(w->cur.status);
        TT_TRY(tti_strings_add(&a->shown, w->cur.p, w->cur.n));
    }
    return TT_OK;
}

static const char *shown(const tti_added *a, size_t i, size_t *n) {
    size_t from = i ? a->shown.end[i - 1] : 0;
    *n = a->shown.end[i] - from - 1;
    return a->shown.text.p + from;
}

tt_status tti_added_ready(tti_added *a, const tti_norms *norms, tti_work *w) {
    TT_TRY(show(a, norms, w));
    for (size_t i = 0; i < a->vocab.n; i++) {
        size_t n;
        const char *z = shown(a, i, &n);
        TT_TRY(add_to(a->flags[i].normalized ? &a->normalized : &a->raw, z, n, i));
    }
    return TT_OK;
}

const char *tti_added_piece(const tti_added *a, int32_t id, size_t *n) {
    if (!tti_vocab_piece(&a->vocab, id, n)) return NULL;
    return shown(a, (size_t)a->vocab.by_id[id], n);
}

bool tti_added_is_special(const tti_added *a, const char *content, size_t n) {
    int32_t id = tti_vocab_find(&a->vocab, content, n);
    return id >= 0 && a->flags[a->vocab.by_id[id]].special;
}

void tti_added_free(tti_added *a) {
    tti_vocab_free(&a->vocab);
    tti_free(a->flags);
    tti_strings_free(&a->shown);
    tti_trie_free(&a->raw.trie);
    tti_trie_free(&a->normalized.trie);
}

static bool word_before(const tti_text *t, size_t begin, size_t i) {
    size_t k;
    return i > begin && tti_uc_is(tti_utf8_before(t->p + i, &k), TTI_UC_WORD);
}

static bool word_after(const tti_text *t, size_t i, size_t end) {
    size_t k;
    return i < end && tti_uc_is(tti_utf8_get(t->p + i, &k), TTI_UC_WORD);
}

/* The longest token that begins at byte i: its number and end, or -1. */
static int32_t longest(const tti_finder *f, const tti_text *t, size_t i, size_t end, size_t *stop) {
    int32_t found = -1;
    uint32_t node = 0;
    for (; i < end && (node = tti_trie_step(&f->trie, node, t->p[i])); i++) {
        if (f->trie.value[node] < 0) continue;
        found = f->trie.value[node];
        *stop = i + 1;
    }
    return found;
}

tt_status tti_added_find(const tti_added *a, const tti_finder *f, const tti_text *t, size_t begin,
                         size_t end, tti_pieces *out) {
    size_t done = begin, stop = 0, k;
    for (size_t i = begin; f->trie.n && i < end;) {
        int32_t found = f->first[t->p[i]] ? longest(f, t, i, end, &stop) : -1;
        if (found < 0) {
            i++;
            continue;
        }
        size_t from = i;
        const tti_added_flags flags = a->flags[found];
        i = stop;
        if (flags.single_word && (word_before(t, begin, from) || word_after(t, stop, end)))
            continue;
        if (flags.lstrip) {
            while (from > begin && tti_uc_is(tti_utf8_before(t->p + from, &k), TTI_UC_SPACE))
                from -= k;
            from = TT_MAX(from, done);
        }
        if (flags.rstrip)
            while (stop < end && tti_uc_is(tti_utf8_get(t->p + stop, &k), TTI_UC_SPACE)) stop += k;
        if (done < from) TT_TRY(tti_pieces_add(out, done, from, -1));
        TT_TRY(tti_pieces_add(out, from, stop, a->vocab.entry[found].id));
        done = stop;
    }
    return done < end ? tti_pieces_add(out, done, end, -1) : TT_OK;
}
