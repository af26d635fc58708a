// SPDX-License-Identifier: Apache-2.0
/* config_fields.c - the table of all keys of a run description, and what is printed from it. */
#include <math.h>
#include <string.h>
#include "host/train/config_internal.h"
#include "host/train/near.h"

static const char *const pooling[] = {"cls", "mean", NULL};
static const char *const tasks[] = {"classify", "regress", "causal", NULL};
static const char *const methods[] = {"full", "lora", "qlora", NULL};
static const char *const formats[] = {
    "auto", "jsonl", "tsv", "csv", "alpaca", "prompt_completion", "messages", "text", NULL};
static const char *const headers[] = {"auto", "yes", "no", NULL};
static const char *const losses[] = {"answers", "all", NULL};
static const char *const policies[] = {"random", "prefix", "stratified", "loss", NULL};
static const char *const schedules[] = {"linear", "cosine", "constant", NULL};
static const char *const metrics[] = {"auto", "loss",    "accuracy", "f1",
                                      "mcc",  "pearson", "spearman", NULL};

static const char *const weights[] = {"auto", "f32", "bf16", "f16", "q8", "nf4", NULL};
static const char *const kept[] = {"auto", "f32", "bf16", "f16", NULL};
static const char *const keys[] = {"auto", "f32", "bf16", "f16", "q8", "recompute", NULL};
static const char *const gradients[] = {"f32", "bf16", "f16", NULL};
static const char *const recomputes[] = {"auto", "none", "mlp", "block", NULL};
static const char *const optimizers[] = {"adamw", "adamw8bit", "sgd", "adafactor", "lion", NULL};

const char *const tti_sections[] = {"model",   "data",   "method", "select", "train",
                                    "storage", "memory", "output", NULL};

#define AT(field) offsetof(tti_config, field)
#define REQ TTI_KEY_REQUIRED
#define RES TTI_KEY_RESULT
#define BIG 1e9

