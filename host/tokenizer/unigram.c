// SPDX-License-Identifier: Apache-2.0
/* unigram.c - the pieces with the largest sum of scores, by dynamic programming over bytes. */
#include "host/tokenizer/model.h"

#include <math.h>

/* A character that no piece covers costs this more than the worst piece. */
static const double unk_penalty = 10.0;

static void reach(tti_step *to, double score, size_t from, int32_t id) {
    if (to->from >= 0 && !(score > to->score)) return;
    *to = (tti_step){score, id, (int32_t)from};
}

static tt_status best_path(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    TT_TRY(TTI_GROW(w->step, w->cap_step, n + 1));
    for (size_t i = 0; i <= n; i++) w->step[i] = (tti_step){0, 0, -1};
    for (size_t i = 0, k; i < n; i += k) {
        const double here = w->step[i].score;
        bool single = false;
        uint32_t node = 0;
        k = tti_utf8_len(p[i]);
        for (size_t j = i; j < n && (node = tti_trie_step(&m->trie, node, p[j])); j++) {
            int32_t id = m->trie.value[node];
            if (id < 0) continue;
            reach(&w->step[j + 1], m->score[id] + here, i, id);
            single |= j + 1 - i == k;
        }
        if (single) continue;
        tti_step *to = &w->step[i + k];
        double score = m->unk_score + here;
        if (to->from >= 0 && !(score > to->score)) continue;
        if (m->unk < 0) return tti_no_unk(m, p + i, k);
        reach(to, score, i, m->unk);
    }
    return TT_OK;
}

/* One piece of the path: bytes begin..end of the word p. */
static tt_status put(const tti_model *m, tti_work *w, const uint8_t *word, size_t begin,
                     size_t end) {
    const uint8_t *p = word + begin;
    size_t n = end - begin;
    int32_t id = tti_vocab_find(&m->vocab, p, n);
    if (id < 0 && m->byte_fallback) {
        size_t i = 0;
        while (i < n && m->byte_id[p[i]] >= 0) i++;
        if (i == n) {
            for (i = 0; i < n; i++) TT_TRY(tti_part_add(w, m->byte_id[p[i]], begin, end));
            return TT_OK;
        }
    }
    if (id < 0) id = m->unk;
    return id < 0 ? tti_no_unk(m, p, n) : tti_part_add(w, id, begin, end);
}

tt_status tti_unigram(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    TT_TRY(best_path(m, w, p, n));
    /* turn the path around: from[begin] = end, kept in the steps' scores no longer needed */
    size_t end = n;
    for (int32_t next = (int32_t)n, at; (at = next) > 0;) {
        next = w->step[at].from;
        w->step[next].score = (double)at;
    }
    for (size_t i = 0; i < n; i = end) {
        end = (size_t)w->step[i].score;
        /* neighbouring unknown characters make one piece */
        while (m->unk >= 0 && w->step[end].id == m->unk && end < n) {
            size_t further = (size_t)w->step[end].score;
            if (w->step[further].id != m->unk) break;
            end = further;
        }
        TT_TRY(put(m, w, p, i, end));
    }
    return TT_OK;
}

static tt_status load_entry(tti_model *m, const tti_file *f, const cJSON *j, size_t id) {
    const cJSON *piece = cJSON_IsArray(j) ? j->child : NULL;
    const cJSON *score = piece ? piece->next : NULL;
    if (!cJSON_IsString(piece) || !cJSON_IsNumber(score) || score->next ||
        !isfinite(score->valuedouble))
        return tti_fail(TT_E_FORMAT, "%s: model: vocab: number %zu is not [piece, score]", f->name,
                        id);
    size_t n = tti_string_in_place(piece->valuestring);
    TT_TRY(tti_vocab_add(&m->vocab, piece->valuestring, n, (int32_t)id, NULL));
    TT_TRY(tti_trie_add(&m->trie, piece->valuestring, n, (int32_t)id, true));
    TT_TRY(TTI_GROW(m->score, m->cap_score, id + 1));
    m->score[id] = score->valuedouble;
    return TT_OK;
}

tt_status tti_unigram_load(tti_model *m, const tti_file *f, const cJSON *json) {
    const cJSON *list = tti_member(json, "vocab"), *j;
    int64_t unk;
    size_t n = 0;
    double least = INFINITY;
    if (!cJSON_IsArray(list))
        return tti_fail(TT_E_FORMAT, "%s: model: vocab: expected a list of [piece, score]",
                        f->name);
    cJSON_ArrayForEach(j, list) {
        if (n >= TTI_ID_LIMIT)
            return tti_fail(TT_E_FORMAT, "%s: model: vocab: more than %d pieces", f->name,
                            TTI_ID_LIMIT);
        TT_TRY(load_entry(m, f, j, n));
        least = fmin(least, m->score[n++]);
    }
    m->unk_score = least - unk_penalty;
    TT_TRY(tti_get_index(f, json, "model", "unk_id", -1, &unk));
    if (unk >= (int64_t)n)
        return tti_fail(TT_E_FORMAT, "%s: model: unk_id: %lld, but there are %zu pieces", f->name,
                        (long long)unk, n);
    m->unk = (int32_t)unk;
    return tti_get_bool(f, json, "model", "byte_fallback", false, &m->byte_fallback);
}
