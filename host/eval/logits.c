// SPDX-License-Identifier: Apache-2.0
/* logits.c - a forward-only session, a text at a time. */
#include "host/eval/logits.h"
#include "host/train/batch.h"
#include "host/train/session.h"

static tt_status run_one(tti_session *s, tti_batch *b, const tti_model_info *info, int att_rows,
                         const tti_text_ids *text, float **out, size_t *count) {
    const bool causal = info->task == TTI_TASK_CAUSAL;
    const tti_sequence q = {.ids = text->ids, .n = text->n};
    *count = causal ? text->n * (size_t)info->vocab : (size_t)info->num_labels;
    if (!(*out = tti_malloc(*count * sizeof **out))) return TT_E_NOMEM;
    TT_TRY(tti_batch_fill(b, info, att_rows, &q, 1, NULL, 0, false));
    TT_TRY(tti_session_batch(s, tti_batch_feed(b), 0, 1.0f));
    return tti_session_logits(s, *out, *count);
}

tt_status tti_logits_of(float **out, size_t *count, const tti_text_ids *texts, size_t n,
                        tti_device *d, tti_gemm *gemm, const char *dir, const tti_model_opts *o) {
    tti_model *model = NULL;
    tti_session *session = NULL;
    tti_batch *batch = NULL;
    tti_session_opts so = tti_session_defaults();
    const int att_rows = tti_device_caps(d)->att_rows;
    size_t longest = 0;
    tt_status s;
    for (size_t i = 0; i < n; i++) longest = TT_MAX(longest, texts[i].n);
    TT_GO(tti_model_load(&model, d, dir, o));
    const tti_model_info *info = tti_model_get_info(model);
    so.logits = TTI_LOGITS_ALL;
    so.max = tti_batch_bounds(info, att_rows, 1, longest, longest, 1);
    TT_GO(tti_batch_new(&batch));
    TT_GO(tti_session_new(&session, d, gemm, model, &so));
    for (size_t i = 0; i < n; i++)
        TT_GO(run_one(session, batch, info, att_rows, &texts[i], &out[i], &count[i]));
done:
    tti_session_free(session);
    tti_batch_free(batch);
    tti_model_free(model);
    return s;
}