/* clang-format off */
const tti_key tti_keys[] = {
{"model.path", TTI_KEY_TEXT, REQ | RES, AT(model.path), 0, 0, NULL, NULL,
 "folder with config.json, weights and tokenizer files, as transformers saves them"},
{"model.pooling", TTI_KEY_CHOICE, RES, AT(model.pooling), 0, 0, pooling, NULL,
 "what the head reads: position 0 or the mean of positions (unset: as config.json says)"},
{"model.fresh_head", TTI_KEY_BOOL, RES, AT(model.fresh_head), 0, 0, NULL, "false",
 "a new head even where the checkpoint has one that fits"},
{"model.random_weights", TTI_KEY_BOOL, RES, AT(model.random_weights), 0, 0, NULL, "false",
 "training from nothing: config.json describes the model, all weights are drawn by train.seed"},
{"model.hidden_dropout", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(model.hidden_dropout), 0, 1, NULL,
 NULL, "dropout of hidden states (unset: as config.json says)"},
{"model.attention_dropout", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(model.attention_dropout), 0, 1,
 NULL, NULL, "dropout of attention probabilities (unset: as config.json says)"},
{"model.classifier_dropout", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(model.classifier_dropout), 0, 1,
 NULL, NULL, "dropout before the classifier (unset: as config.json says)"},

{"data.train", TTI_KEY_LIST, REQ, AT(data.train), 0, 0, NULL, NULL, "training file or files"},
{"data.eval", TTI_KEY_LIST, 0, AT(data.eval), 0, 0, NULL, NULL,
 "file or files evaluated during training, which choose the best checkpoint"},
{"data.test", TTI_KEY_LIST, 0, AT(data.test), 0, 0, NULL, NULL,
 "file or files evaluated before the first step and when training has ended"},
{"data.format", TTI_KEY_CHOICE, 0, AT(data.format), 0, 0, formats, "auto",
 "of all data files; auto goes by the file name, for causal by the first record"},
{"data.header", TTI_KEY_CHOICE, 0, AT(data.header), 0, 0, headers, "auto",
 "whether TSV and CSV begin with column names; auto: unless all columns are given by number"},
{"data.text", TTI_KEY_TEXT, RES, AT(data.text), 0, 0, NULL, "text",
 "column of the text, by name or number from 1"},
{"data.text2", TTI_KEY_TEXT, RES, AT(data.text2), 0, 0, NULL, NULL,
 "column of the second text of pairs"},
{"data.label", TTI_KEY_TEXT, RES, AT(data.label), 0, 0, NULL, "label",
 "column of the label or target, by name or number"},
{"data.labels", TTI_KEY_LIST, RES, AT(data.labels), 0, 0, NULL, NULL,
 "the labels in the order of their classes (unset: those of the training data, sorted)"},
{"data.template", TTI_KEY_TEXT, RES, AT(data.template), 0, 0, NULL, NULL,
 "causal: alpaca, llama2, llama3, chatml, mistral, gemma, zephyr, none, model (its own), a YAML "
 "file or a text with {assistant} in it (unset: alpaca for alpaca, none for prompt_completion, "
 "model for messages)"},
{"data.loss_on", TTI_KEY_CHOICE, RES, AT(data.loss_on), 0, 0, losses, "answers",
 "causal: whether prompts are learned as well as answers; all of a plain text is"},
{"data.skip", TTI_KEY_BOOL, RES, AT(data.skip), 0, 0, NULL, "false",
 "causal: samples with an empty answer, or without room for any of it, are passed over and "
 "counted instead of refused"},
{"data.shots", TTI_KEY_INT, RES, AT(data.shots), 0, BIG, NULL, "0",
 "training samples drawn for each class; 0 takes all"},
{"data.eval_fraction", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(data.eval_fraction), 0, 1, NULL, "0",
 "share of the training data held back for evaluation"},
{"data.eval_count", TTI_KEY_INT, RES, AT(data.eval_count), 0, BIG, NULL, "0",
 "number of samples held back for evaluation"},
{"data.max_len", TTI_KEY_INT, RES, AT(data.max_len), 0, 1e6, NULL, "0",
 "longer token sequences are cut, the longer text of a pair first; 0: what the model takes, for "
 "causal at most 2048; plain texts are cut into pieces of it"},
{"data.seed", TTI_KEY_INT, RES, AT(data.seed), 0, UINT32_MAX, NULL, "1",
 "of the samples drawn by shots, eval_fraction and eval_count"},

{"task", TTI_KEY_CHOICE, RES, AT(task), 0, 0, tasks, "classify",
 "classify: one of several labels (cross-entropy); regress: a number (squared error); causal: the "
 "next token (cross-entropy), for decoders"},

{"method.name", TTI_KEY_CHOICE, RES, AT(method.name), 0, 0, methods, "full",
 "full trains all weights, lora low-rank adapters and the head of a classifier, qlora the same "
 "over a base in 4 bits"},
{"method.rank", TTI_KEY_INT, RES, AT(method.rank), 1, 4096, NULL, "8", "of the adapters"},
{"method.alpha", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(method.alpha), 0, 1e6, NULL, "16",
 "adapters are scaled by alpha / rank"},
{"method.rslora", TTI_KEY_BOOL, RES, AT(method.rslora), 0, 0, NULL, "false",
 "adapters are scaled by alpha / sqrt(rank) instead"},
{"method.dropout", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(method.dropout), 0, 1, NULL, "0",
 "on the adapters' inputs"},
{"method.targets", TTI_KEY_LIST, RES, AT(method.targets), 0, 0, NULL, NULL,
 "linear layers that get adapters, by module name, or all-linear (unset: an encoder's query and "
 "value, a decoder's MLP)"},
{"method.adapter", TTI_KEY_TEXT, RES, AT(method.adapter), 0, 0, NULL, NULL,
 "adapter folder to go on from; its rank, scale and layers then hold"},

{"select.keep", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(select.keep), 0, 1e6, NULL, "0.3",
 "positions that carry gradient: up to 1 a share (1 is ordinary training), above a count"},
{"select.policy", TTI_KEY_CHOICE, RES, AT(select.policy), 0, 0, policies, "random",
 "position 0 always, of decoders also the last; the others, at every step anew: random, uniformly; "
 "prefix, the first ones; for causal also stratified, shares for prompt and answer and always what "
 "ends an answer; loss, by the loss of a first pass"},
{"select.keep_prompt", TTI_KEY_NUM, RES, AT(select.keep_prompt), 0, 1e6, NULL, "0",
 "stratified: share or number of the prompt's positions; 0: as select.keep"},
{"select.keep_answer", TTI_KEY_NUM, RES, AT(select.keep_answer), 0, 1e6, NULL, "0",
 "stratified: share or number of the answer's positions; 0: as select.keep"},
{"select.temperature", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(select.temperature), 0, 1e6, NULL, "1",
 "loss: positions are drawn by exp(loss / temperature)"},

{"train.steps", TTI_KEY_INT, RES, AT(train.steps), 0, BIG, NULL, "0",
 "optimizer steps; 0: as many as train.epochs make"},
{"train.epochs", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(train.epochs), 0, 1e6, NULL, "3",
 "passes over the training data; train.steps goes before it"},
{"train.batch", TTI_KEY_INT, RES, AT(train.batch), 1, 65536, NULL, "16",
 "sequences computed at once"},
{"train.accumulate", TTI_KEY_INT, RES, AT(train.accumulate), 1, 65536, NULL, "1",
 "batches of a step: the gradient is that of one batch of all their sequences"},
{"train.lr", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(train.lr), 0, 100, NULL, "5e-5",
 "largest learning rate"},
{"train.schedule", TTI_KEY_CHOICE, RES, AT(train.schedule), 0, 0, schedules, "linear",
 "of the learning rate after the warm-up"},
{"train.warmup", TTI_KEY_NUM, RES, AT(train.warmup), 0, BIG, NULL, "0",
 "steps over which the learning rate rises: below 1 a share of all steps, else a count"},
{"train.weight_decay", TTI_KEY_NUM, RES, AT(train.weight_decay), 0, 100, NULL, "0.01",
 "decoupled"},
{"train.no_decay_norms", TTI_KEY_BOOL, RES, AT(train.no_decay_norms), 0, 0, NULL, "true",
 "no weight decay on biases and norms"},
{"train.beta1", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(train.beta1), 0, 1, NULL, "0.9",
 "of the optimizer: momentum"},
{"train.beta2", TTI_KEY_NUM, RES | TTI_KEY_BELOW, AT(train.beta2), 0, 1, NULL, "0.999",
 "of the optimizer: second moment"},
{"train.eps", TTI_KEY_NUM, RES | TTI_KEY_ABOVE, AT(train.eps), 0, 1, NULL, "1e-8",
 "of the optimizer"},
{"train.max_grad_norm", TTI_KEY_NUM, RES, AT(train.max_grad_norm), 0, 1e9, NULL, "1",
 "gradients with a larger global norm are scaled down to it; 0: never"},
{"train.seed", TTI_KEY_INT, RES, AT(train.seed), 0, UINT32_MAX, NULL, "1",
 "of new weights, order of samples, selection and dropout"},
{"train.log_every", TTI_KEY_INT, RES, AT(train.log_every), 1, BIG, NULL, "10",
 "steps between two lines of metrics.jsonl"},
{"train.eval_every", TTI_KEY_INT, RES, AT(train.eval_every), 0, BIG, NULL, "0",
 "steps between evaluations; 0: after each epoch"},
{"train.save_every", TTI_KEY_INT, 0, AT(train.save_every), 0, BIG, NULL, "0",
 "steps between checkpoints; 0: after each epoch"},
{"train.keep_last", TTI_KEY_INT, 0, AT(train.keep_last), 1, BIG, NULL, "2",
 "checkpoints that are kept; the best one is kept besides"},
{"train.best", TTI_KEY_CHOICE, RES, AT(train.best), 0, 0, metrics, "auto",
 "metric of the best checkpoint; auto: accuracy, pearson for regress, loss for causal"},
{"train.optimizer", TTI_KEY_CHOICE, RES, AT(train.optimizer), 0, 0, optimizers, "adamw",
 "adamw8bit: moments in 8 bits; sgd: momentum train.beta1; lion: one moment; adafactor: moments as "
 "rows and columns"},

{"storage.weights", TTI_KEY_CHOICE, RES, AT(storage.weights), 0, 0, weights, "auto",
 "of linear layers; q8 and nf4 where they are frozen; auto: nf4 for qlora, else as the checkpoint "
 "is quantised, else f32, or, frozen, bf16 where memory.limit asks for it"},
{"storage.head", TTI_KEY_CHOICE, RES, AT(storage.head), 0, 0, weights, "auto",
 "of embedding tables and output layers; auto: as the weights, or 16 bits beside quantised ones"},
{"storage.double_quant", TTI_KEY_BOOL, RES, AT(storage.double_quant), 0, 0, NULL, "true",
 "the scales of nf4 are numbers of 8 bits"},
{"storage.kept", TTI_KEY_CHOICE, RES, AT(storage.kept), 0, 0, kept, "auto",
 "of values held for the backward pass; auto: f32, unless memory.limit asks for less"},
{"storage.keys", TTI_KEY_CHOICE, RES, AT(storage.keys), 0, 0, keys, "auto",
 "of keys and values held for it; q8 and recompute are for positions without gradient; auto: as "
 "storage.kept, unless memory.limit asks for less"},
{"storage.gradients", TTI_KEY_CHOICE, RES, AT(storage.gradients), 0, 0, gradients, "f32",
 "of trained linear layers; with f16 the loss is scaled, and steps that overflow are left out"},

{"memory.limit", TTI_KEY_SIZE, 0, AT(memory.limit), 0, 1e15, NULL, "0",
 "device memory that the run may use; settings at auto are then the fastest that fit; 0: what the "
 "device has"},
{"memory.recompute", TTI_KEY_CHOICE, RES, AT(memory.recompute), 0, 0, recomputes, "auto",
 "what the backward pass computes again instead of keeping: the inner values of MLPs, or all of a "
 "block but its input; auto: none, unless memory.limit asks for it"},
{"memory.stream", TTI_KEY_BOOL, RES, AT(memory.stream), 0, 0, NULL, "false",
 "frozen layers stay in host memory and pass through the device"},

{"output.dir", TTI_KEY_TEXT, REQ, AT(output.dir), 0, 0, NULL, NULL,
 "folder of checkpoints, metrics.jsonl and final/, the trained model or adapter"},
{"device", TTI_KEY_TEXT, 0, AT(device), 0, 0, NULL, NULL,
 "index, platform:device, type or part of the name (unset: $TT_DEVICE, or the best GPU, or a CPU)"},
{"gemm", TTI_KEY_TEXT, 0, AT(gemm), 0, 0, NULL, NULL,
 "matrix products by: auto, clblast or tile (unset: $TT_GEMM, or auto)"},
};
/* clang-format on */
const size_t tti_keys_n = TT_COUNT(tti_keys);

