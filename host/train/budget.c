// SPDX-License-Identifier: Apache-2.0
/* budget.c - dials: defaults, their smallest, their names. */
#include "host/train/budget.h"

#include <string.h>

tti_dials tti_dials_defaults(void) {
    return (tti_dials){.weights = TTI_AS_STORED,
                       .head = TTI_AS_STORED,
                       .nested = true,
                       .keep = 1,
                       .seq = 256,
                       .batch = 8};
}

void tti_dials_settle(tti_dials *d, unsigned given) {
    if (d->method == TTI_CONFIG_QLORA && !(given & TTI_DIAL_WEIGHTS)) d->weights = TTI_NF4;
    if (!(given & TTI_DIAL_KEYS)) d->keys = d->kept;
}

void tti_dials_smallest(tti_dials *d, unsigned given) {
    const bool full = d->method == TTI_CONFIG_FULL;
    const unsigned open = ~given;
    const bool four = d->method == TTI_CONFIG_QLORA; /* lora's weights are not quantised */
    if (open & TTI_DIAL_WEIGHTS) d->weights = four ? TTI_NF4 : TTI_BF16;
    if (open & TTI_DIAL_HEAD) d->head = full ? TTI_BF16 : four ? TTI_NF4 : TTI_Q8;
    if (open & TTI_DIAL_NESTED) d->nested = true;
    if (open & TTI_DIAL_KEPT) d->kept = TTI_BF16;
    if (open & TTI_DIAL_KEYS) {
        d->keys = TTI_Q8;
        d->recompute_keys = false;
    }
    if (open & TTI_DIAL_GRADIENTS) d->gradients = full ? TTI_BF16 : TTI_F32;
    if (open & TTI_DIAL_RECOMPUTE) d->recompute = TTI_RECOMPUTE_BLOCK;
    if (open & TTI_DIAL_OPTIMIZER) d->optimizer = TTI_OPT_ADAMW8;
}

tt_status tti_dials_check(const tti_dials *d) {
    const bool body = d->weights >= TTI_Q8;
    if (d->method == TTI_CONFIG_FULL && (body || d->head >= TTI_Q8))
        return tti_fail(TT_E_ARG,
                        "%s in %s: quantised weights do not train; with them the method is lora or "
                        "qlora",
                        body ? "weights" : "head", tti_storage_name(body ? d->weights : d->head));
    if (d->stream && d->method == TTI_CONFIG_FULL)
        return tti_fail(TT_E_ARG, "stream: only frozen layers can stay in host memory, and with "
                                  "method full all train; with lora or qlora they are frozen");
    return TT_OK;
}

tti_dials tti_dials_of_model(const tti_dials *d, tti_model *m) {
    tti_dials out = *d;
    for (size_t i = tti_model_nparams(m); i > 0; i--) { /* the first one of each kind holds */
        const tti_param *p = tti_model_param(m, i - 1);
        if (p->vector || p->computed || strstr(p->name, ".lora_")) continue;
        if (p->layer >= 0 && d->weights == TTI_AS_STORED) out.weights = (int)p->layout.type;
        if (p->layer < 0 && d->head == TTI_AS_STORED) out.head = (int)p->layout.type;
    }
    return out;
}

void tti_dials_model(const tti_dials *d, tti_model_opts *o) {
    o->method = d->method == TTI_CONFIG_FULL ? TTI_METHOD_FULL : TTI_METHOD_LORA;
    o->weights = d->weights;
    o->head = d->head;
    o->nested = d->nested;
    o->gradients = d->gradients;
    o->stream = d->stream;
}

void tti_dials_session(const tti_dials *d, tti_session_opts *o) {
    o->store = (tti_store_opts){.kept = d->kept, .keys = d->recompute_keys ? d->kept : d->keys};
    o->recompute = d->recompute;
    o->recompute_keys = d->recompute_keys;
    o->optimizer = d->optimizer;
}

tti_dtype tti_store_type(int choice) {
    static const tti_dtype types[] = {[TTI_STORE_F32] = TTI_F32,
                                      [TTI_STORE_BF16] = TTI_BF16,
                                      [TTI_STORE_F16] = TTI_F16,
                                      [TTI_STORE_Q8] = TTI_Q8,
                                      [TTI_STORE_NF4] = TTI_NF4};
    TT_ASSERT(choice > TTI_STORE_AUTO && choice < (int)TT_COUNT(types));
    return types[choice];
}

/* ---- names ---- */

const char *tti_method_name(int method) {
    static const char *const names[] = {"full", "lora", "qlora"};
    return names[method];
}

const char *tti_recompute_name(tti_recompute r) {
    static const char *const names[] = {"none", "mlp", "block"};
    return names[r];
}

const char *tti_storage_name(int type) {
    return type == TTI_AS_STORED ? "auto" : tti_dtype_name((tti_dtype)type);
}

const char *tti_dials_keys_name(const tti_dials *d) {
    return d->recompute_keys ? "recompute" : tti_dtype_name(d->keys);
}

