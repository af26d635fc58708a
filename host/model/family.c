// SPDX-License-Identifier: Apache-2.0
/* family.c - the encoders that are known. A relative of one of them is an entry here. */
#include "host/model/internal.h"

#include <string.h>

#define BERT_BODY                                                                                 \
    .max_pos = "max_position_embeddings", .hidden = "hidden_size", .layers = "num_hidden_layers", \
    .heads = "num_attention_heads", .ffn = "intermediate_size", .act = "hidden_act",              \
    .hidden_dropout = "hidden_dropout_prob", .attention_dropout = "attention_probs_dropout_prob", \
    .classifier_dropout = "classifier_dropout", .hidden_dropout_default = 0.1,                    \
    .attention_dropout_default = 0.1, .classifier_dropout_default = -1,                           \
    .word = "embeddings.word_embeddings", .position = "embeddings.position_embeddings",           \
    .type = "embeddings.token_type_embeddings", .embed_norm = "embeddings.LayerNorm",             \
    .block = "encoder.layer.%d.", .q = "attention.self.query", .k = "attention.self.key",         \
    .v = "attention.self.value", .o = "attention.output.dense",                                   \
    .norm1 = "attention.output.LayerNorm", .up = "intermediate.dense", .down = "output.dense",    \
    .norm2 = "output.LayerNorm", .attention_out_dropout = true, .eps_default = 1e-12,             \
    .eps_in_config = true

#define ROBERTA_BODY                                                                     \
    BERT_BODY, .prefix = "roberta.", .dense = {"classifier.dense", false, TTI_ACT_TANH}, \
               .head_dropout_first = true, .classifier = "classifier.out_proj",          \
               .modules_to_save = {"classifier", "score"}, .pad_default = 1,             \
               .pad_shifts_positions = true

static const tti_family families[] = {
    {.model_type = "bert",
     .architecture = "BertForSequenceClassification",
     BERT_BODY,
     .prefix = "bert.",
     .dense = {"pooler.dense", true, TTI_ACT_TANH},
     .classifier = "classifier",
     .modules_to_save = {"classifier", "score"}},
    {.model_type = "roberta", .architecture = "RobertaForSequenceClassification", ROBERTA_BODY},
    {.model_type = "xlm-roberta",
     .architecture = "XLMRobertaForSequenceClassification",
     ROBERTA_BODY},
    {.model_type = "camembert", .architecture = "CamembertForSequenceClassification", ROBERTA_BODY},
    {.model_type = "distilbert",
     .architecture = "DistilBertForSequenceClassification",
     .prefix = "distilbert.",
     .max_pos = "max_position_embeddings",
     .hidden = "dim",
     .layers = "n_layers",
     .heads = "n_heads",
     .ffn = "hidden_dim",
     .act = "activation",
     .hidden_dropout = "dropout",
     .attention_dropout = "attention_dropout",
     .classifier_dropout = "seq_classif_dropout",
     .hidden_dropout_default = 0.1,
     .attention_dropout_default = 0.1,
     .classifier_dropout_default = 0.2,
     .word = "embeddings.word_embeddings",
     .position = "embeddings.position_embeddings",
     .embed_norm = "embeddings.LayerNorm",
     .block = "transformer.layer.%d.",
     .q = "attention.q_lin",
     .k = "attention.k_lin",
     .v = "attention.v_lin",
     .o = "attention.out_lin",
     .norm1 = "sa_layer_norm",
     .up = "ffn.lin1",
     .down = "ffn.lin2",
     .norm2 = "output_layer_norm",
     .dense = {"pre_classifier", false, TTI_ACT_RELU},
     .classifier = "classifier",
     .modules_to_save = {"classifier", "score"},
     .eps_default = 1e-12},
};

const tti_family *tti_family_find(const char *model_type) {
    char known[256] = "";
    const size_t n = TT_COUNT(families) + tti_decoder_families_n;
    for (size_t i = 0; i < n; i++) {
        const tti_family *f =
            i < TT_COUNT(families) ? &families[i] : &tti_decoder_families[i - TT_COUNT(families)];
        if (!strcmp(f->model_type, model_type)) return f;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", f->model_type);
    }
    tti_fail(TT_E_UNSUPPORTED, "model_type \"%s\" is not known; known are: %s", model_type, known);
    return NULL;
}

tt_status tti_model_is_decoder(bool *out, const char *dir) {
    tti_hf_config *c;
    TT_TRY(tti_hf_config_read(&c, dir));
    const tti_family *f = tti_family_find(c->model_type);
    if (f) *out = f->decoder != NULL;
    const tt_status s = f ? TT_OK : tti_fail_in(TT_E_UNSUPPORTED, "%s", c->path);
    tti_hf_config_free(c);
    return s;
}
