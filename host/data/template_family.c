// SPDX-License-Identifier: Apache-2.0
/* template_family.c - the families of templates that are known by name. */
#include "host/data/template_internal.h"

#define T(name) [TTI_TEXT_##name]

#define REQUEST " Write a response that appropriately completes the request."

const tti_family tti_families[] = {
    {"alpaca",
     false,
     {T(system) = "{system}\n\n",
      T(default_system) = "Below is an instruction that describes a task." REQUEST,
      T(default_system_input) = "Below is an instruction that describes a task, paired with an "
                                "input that provides further context." REQUEST,
      T(user) = "### Instruction:\n{instruction}\n\n### Response:\n",
      T(user_input) = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
      T(assistant) = "{assistant}{eos}", T(between) = "\n\n"}},
    {"llama2",
     true,
     {T(user) = "{bos}[INST] {user|trim} [/INST]",
      T(user_system) = "{bos}[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user|rtrim} [/INST]",
      T(assistant) = " {assistant|trim} {eos}"}},
    {"llama3",
     true,
     {T(begin) = "{bos}",
      T(system) = "<|start_header_id|>system<|end_header_id|>\n\n{system|trim}<|eot_id|>",
      T(user) = "<|start_header_id|>user<|end_header_id|>\n\n{user|trim}<|eot_id|>",
      T(prompt) = "<|start_header_id|>assistant<|end_header_id|>\n\n",
      T(assistant) = "{assistant|trim}<|eot_id|>"}},
    {"chatml",
     true,
     {T(system) = "<|im_start|>system\n{system}<|im_end|>\n",
      T(user) = "<|im_start|>user\n{user}<|im_end|>\n", T(prompt) = "<|im_start|>assistant\n",
      T(assistant) = "{assistant}<|im_end|>\n"}},
    {"mistral",
     true,
     {T(begin) = "{bos}", T(user) = "[INST] {user} [/INST]",
      T(user_system) = "[INST] {system}\n\n{user} [/INST]", T(assistant) = " {assistant}{eos}"}},
    {"gemma",
     true,
     {T(begin) = "{bos}", T(user) = "<start_of_turn>user\n{user|trim}<end_of_turn>\n",
      T(user_system) = "<start_of_turn>user\n{system}\n\n{user|trim}<end_of_turn>\n",
      T(prompt) = "<start_of_turn>model\n", T(assistant) = "{assistant|trim}<end_of_turn>\n"}},
    {"zephyr",
     true,
     {T(system) = "<|system|>\n{system}{eos}\n", T(user) = "<|user|>\n{user}{eos}\n",
      T(prompt) = "<|assistant|>\n", T(assistant) = "{assistant}{eos}\n"}},
    {"none",
     false,
     {T(system) = "{system}", T(user) = "{user}", T(assistant) = "{assistant}{eos}"}},
};
const size_t tti_family_count = TT_COUNT(tti_families);
