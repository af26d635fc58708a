// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify_case.h"

#include "host/core/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static tti_json_at at(const tti_case *c) { return (tti_json_at){c->json, c->path}; }

static tt_status bad(const tti_case *c, const char *key, const char *expected) {
    return tti_fail(TT_E_FORMAT, "%s: %s: expected %s", c->path, key, expected);
}

/* One list of integers, copied. */
static tt_status list(tti_case *c, const char *key, const cJSON *array, int32_t **out, size_t *n) {
    if (!cJSON_IsArray(array)) return bad(c, key, "a list of lists of integers");
    *n = (size_t)cJSON_GetArraySize(array);
    TT_TRY(TTI_GROW(c->lists, c->lists_cap, c->nlists + 1));
    int32_t *v = c->lists[c->nlists] = tti_malloc((*n + 1) * sizeof *v);
    if (!v) return TT_E_NOMEM;
    c->nlists++;
    size_t i = 0;
    const cJSON *e;
    cJSON_ArrayForEach(e, array) {
        if (!cJSON_IsNumber(e) || e->valuedouble != floor(e->valuedouble) ||
            fabs(e->valuedouble) > INT32_MAX)
            return bad(c, key, "integers");
        v[i++] = (int32_t)e->valuedouble;
    }
    *out = v;
    return TT_OK;
}

static tt_status array(const tti_case *c, const char *key, size_t n, const cJSON **out) {
    TT_TRY(tti_json_array(at(c), key, out));
    if (!*out || (n && (size_t)cJSON_GetArraySize(*out) != n))
        return bad(c, key, "a list with an entry for each sequence");
    return TT_OK;
}

static tt_status label(const tti_case *c, tti_sequence *q, const cJSON *e) {
    const bool number = cJSON_IsNumber(e) && fabs(e->valuedouble) <= INT32_MAX;
    if (!number) return bad(c, "labels", "a number for each sequence");
    q->target = (float)e->valuedouble;
    if (c->opts.task != TTI_TASK_CLASSIFY) return TT_OK;
    if (e->valuedouble != floor(e->valuedouble)) return bad(c, "labels", "whole numbers");
    q->label = (int32_t)e->valuedouble;
    return TT_OK;
}

static tt_status read_sequences(tti_case *c) {
    const cJSON *ids, *selected, *labels, *types, *e;
    TT_TRY(array(c, "input_ids", 0, &ids));
    c->nseqs = (size_t)cJSON_GetArraySize(ids);
    if (!c->nseqs) return bad(c, "input_ids", "at least one sequence");
    TT_TRY(array(c, "selected", c->nseqs, &selected));
    TT_TRY(array(c, "labels", c->nseqs, &labels));
    TT_TRY(tti_json_array(at(c), "token_type_ids", &types));
    if (types && (size_t)cJSON_GetArraySize(types) != c->nseqs)
        return bad(c, "token_type_ids", "a list with an entry for each sequence");
    c->seqs = tti_calloc(c->nseqs, sizeof *c->seqs);
    if (!c->seqs) return TT_E_NOMEM;
    for (size_t i = 0; i < c->nseqs; i++) {
        tti_sequence *q = &c->seqs[i];
        int32_t *v;
        size_t n;
        q->number = (uint32_t)i;
        TT_TRY(list(c, "input_ids", cJSON_GetArrayItem(ids, (int)i), &v, &q->n));
        q->ids = v;
        TT_TRY(list(c, "selected", cJSON_GetArrayItem(selected, (int)i), &v, &q->nselected));
        for (size_t k = 0; k < q->nselected; k++)
            if (v[k] < 0 || (size_t)v[k] >= q->n)
                return bad(c, "selected", "positions of the sequence, from 0");
        q->selected = v;
        if (types) {
            TT_TRY(list(c, "token_type_ids", cJSON_GetArrayItem(types, (int)i), &v, &n));
            if (n != q->n) return bad(c, "token_type_ids", "as many as input_ids");
            q->types = v;
        }
        e = cJSON_GetArrayItem(labels, (int)i);
        if (c->opts.task == TTI_TASK_CAUSAL) {
            TT_TRY(list(c, "labels", e, &v, &n));
            if (n != q->n) return bad(c, "labels", "as many as input_ids");
            q->next = v;
        } else
            TT_TRY(label(c, q, e));
        c->selected += q->nselected;
        c->supervised += tti_sequence_supervised(q);
    }
    return TT_OK;
}

/* The N of classify:N and classify-mean:N; 0 where the task is not of that form. */
static int classes(const char *task) {
    static const char *const kinds[] = {"classify:", "classify-mean:"};
    for (size_t i = 0; i < TT_COUNT(kinds); i++) {
        const size_t n = strlen(kinds[i]);
        if (strncmp(task, kinds[i], n)) continue;
        char *end;
        const long v = strtol(task + n, &end, 10);
        return task[n] >= '1' && task[n] <= '9' && !*end && v <= 1000000 ? (int)v : 0;
    }
    return 0;
}

