// SPDX-License-Identifier: Apache-2.0
/* streamed.c - frozen blocks that stay in host memory, as a stream of the graphs that read them. */
#include "host/graph/stream.h"
#include "host/model/internal.h"

/* The hosted parameters; gives *items (tti_free). Where nothing is allocated their data is NULL. */
static tt_status list_items(const tti_model *m, tti_stream_item **items, size_t *n) {
    *n = 0;
    if (!(*items = tti_calloc(m->nparams + 1, sizeof **items))) return TT_E_NOMEM;
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_param *p = &m->params[i];
        if (!p->hosted) continue;
        const void *const *data = (const void *const *)m->hosts + (p->slabs - m->slabs);
        (*items)[(*n)++] = (tti_stream_item){p->layer, p->slabs, p->nslabs, data};
    }
    return TT_OK;
}

tt_status tti_model_stream_plan(tti_model *m) {
    tti_stream_item *items;
    size_t n;
    TT_TRY(list_items(m, &items, &n));
    const tt_status s = tti_stream_bytes(&m->stream_bytes, items, n, m->align, m->max_alloc);
    tti_free(items);
    return s;
}

tt_status tti_model_stream_make(tti_model *m) {
    tti_stream_item *items;
    size_t n;
    TT_TRY(list_items(m, &items, &n));
    const tt_status s = n > 0 ? tti_stream_new(&m->stream, m->dev, items, n) : TT_OK;
    tti_free(items);
    return s;
}

tt_status tti_model_stream_bind(tti_model *m, const tti_graph *g, tti_exec *e) {
    if (!m->stream) return TT_OK;
    tti_val *values = tti_malloc(m->nparams * sizeof *values);
    if (!values) return TT_E_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < m->nparams; i++)
        if (m->params[i].hosted) values[n++] = TTI_NONE;
    for (size_t v = 0; v < tti_graph_values(g); v++) {
        if (tti_value_at(g, (tti_val)v)->kind != TTI_VALUE_PARAM) continue;
        const tti_param *p = tti_model_param_of(m, g, (tti_val)v);
        if (!p || !p->hosted) continue;
        size_t item = 0;
        for (const tti_param *q = m->params; q < p; q++) item += q->hosted;
        values[item] = (tti_val)v;
    }
    const tt_status s = tti_exec_stream(e, m->stream, values);
    tti_free(values);
    return s;
}