const tti_key *tti_key_find(const char *path, size_t n) {
    for (size_t i = 0; i < tti_keys_n; i++)
        if (strlen(tti_keys[i].key) == n && memcmp(tti_keys[i].key, path, n) == 0)
            return &tti_keys[i];
    return NULL;
}

static const char *last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

void tti_key_suggest(tti_str *out, const char *path) {
    const char *last = last_part(path);
    int found = 0;
    for (size_t i = 0; i < tti_keys_n && found < 3; i++) {
        const char *key = tti_keys[i].key;
        /* near as a whole, or the right name in the wrong section */
        if (tti_distance(path, key) > 2 && strcmp(last, last_part(key)) != 0 &&
            !(strncmp(path, key, (size_t)(last - path)) == 0 && tti_is_near(last, last_part(key))))
            continue;
        tti_str_printf(out, "%s%s", found == 0 ? "; did you mean " : " or ", key);
        found++;
    }
    tti_str_puts(out, found > 0 ? "?" : "; tokentune train --help lists the keys");
}

static void expected_number(tti_str *out, const tti_key *k) {
    bool whole = k->type == TTI_KEY_INT;
    tti_str_puts(out, whole ? "a whole number" : "a number");
    if (whole)
        tti_str_printf(out, " from %.0f to %.0f", k->min, k->max);
    else
        tti_str_printf(out, " %s %g and %s %g", k->flags & TTI_KEY_ABOVE ? "above" : "from", k->min,
                       k->flags & TTI_KEY_BELOW ? "below" : "at most", k->max);
}