static tt_status read_task(tti_case *c) {
    const char *task, *method, *pooling;
    TT_TRY(tti_json_str(at(c), "task", &task, ""));
    c->opts.num_labels = classes(task);
    if (c->opts.num_labels > 0)
        c->opts.task = TTI_TASK_CLASSIFY;
    else if (!strcmp(task, "regress"))
        c->opts.task = TTI_TASK_REGRESS;
    else if (!strcmp(task, "causal"))
        c->opts.task = TTI_TASK_CAUSAL;
    else
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: task \"%s\" is not supported; classify:N, regress and causal are",
                        c->path, task);
    TT_TRY(tti_json_str(at(c), "pooling", &pooling, "cls"));
    if (strcmp(pooling, "mean") && strcmp(pooling, "cls")) return bad(c, "pooling", "cls or mean");
    c->opts.pooling = !strcmp(pooling, "mean") ? TTI_POOL_MEAN : TTI_POOL_FIRST;
    TT_TRY(tti_json_str(at(c), "method", &method, "full"));
    if (strcmp(method, "full") && strcmp(method, "lora"))
        return tti_fail(TT_E_UNSUPPORTED, "%s: method \"%s\" is not supported; full and lora are",
                        c->path, method);
    if (!strcmp(method, "lora")) c->opts.method = TTI_METHOD_LORA;
    return TT_OK;
}

static tt_status tolerance(tti_json_at tol, const char *key, double *out, double fallback) {
    TT_TRY(tti_json_float(tol, key, out, fallback));
    if (*out > 0) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: tolerance: %s: expected a number above 0", tol.file, key);
}

static tt_status read_numbers(tti_case *c) {
    const cJSON *o, *t, *betas;
    const char *name;
    TT_TRY(tti_json_object(at(c), "optimizer", &o));
    TT_TRY(tti_json_object(at(c), "tolerance", &t));
    if (!o || !t) return bad(c, o ? "tolerance" : "optimizer", "an object");
    const tti_json_at opt = {o, c->path}, tol = {t, c->path};
    TT_TRY(tti_json_str(opt, "name", &name, "adamw"));
    if (strcmp(name, "adamw"))
        return tti_fail(TT_E_UNSUPPORTED, "%s: optimizer \"%s\" is not supported; adamw is",
                        c->path, name);
    TT_TRY(tti_json_float(opt, "lr", &c->lr, 1e-2));
    TT_TRY(tti_json_float(opt, "eps", &c->eps, 1e-8));
    TT_TRY(tti_json_float(opt, "weight_decay", &c->weight_decay, 0.01));
    TT_TRY(tti_json_float(opt, "max_grad_norm", &c->max_grad_norm, 1.0));
    TT_TRY(tti_json_int_in(opt, "steps", &c->steps, 3, 1, 1000));
    TT_TRY(tti_json_array(opt, "betas", &betas));
    c->beta1 = 0.9, c->beta2 = 0.999;
    if (betas) {
        const cJSON *b1 = cJSON_GetArrayItem(betas, 0), *b2 = cJSON_GetArrayItem(betas, 1);
        if (cJSON_GetArraySize(betas) != 2 || !cJSON_IsNumber(b1) || !cJSON_IsNumber(b2))
            return bad(c, "betas", "two numbers");
        c->beta1 = b1->valuedouble, c->beta2 = b2->valuedouble;
    }
    TT_TRY(tolerance(tol, "loss", &c->tol_loss, 1e-5));
    TT_TRY(tolerance(tol, "logits", &c->tol_logits, 1e-4));
    TT_TRY(tolerance(tol, "grad", &c->tol_grad, 2e-4));
    return tolerance(tol, "after3", &c->tol_after, 2e-3);
}

static tt_status read_all(tti_case *c, const char *dir) {
    c->path = tti_path_join(dir, "case.json");
    if (!c->path) return TT_E_NOMEM;
    c->opts = tti_model_defaults();
    c->opts.hidden_dropout = c->opts.attention_dropout = c->opts.classifier_dropout = 0;
    c->opts.head = TTI_F32; /* what is expected was computed so */
    TT_TRY(tti_json_file(&c->json, c->path, TTI_JSON_MAX));
    TT_TRY(read_task(c));
    TT_TRY(read_numbers(c));
    return read_sequences(c);
}

tt_status tti_case_read(tti_case *c, const char *dir) {
    *c = (tti_case){0};
    tt_status s = read_all(c, dir);
    if (s != TT_OK) tti_case_free(c);
    return s;
}

void tti_case_free(tti_case *c) {
    for (size_t i = 0; i < c->nlists; i++) tti_free(c->lists[i]);
    tti_free(c->lists);
    tti_free(c->seqs);
    tti_free(c->path);
    tti_json_free(c->json);
    *c = (tti_case){0};
}
