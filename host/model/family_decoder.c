// SPDX-License-Identifier: Apache-2.0
/* family_decoder.c - the decoders that are known. A relative of one of them is an entry here. */
#include "host/model/internal.h"

#define PARTS                                                                              \
    .norm1 = "input_layernorm", .norm2 = "post_attention_layernorm", .final_norm = "norm", \
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",             \
    .o = "self_attn.o_proj", .gate = "mlp.gate_proj", .up = "mlp.up_proj",                 \
    .down = "mlp.down_proj", .eps = "rms_norm_eps"

static const tti_decoder llama = {PARTS, .qkv_bias = TTI_BIAS_ASK, .o_bias = TTI_BIAS_ASK,
                                  .mlp_bias = TTI_BIAS_ASK};
static const tti_decoder mistral = {PARTS, .window = TTI_WINDOW_ALL};
static const tti_decoder qwen2 = {PARTS, .qkv_bias = TTI_BIAS_YES, .window = TTI_WINDOW_UPPER};
static const tti_decoder qwen3 = {PARTS,
                                  .q_norm = "self_attn.q_norm",
                                  .k_norm = "self_attn.k_norm",
                                  .qkv_bias = TTI_BIAS_ASK,
                                  .o_bias = TTI_BIAS_ASK,
                                  .window = TTI_WINDOW_UPPER,
                                  .head_dim = 128};

#define GEMMA                                                                                \
    .norm_plus = 1, .norm1 = "input_layernorm", .post1 = "post_attention_layernorm",         \
    .norm2 = "pre_feedforward_layernorm", .post2 = "post_feedforward_layernorm",             \
    .final_norm = "norm", .q = "self_attn.q_proj", .k = "self_attn.k_proj",                  \
    .v = "self_attn.v_proj", .o = "self_attn.o_proj", .gate = "mlp.gate_proj",               \
    .up = "mlp.up_proj", .down = "mlp.down_proj", .qkv_bias = TTI_BIAS_ASK,                  \
    .o_bias = TTI_BIAS_ASK, .embed_scale = true, .window = TTI_WINDOW_EVERY, .scalar = true, \
    .head_dim = 256, .tie = true, .eps = "rms_norm_eps"

static const tti_decoder gemma2 = {GEMMA, .window_pattern = 2};
static const tti_decoder gemma3 = {GEMMA, .window_pattern = 6, .nested_rope = true,
                                   .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"};
static const tti_decoder phi3 = {.norm1 = "input_layernorm",
                                 .norm2 = "post_attention_layernorm",
                                 .final_norm = "norm",
                                 .qkv = "self_attn.qkv_proj",
                                 .o = "self_attn.o_proj",
                                 .gate_up = "mlp.gate_up_proj",
                                 .down = "mlp.down_proj",
                                 .window = TTI_WINDOW_ALL,
                                 .eps = "rms_norm_eps"};
static const tti_decoder gpt2 = {.layernorm = true,
                                 .norm1 = "ln_1",
                                 .norm2 = "ln_2",
                                 .final_norm = "ln_f",
                                 .qkv = "attn.c_attn",
                                 .o = "attn.c_proj",
                                 .up = "mlp.c_fc",
                                 .down = "mlp.c_proj",
                                 .conv1d = true,
                                 .qkv_bias = TTI_BIAS_YES,
                                 .o_bias = TTI_BIAS_YES,
                                 .mlp_bias = TTI_BIAS_YES,
                                 .tie = true,
                                 .eps = "layer_norm_epsilon"};

#define LLAMA_LIKE(name, of, table)                                                             \
    .model_type = name, .architecture = of "ForSequenceClassification",                         \
    .causal = of "ForCausalLM", .decoder = &table, .prefix = "model.", .hidden = "hidden_size", \
    .layers = "num_hidden_layers", .heads = "num_attention_heads", .ffn = "intermediate_size",  \
    .max_pos = "max_position_embeddings", .attention_dropout = "attention_dropout",             \
    .word = "embed_tokens", .block = "layers.%d.", .classifier = "score",                       \
    .modules_to_save = {"classifier", "score"}, .pad_default = -1

const tti_family tti_decoder_families[] = {
    {LLAMA_LIKE("llama", "Llama", llama), .act = "hidden_act", .eps_default = 1e-6},
    {LLAMA_LIKE("mistral", "Mistral", mistral), .act = "hidden_act", .eps_default = 1e-6},
    {LLAMA_LIKE("qwen2", "Qwen2", qwen2), .act = "hidden_act", .eps_default = 1e-6},
    {LLAMA_LIKE("qwen3", "Qwen3", qwen3), .act = "hidden_act", .eps_default = 1e-6},
    {LLAMA_LIKE("gemma2", "Gemma2", gemma2), .act = "hidden_activation", .eps_default = 1e-6},
    {LLAMA_LIKE("gemma3_text", "Gemma3Text", gemma3), .act = "hidden_activation",
     .eps_default = 1e-6},
    {LLAMA_LIKE("phi3", "Phi3", phi3), .act = "hidden_act", .hidden_dropout = "resid_pdrop",
     .eps_default = 1e-5},
    {.model_type = "gpt2",
     .architecture = "GPT2ForSequenceClassification",
     .causal = "GPT2LMHeadModel",
     .decoder = &gpt2,
     .prefix = "transformer.",
     .hidden = "n_embd",
     .layers = "n_layer",
     .heads = "n_head",
     .ffn = "n_inner",
     .max_pos = "n_positions",
     .act = "activation_function",
     .hidden_dropout = "resid_pdrop",
     .hidden_dropout_default = 0.1,
     .attention_dropout = "attn_pdrop",
     .attention_dropout_default = 0.1,
     .word = "wte",
     .position = "wpe",
     .block = "h.%d.",
     .classifier = "score",
     .modules_to_save = {"classifier", "score"},
     .pad_default = -1,
     .eps_default = 1e-5},
};
const size_t tti_decoder_families_n = TT_COUNT(tti_decoder_families);