void tti_key_expected(tti_str *out, const tti_key *k) {
    switch (k->type) {
    case TTI_KEY_BOOL: tti_str_puts(out, "true or false"); break;
    case TTI_KEY_INT:
    case TTI_KEY_NUM: expected_number(out, k); break;
    case TTI_KEY_SIZE: tti_str_puts(out, "a number of bytes, as 8G or 512M, or 0"); break;
    case TTI_KEY_TEXT: tti_str_puts(out, "a text that is not empty"); break;
    case TTI_KEY_LIST: tti_str_puts(out, "a text or a list of texts"); break;
    case TTI_KEY_CHOICE:
        tti_str_puts(out, "one of ");
        for (int i = 0; k->choices[i]; i++)
            tti_str_printf(out, "%s%s", i > 0 ? ", " : "", k->choices[i]);
        break;
    }
}

static bool in_section(const tti_key *k, const char *section) {
    size_t n = strlen(section);
    return strncmp(k->key, section, n) == 0 && k->key[n] == '.';
}

static void help_line(tti_str *out, const tti_key *k) {
    tti_str_printf(out, "  %-26s", k->key);
    if (k->type == TTI_KEY_CHOICE) {
        for (int i = 0; k->choices[i]; i++)
            tti_str_printf(out, "%s%s", i > 0 ? "|" : "", k->choices[i]);
        tti_str_puts(out, ". ");
    }
    tti_str_puts(out, k->help);
    if (k->flags & TTI_KEY_REQUIRED) tti_str_puts(out, " (required)");
    if (k->fallback) tti_str_printf(out, " [%s]", k->fallback);
    tti_str_putc(out, '\n');
}

void tti_config_help(tti_str *out) {
    for (size_t i = 0; i < tti_keys_n; i++)
        if (!strchr(tti_keys[i].key, '.')) help_line(out, &tti_keys[i]);
    for (int s = 0; tti_sections[s]; s++)
        for (size_t i = 0; i < tti_keys_n; i++)
            if (in_section(&tti_keys[i], tti_sections[s])) help_line(out, &tti_keys[i]);
}
