// SPDX-License-Identifier: Apache-2.0
/* json_write.c - changing JSON values and writing them down. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"
#include "host/format/json.h"

tt_status tti_json_set(cJSON *object, const char *key, cJSON *value) {
    if (!value) return tti_fail(TT_E_NOMEM, "%s: out of host memory", key);
    bool ok = cJSON_GetObjectItemCaseSensitive(object, key)
                  ? cJSON_ReplaceItemInObjectCaseSensitive(object, key, value)
                  : cJSON_AddItemToObject(object, key, value);
    if (ok && value->string) return TT_OK;
    if (!ok) cJSON_Delete(value);
    return tti_fail(TT_E_NOMEM, "%s: out of host memory", key);
}

tt_status tti_json_set_str(cJSON *object, const char *key, const char *value) {
    return tti_json_set(object, key, cJSON_CreateString(value));
}

tt_status tti_json_set_int(cJSON *object, const char *key, int64_t value) {
    return tti_json_set(object, key, cJSON_CreateNumber((double)value));
}

tt_status tti_json_set_float(cJSON *object, const char *key, double value) {
    cJSON *v = cJSON_CreateNumber(value);
    if (v) v->type |= TTI_JSON_FLOAT;
    return tti_json_set(object, key, v);
}

tt_status tti_json_set_bool(cJSON *object, const char *key, bool value) {
    return tti_json_set(object, key, cJSON_CreateBool(value));
}

static void print_number(tti_str *out, const cJSON *v) {
    double x = v->valuedouble;
    if (!isfinite(x)) { /* JSON has no such numbers: Python's reader knows these words */
        tti_str_puts(out, isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity");
        return;
    }
    char text[40];
    bool whole = fabs(x) <= 0x1p53 && x == nearbyint(x);
    if (whole && fabs(x) < 1e16) {
        snprintf(text, sizeof text, "%.0f", x);
        if (v->type & TTI_JSON_FLOAT)
            tti_str_printf(out, "%s.0", text);
        else
            tti_str_puts(out, text);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    char *comma = strchr(text, ','); /* some locales */
    if (comma) *comma = '.';
    tti_str_puts(out, text);
}

static void new_line(tti_str *out, int depth) {
    tti_str_putc(out, '\n');
    for (int i = 0; i < depth; i++) tti_str_puts(out, "  ");
}

static void print(tti_str *out, const cJSON *v, int depth) {
    if (cJSON_IsString(v)) {
        tti_str_json(out, v->valuestring, strlen(v->valuestring));
    } else if (cJSON_IsNumber(v)) {
        print_number(out, v);
    } else if (cJSON_IsArray(v) || cJSON_IsObject(v)) {
        const bool object = cJSON_IsObject(v);
        tti_str_putc(out, object ? '{' : '[');
        for (const cJSON *c = v->child; c; c = c->next) {
            new_line(out, depth + 1);
            if (object) {
                const char *key = c->string ? c->string : "";
                tti_str_json(out, key, strlen(key));
                tti_str_puts(out, ": ");
            }
            print(out, c, depth + 1);
            if (c->next) tti_str_putc(out, ',');
        }
        if (v->child) new_line(out, depth);
        tti_str_putc(out, object ? '}' : ']');
    } else {
        tti_str_puts(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : "null");
    }
}

void tti_json_print(tti_str *out, const cJSON *value) { print(out, value, 0); }

tt_status tti_json_write(const char *path, const cJSON *value) {
    tti_str text = {0};
    tti_json_print(&text, value);
    tti_str_putc(&text, '\n');
    tt_status s = text.status;
    if (s == TT_OK) s = tti_file_write(path, text.p, text.len);
    tti_str_free(&text);
    return s;
}
