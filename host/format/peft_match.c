// SPDX-License-Identifier: Apache-2.0
/* peft_match.c - which modules an adapter applies to, by the rules of PEFT. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "host/format/peft.h"

/* Matches pattern at the start of s, `full`: and to its end. idx (NULL: not wanted) becomes the
 * number that the group of that name holds, -1 if it holds none. */
static tt_status match(const char *file, const char *pattern, const char *s, bool full, long *idx,
                       bool *out) {
    int code;
    PCRE2_SIZE at;
    *out = false;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_ANCHORED | PCRE2_UTF | (full ? PCRE2_ENDANCHORED : 0u),
                                   &code, &at, NULL);
    if (!re) {
        PCRE2_UCHAR why[120] = "";
        pcre2_get_error_message(code, why, sizeof why);
        return tti_fail(TT_E_FORMAT, "%s: the expression \"%.200s\", character %zu: %s", file,
                        pattern, (size_t)at, (const char *)why);
    }
    pcre2_match_data *md = pcre2_match_data_create_from_pattern(re, NULL);
    tt_status result = TT_OK;
    if (!md) {
        result = tti_fail(TT_E_NOMEM, "out of host memory");
    } else {
        int n = pcre2_match(re, (PCRE2_SPTR)s, strlen(s), 0, 0, md, NULL);
        *out = n > 0;
        if (n < 0 && n != PCRE2_ERROR_NOMATCH)
            result = tti_fail(TT_E_FORMAT, "%s: the expression \"%.200s\" cannot be matched (%d)",
                              file, pattern, n);
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(md);
        int group = idx ? pcre2_substring_number_from_name(re, (PCRE2_SPTR) "idx") : -1;
        if (idx) *idx = -1;
        if (n > 0 && group > 0 && v[2 * group] != PCRE2_UNSET)
            *idx = strtol(s + v[2 * group], NULL, 10);
    }
    pcre2_match_data_free(md);
    pcre2_code_free(re);
    return result;
}

/* before + pattern + after, matched at the start of s. */
static tt_status match_around(const tti_peft_config *c, const char *const parts[3], const char *s,
                              long *idx, bool *out) {
    tti_str pattern = {0};
    for (int i = 0; i < 3; i++) tti_str_puts(&pattern, parts[i]);
    tt_status r = pattern.status;
    if (r == TT_OK) r = match(c->path, pattern.p, s, false, idx, out);
    tti_str_free(&pattern);
    return r;
}

/* A name, or the end of it after a '.'. */
static bool ends_with_name(const tti_peft_names *names, const char *module) {
    size_t n = strlen(module);
    for (size_t i = 0; i < names->n; i++) {
        size_t m = strlen(names->v[i]);
        if (m > n || strcmp(module + n - m, names->v[i])) continue;
        if (m == n || module[n - m - 1] == '.') return true;
    }
    return false;
}

/* PEFT trains whole every module whose full name ends in one of modules_to_save, be it in the
 * middle of a word ("pre_classifier" ends in "classifier"), with all that is below it. */
tt_status tti_peft_saves(const tti_peft_config *c, const char *module, bool *out) {
    *out = false;
    for (const char *end = strchr(module, '.');; end = strchr(end + 1, '.')) {
        const size_t n = end ? (size_t)(end - module) : strlen(module);
        for (size_t i = 0; i < c->modules_to_save.n && !*out; i++) {
            const char *name = c->modules_to_save.v[i];
            const size_t k = strlen(name);
            *out = k <= n && !strncmp(module + n - k, name, k);
        }
        if (!end || *out) return TT_OK;
    }
}

/* Which of them get no adapter is a narrower rule: whole names only. */
static tt_status saved_by_name(const tti_peft_config *c, const char *module, bool *out) {
    *out = false;
    for (size_t i = 0; i < c->modules_to_save.n && !*out; i++) {
        const char *parts[3] = {"(^|.*\\.)", c->modules_to_save.v[i], "($|\\..*)"};
        TT_TRY(match_around(c, parts, module, NULL, out));
    }
    return TT_OK;
}

/* The number of the block that a module is in: after layers_pattern, else the first number that has
 * two names before it. */
static tt_status in_layers(const tti_peft_config *c, const char *module, bool *out) {
    long layer = -1;
    bool found = false;
    if (!c->layers_pattern.n)
        TT_TRY(match(c->path, ".*?\\.[^.]*\\.(?<idx>\\d+)\\.", module, false, &layer, &found));
    for (size_t i = 0; i < c->layers_pattern.n && !found; i++) {
        const char *parts[3] = {"(?:^|.*?\\.)", c->layers_pattern.v[i], "\\.(?<idx>\\d+)\\."};
        TT_TRY(match_around(c, parts, module, &layer, &found));
    }
    *out = false;
    for (size_t i = 0; found && i < c->nlayers; i++) *out = *out || c->layers[i] == layer;
    return TT_OK;
}

tt_status tti_peft_matches(const tti_peft_config *c, const char *module, bool output_head,
                           bool *out) {
    bool hit = ends_with_name(&c->exclude, module);
    *out = false;
    if (c->exclude_regex) TT_TRY(match(c->path, c->exclude_regex, module, true, NULL, &hit));
    if (hit) return TT_OK;
    TT_TRY(saved_by_name(c, module, &hit));
    if (hit) return TT_OK;
    if (c->target_regex) return match(c->path, c->target_regex, module, true, NULL, out);
    *out = c->all_linear ? !output_head : ends_with_name(&c->targets, module);
    if (*out && c->nlayers) return in_layers(c, module, out);
    return TT_OK;
}

/* The number of the first pattern that the module or the end of it after a '.' matches. */
static tt_status by_pattern(const tti_peft_config *c, const cJSON *map, const char *module,
                            double *value) {
    for (const cJSON *v = map ? map->child : NULL; v; v = v->next) {
        bool hit;
        const char *parts[3] = {"(.*\\.)?(", v->string, ")$"};
        TT_TRY(match_around(c, parts, module, NULL, &hit));
        if (!hit) continue;
        *value = v->valuedouble;
        break;
    }
    return TT_OK;
}

tt_status tti_peft_rank(const tti_peft_config *c, const char *module, int *r, double *scale) {
    double rank = c->r, alpha = c->alpha;
    TT_TRY(by_pattern(c, c->rank_pattern, module, &rank));
    TT_TRY(by_pattern(c, c->alpha_pattern, module, &alpha));
    *r = (int)rank;
    *scale = alpha / (c->use_rslora ? sqrt(rank) : rank);
    return TT_OK;
}
