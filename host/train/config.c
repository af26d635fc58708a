// SPDX-License-Identifier: Apache-2.0
/* config.c - a run description from defaults, file and overrides; its text in checkpoints. */
#include <string.h>
#include "host/core/file.h"
#include "host/train/config_internal.h"
#include "host/train/select.h"

enum { LARGEST_FILE = 1 << 20 };

void tti_texts_free(tti_texts *s) {
    for (size_t i = 0; i < s->n; i++) tti_free(s->v[i]);
    tti_free(s->v);
    *s = (tti_texts){0};
}

void tti_config_free(tti_config *c) {
    for (size_t i = 0; i < tti_keys_n; i++) {
        void *field = (char *)c + tti_keys[i].offset;
        if (tti_keys[i].type == TTI_KEY_TEXT) tti_free(*(char **)field);
        if (tti_keys[i].type == TTI_KEY_LIST) tti_texts_free(field);
    }
    memset(c, 0, sizeof *c);
}

/* Appends an override as YAML: values are quoted, so that no letter in them means anything. */
static void override_yaml(tti_str *out, const tti_key *k, const char *value) {
    const char *dot = strchr(k->key, '.');
    if (dot) tti_str_printf(out, "%.*s:\n  ", (int)(dot - k->key), k->key);
    tti_str_printf(out, "%s: ", dot ? dot + 1 : k->key);
    if (k->type != TTI_KEY_LIST) {
        tti_str_json(out, value, strlen(value));
    } else if (value[0] == '[') {
        tti_str_puts(out, value);
    } else {
        tti_str_putc(out, '[');
        for (const char *p = value;; p++) {
            size_t n = strcspn(p, ",");
            if (n > 0 || p[n]) tti_str_json(out, p, n);
            p += n;
            if (!*p) break;
            tti_str_putc(out, ',');
        }
        tti_str_putc(out, ']');
    }
    tti_str_putc(out, '\n');
}

static tt_status apply_override(tti_config *c, const char *given) {
    const char *eq = strchr(given, '=');
    if (!eq || eq == given)
        return tti_fail(TT_E_ARG, "%s: expected key=value, as in train.lr=3e-5", given);
    const tti_key *k = tti_key_find(given, (size_t)(eq - given));
    tti_str text = {0};
    tt_status s;
    if (!k) {
        char path[64];
        snprintf(path, sizeof path, "%.*s", (int)TT_MIN(eq - given, 63), given);
        tti_key_suggest(&text, path);
        s = text.status == TT_OK ? tti_fail(TT_E_ARG, "%s: unknown key%s", path, text.p)
                                 : text.status;
    } else {
        override_yaml(&text, k, eq + 1);
        s = text.status;
        if (s == TT_OK) s = tti_config_apply(c, text.p, text.len, NULL, given);
        if (s == TT_E_FORMAT) { /* lines of the text above would mean nothing to the user */
            tti_str_free(&text);
            tti_key_expected(&text, k);
            s = text.status == TT_OK ? tti_fail(TT_E_ARG, "%s: expected %s", given, text.p)
                                     : text.status;
        }
    }
    tti_str_free(&text);
    return s;
}

static tt_status apply_defaults(tti_config *c) {
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < tti_keys_n; i++) {
        const tti_key *k = &tti_keys[i];
        void *field = (char *)c + k->offset;
        if (k->type == TTI_KEY_NUM) *(double *)field = -1;
        if (k->type == TTI_KEY_CHOICE) *(int *)field = -1;
    }
    for (size_t i = 0; i < tti_keys_n; i++) {
        tti_str given = {0};
        if (!tti_keys[i].fallback) continue;
        tti_str_printf(&given, "%s=%s", tti_keys[i].key, tti_keys[i].fallback);
        tt_status s = given.status == TT_OK ? apply_override(c, given.p) : given.status;
        tti_str_free(&given);
        TT_TRY(s);
    }
    return TT_OK;
}

static tt_status apply_file(tti_config *c, const char *path) {
    char *text;
    size_t size;
    TT_TRY(tti_file_read(&text, &size, path, LARGEST_FILE));
    tt_status s = tti_config_apply(c, text, size, path, NULL);
    tti_free(text);
    return s;
}

static bool is_set(const tti_config *c, const tti_key *k) {
    const void *field = (const char *)c + k->offset;
    if (k->type == TTI_KEY_TEXT) return *(char *const *)field != NULL;
    if (k->type == TTI_KEY_LIST) return ((const tti_texts *)field)->n > 0;
    return true;
}

/* What only decoders that predict tokens have, and what they have not. */
static tt_status check_task(const tti_config *c, const char *where) {
    const bool causal = c->task == TTI_CONFIG_CAUSAL;
    if (causal && (c->data.format == TTI_FORMAT_TSV || c->data.format == TTI_FORMAT_CSV))
        return tti_fail(TT_E_FORMAT,
                        "%s: data.format: expected auto, alpaca, prompt_completion, messages or "
                        "text for task causal",
                        where);
    if (!causal && c->data.format >= TTI_FORMAT_ALPACA)
        return tti_fail(TT_E_FORMAT,
                        "%s: data.format: expected auto, jsonl, tsv or csv unless task is "
                        "causal",
                        where);
    if (!causal && c->select.policy >= TTI_SELECT_STRATIFIED)
        return tti_fail(TT_E_FORMAT,
                        "%s: select.policy: expected random or prefix unless task is "
                        "causal",
                        where);
    if (c->task != TTI_CONFIG_CLASSIFY && c->data.shots > 0)
        return tti_fail(TT_E_FORMAT, "%s: data.shots: expected 0, for task %s has no classes",
                        where, causal ? "causal" : "regress");
    if (c->method.adapter && c->method.name == TTI_CONFIG_FULL)
        return tti_fail(TT_E_FORMAT, "%s: method.adapter: expected method.name lora with it",
                        where);
    return TT_OK;
}

