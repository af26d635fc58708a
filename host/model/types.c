// SPDX-License-Identifier: Apache-2.0
/* types.c - which type each parameter has in memory, settled before any memory is. */
#include <stdlib.h>
#include <string.h>
#include "host/model/internal.h"

bool tti_model_is_table(const tti_model *m, const char *name) {
    const char *const table[] = {m->family->word, m->family->position, m->family->type};
    for (size_t i = 0; i < TT_COUNT(table); i++)
        if (table[i] && strstr(name, table[i])) return true;
    return false;
}

bool tti_model_in_head(const tti_model *m, const char *name) {
    const tti_family *f = m->family;
    if (f->decoder) return !strncmp(name, f->classifier, strlen(f->classifier));
    char dense[192];
    if (f->dense.in_body)
        tti_body_name(m, dense, "%s", f->dense.module);
    else
        snprintf(dense, sizeof dense, "%s", f->dense.module);
    return !strncmp(name, dense, strlen(dense)) ||
           !strncmp(name, f->classifier, strlen(f->classifier));
}

/* The block whose parameter it is: the number in "prefix" "encoder.layer.%d.". */
static int layer_of(const tti_model *m, const char *name) {
    const char *number = strchr(m->family->block, '%');
    char before[192];
    tti_body_name(m, before, "%.*s", (int)(number - m->family->block), m->family->block);
    const size_t n = strlen(before);
    char *end;
    if (strncmp(name, before, n) != 0) return -1;
    const long layer = strtol(name + n, &end, 10);
    return end > name + n && *end == '.' && layer < m->sizes.layers ? (int)layer : -1;
}

/* ---- what is asked for ---- */

static bool known(int t) { return t == TTI_F32 || t == TTI_F16 || t == TTI_BF16; }

static tt_status check(const tti_model_opts *o) {
    const struct {
        const char *what;
        int type;
    } asked[] = {{"weights", o->weights}, {"head", o->head}};
    for (size_t i = 0; i < TT_COUNT(asked); i++)
        if (asked[i].type != TTI_AS_STORED && !known(asked[i].type) &&
            !(asked[i].type >= 0 && tti_dtype_quantised((tti_dtype)asked[i].type)))
            return tti_fail(TT_E_ARG, "%s %s: expected f32, bf16, f16, q8 or nf4", asked[i].what,
                            tti_dtype_name((tti_dtype)asked[i].type));
    if (known((int)o->gradients)) return TT_OK;
    return tti_fail(TT_E_ARG, "gradients %s: expected f32, bf16 or f16",
                    tti_dtype_name(o->gradients));
}

/* Of output layers and tables where nobody says: that of the weights, or 16 bits beside quantised
 * ones, those that the checkpoint has. */
static tti_dtype head_type(const tti_model *m, tti_dtype weights) {
    const char *key[] = {"torch_dtype", "dtype"};
    if (m->opts.head != TTI_AS_STORED) return (tti_dtype)m->opts.head;
    if (!tti_dtype_quantised(weights)) return weights;
    for (size_t i = 0; i < TT_COUNT(key); i++) {
        const cJSON *v = tti_json_get(m->config->json, key[i]);
        if (cJSON_IsString(v) && !strcmp(v->valuestring, "float16")) return TTI_F16;
    }
    return TTI_BF16;
}

/* ---- what each one gets ---- */

typedef enum { SMALL, BODY, OUTER } role; /* SMALL: f32 in any case */

bool tti_model_is_body(const tti_model *m, const tti_param *p) {
    return !p->vector && !p->computed && !strstr(p->name, ".lora_") &&
           !tti_model_is_table(m, p->name) && !tti_model_in_head(m, p->name) &&
           strcmp(p->name, "lm_head.weight");
}

static role role_of(const tti_model *m, const tti_param *p) {
    if (p->vector || p->computed || strstr(p->name, ".lora_")) return SMALL;
    if (p->trainable && (p->sparse || m->opts.method == TTI_METHOD_LORA)) return SMALL;
    return tti_model_is_body(m, p) ? BODY : OUTER;
}

/* How the checkpoint has p, where it is quantised there; where only config.json is at hand, as it
 * says of a body's layers. */
static tt_status as_stored(const tti_model *m, const tti_param *p, role r, bool *found,
                           tti_layout *l) {
    tti_stored x;
    *found = false;
    if (p->vector || p->computed || strstr(p->name, ".lora_")) return TT_OK;
    if (!m->st) {
        *found = r == BODY && m->quant.type != TTI_F32;
        *l = tti_layout_of(m->quant.type, p->rows, p->cols, TTI_QUANT_BLOCK, m->quant.nested);
        return TT_OK;
    }
    TT_TRY(tti_model_stored(m, m->st, p->name, &x));
    *found = tti_model_stored_alike(p, &x);
    *l = x.layout;
    return TT_OK;
}

static tt_status assign(tti_model *m, tti_param *p, tti_dtype weights, tti_dtype head) {
    const role r = role_of(m, p);
    const int asked = r == BODY ? m->opts.weights : m->opts.head;
    const char *what = r == BODY ? "weights" : "head";
    tti_layout l;
    bool found;
    TT_TRY(as_stored(m, p, r, &found, &l));
    p->layer = layer_of(m, p->name);
    p->gtype = p->trainable && r == BODY ? m->opts.gradients : TTI_F32;
    if (r != SMALL && found && (asked == TTI_AS_STORED || (tti_dtype)asked == l.type))
        p->layout = l;
    else
        p->layout = tti_layout_of(r == SMALL  ? TTI_F32
                                  : r == BODY ? weights
                                              : head,
                                  p->rows, p->cols, TTI_QUANT_BLOCK, m->opts.nested);
    if (!p->trainable || !tti_dtype_quantised(p->layout.type)) return TT_OK;
    return tti_fail(TT_E_ARG,
                    "%s: quantised weights cannot be trained (%s %s); use method lora, or %s bf16",
                    p->name, what, tti_dtype_name(p->layout.type), what);
}

tt_status tti_model_assign_types(tti_model *m) {
    TT_TRY(check(&m->opts));
    const bool stored = m->opts.weights == TTI_AS_STORED;
    const tti_dtype weights = stored ? TTI_F32 : (tti_dtype)m->opts.weights;
    const tti_dtype head = head_type(m, stored ? m->quant.type : weights);
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        /* only dense ones are cut: a table that no buffer holds has all rows of its gradient */
        p->sparse = p->sparse && p->rows * p->cols <= m->max_alloc / sizeof(float);
        TT_TRY(assign(m, p, weights, head));
    }
    return TT_OK;
}