void tti_dials_json(tti_str *out, const tti_dials *d) {
    tti_str_printf(out,
                   "\"method\": \"%s\", \"weights\": \"%s\", \"head\": \"%s\", "
                   "\"double_quant\": %s, \"kept\": \"%s\", \"keys\": \"%s\", ",
                   tti_method_name(d->method), tti_storage_name(d->weights),
                   tti_storage_name(d->head), d->nested ? "true" : "false", tti_dtype_name(d->kept),
                   tti_dials_keys_name(d));
    tti_str_printf(out,
                   "\"gradients\": \"%s\", \"recompute\": \"%s\", \"optimizer\": \"%s\", "
                   "\"stream\": %s, \"keep\": %g, \"seq\": %zu, \"batch\": %zu",
                   tti_dtype_name(d->gradients), tti_recompute_name(d->recompute),
                   tti_optimizer_name(d->optimizer), d->stream ? "true" : "false", d->keep, d->seq,
                   d->batch);
}

static const char *value(const tti_dials *d, unsigned bit, char text[32]) {
    switch (bit) {
    case TTI_DIAL_WEIGHTS: return tti_storage_name(d->weights);
    case TTI_DIAL_HEAD: return tti_storage_name(d->head);
    case TTI_DIAL_KEPT: return tti_dtype_name(d->kept);
    case TTI_DIAL_KEYS: return tti_dials_keys_name(d);
    case TTI_DIAL_GRADIENTS: return tti_dtype_name(d->gradients);
    case TTI_DIAL_RECOMPUTE: return tti_recompute_name(d->recompute);
    case TTI_DIAL_OPTIMIZER: return tti_optimizer_name(d->optimizer);
    case TTI_DIAL_METHOD: return tti_method_name(d->method);
    case TTI_DIAL_STREAM: return d->stream ? "true" : "false";
    case TTI_DIAL_NESTED: return d->nested ? "true" : "false";
    case TTI_DIAL_KEEP: snprintf(text, 32, "%g", d->keep); return text;
    case TTI_DIAL_SEQ: snprintf(text, 32, "%zu", d->seq); return text;
    case TTI_DIAL_BATCH: snprintf(text, 32, "%zu", d->batch); return text;
    default: return "";
    }
}

void tti_dials_say(tti_str *out, const tti_dials *d, unsigned which, tti_say how) {
    static const struct {
        unsigned bit;
        const char *key, *flag;
    } names[] = {{TTI_DIAL_METHOD, "method.name", "--method"},
                 {TTI_DIAL_KEEP, "select.keep", "--keep"},
                 {TTI_DIAL_SEQ, "data.max_len", "--seq"},
                 {TTI_DIAL_BATCH, "train.batch", "--batch"},
                 {TTI_DIAL_RECOMPUTE, "memory.recompute", "--recompute"},
                 {TTI_DIAL_KEPT, "storage.kept", "--kept"},
                 {TTI_DIAL_KEYS, "storage.keys", "--keys"},
                 {TTI_DIAL_WEIGHTS, "storage.weights", "--weights"},
                 {TTI_DIAL_HEAD, "storage.head", "--head"},
                 {TTI_DIAL_NESTED, "storage.double_quant", "--double-quant"},
                 {TTI_DIAL_GRADIENTS, "storage.gradients", "--gradients"},
                 {TTI_DIAL_OPTIMIZER, "train.optimizer", "--optimizer"},
                 {TTI_DIAL_STREAM, "memory.stream", "--stream"}};
    char text[32];
    bool first = true;
    for (size_t i = 0; i < TT_COUNT(names); i++) {
        if (!(which & names[i].bit)) continue;
        const char *v = value(d, names[i].bit, text);
        if (how == TTI_SAY_KEYS)
            tti_str_printf(out, "%s%s=%s", first ? "" : " ", names[i].key, v);
        else if (names[i].bit == TTI_DIAL_STREAM) /* a flag without a value */
            tti_str_printf(out, "%s%s", first ? "" : " ", names[i].flag);
        else
            tti_str_printf(out, "%s%s %s", first ? "" : " ", names[i].flag, v);
        first = false;
    }
}

void tti_bytes_say(tti_str *out, size_t bytes) {
    const double b = (double)bytes;
    if (b >= 1024.0 * (1 << 20))
        tti_str_printf(out, "%.2f GiB", b / 1024 / (1 << 20));
    else if (b >= 1 << 20)
        tti_str_printf(out, "%.1f MiB", b / (1 << 20));
    else
        tti_str_printf(out, "%.1f KiB", b / 1024);
}

void tti_bytes_table(tti_str *out, const tti_bytes *b) {
    const struct {
        const char *name;
        size_t bytes;
    } row[] = {{"weights", b->weights},      {"gradients", b->gradients},
               {"optimizer", b->optimizer},  {"kept activations", b->kept},
               {"transients", b->transient}, {"inputs", b->inputs},
               {"workspace", b->workspace}};
    for (size_t i = 0; i < TT_COUNT(row); i++) {
        tti_str_printf(out, "%s%s ", i > 0 ? ", " : "", row[i].name);
        tti_bytes_say(out, row[i].bytes);
    }
}