/* What trains is not quantised. */
static tt_status check_storage(const tti_config *c, const char *where) {
    const struct {
        const char *key;
        int type;
    } of[] = {{"storage.weights", c->storage.weights}, {"storage.head", c->storage.head}};
    for (size_t i = 0; i < TT_COUNT(of); i++)
        if (c->method.name == TTI_CONFIG_FULL && of[i].type >= TTI_STORE_Q8)
            return tti_fail(TT_E_FORMAT,
                            "%s: %s: expected auto, f32, bf16 or f16 for method.name full; "
                            "quantised weights are for lora and qlora",
                            where, of[i].key);
    return TT_OK;
}

static tt_status check(const tti_config *c, const char *where) {
    for (size_t i = 0; i < tti_keys_n; i++)
        if ((tti_keys[i].flags & TTI_KEY_REQUIRED) && !is_set(c, &tti_keys[i]))
            return tti_fail(TT_E_FORMAT, "%s: %s: missing; it is the %s", where, tti_keys[i].key,
                            tti_keys[i].help);
    int held = (c->data.eval.n > 0) + (c->data.eval_fraction > 0) + (c->data.eval_count > 0);
    if (held > 1)
        return tti_fail(TT_E_FORMAT,
                        "%s: data.eval: expected only one of data.eval, data.eval_fraction and "
                        "data.eval_count",
                        where);
    if (c->data.labels.n == 1)
        return tti_fail(TT_E_FORMAT, "%s: data.labels: expected two labels or more", where);
    TT_TRY(check_storage(c, where));
    return check_task(c, where);
}

tt_status tti_config_load(tti_config *out, const char *path, const char *const *overrides,
                          size_t n) {
    tt_status s;
    TT_GO(apply_defaults(out));
    if (path) TT_GO(apply_file(out, path));
    for (size_t i = 0; i < n; i++) TT_GO(apply_override(out, overrides[i]));
    s = check(out, path ? path : "configuration");
done:
    if (s != TT_OK) tti_config_free(out);
    return s;
}

/* ---- text ---- */

static void value_text(tti_str *out, const tti_config *c, const tti_key *k) {
    const void *field = (const char *)c + k->offset;
    switch (k->type) {
    case TTI_KEY_BOOL: tti_str_puts(out, *(const bool *)field ? "true" : "false"); break;
    case TTI_KEY_SIZE:
    case TTI_KEY_INT: tti_str_printf(out, "%lld", (long long)*(const int64_t *)field); break;
    case TTI_KEY_NUM: tti_str_printf(out, "%.17g", *(const double *)field); break;
    case TTI_KEY_CHOICE:
        if (*(const int *)field >= 0) tti_str_puts(out, k->choices[*(const int *)field]);
        break;
    case TTI_KEY_TEXT: {
        const char *text = *(char *const *)field;
        if (text) tti_str_json(out, text, strlen(text));
        break;
    }
    case TTI_KEY_LIST: {
        const tti_texts *l = field;
        for (size_t i = 0; i < l->n; i++) {
            if (i > 0) tti_str_putc(out, ',');
            tti_str_json(out, l->v[i], strlen(l->v[i]));
        }
        break;
    }
    }
}

void tti_config_text(tti_str *out, const tti_config *c, bool only_result) {
    for (size_t i = 0; i < tti_keys_n; i++) {
        if (only_result && !(tti_keys[i].flags & TTI_KEY_RESULT)) continue;
        tti_str_printf(out, "%s=", tti_keys[i].key);
        value_text(out, c, &tti_keys[i]);
        tti_str_putc(out, '\n');
    }
}

/* The line of text that gives a key, without its newline; NULL when there is none. */
static const char *line_in(const char *text, const char *key, size_t *n) {
    size_t k = strlen(key);
    for (const char *p = text; *p; p += *n + (p[*n] != 0)) {
        *n = strcspn(p, "\n");
        if (*n > k && strncmp(p, key, k) == 0 && p[k] == '=') return p;
    }
    return NULL;
}

tt_status tti_config_same_run(const tti_config *c, const char *text) {
    for (size_t i = 0; i < tti_keys_n; i++) {
        const tti_key *k = &tti_keys[i];
        if (!(k->flags & TTI_KEY_RESULT)) continue;
        tti_str now = {0};
        tti_str_printf(&now, "%s=", k->key);
        value_text(&now, c, k);
        size_t n = 0;
        const char *then = line_in(text, k->key, &n);
        tt_status s = now.status;
        if (s == TT_OK && !(then && n == now.len && memcmp(then, now.p, n) == 0))
            s = tti_fail(TT_E_ARG,
                         "%s differs from the run to resume (%.*s), which would change its "
                         "result; give the former value, or --overwrite to begin again",
                         now.p, (int)(then ? n : 9), then ? then : "not given");
        tti_str_free(&now);
        TT_TRY(s);
    }
    return TT_OK;
}
