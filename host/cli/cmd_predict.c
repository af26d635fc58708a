// SPDX-License-Identifier: Apache-2.0
/* cmd_predict.c - tokentune predict: a JSON line for each text, in the order of the texts. */
#include <inttypes.h>
#include <string.h>
#include "host/cli/trained_args.h"

int cmd_predict(int argc, char **argv);

static const char summary[] =
    "Writes a JSON line for each text of FILE (JSONL, TSV, CSV or plain lines; - or nothing is\n"
    "standard input), in their order, as batches come in:\n"
    "  {\"label\": \"good\", \"probability\": 0.91, \"probabilities\": {\"bad\": 0.09, \"good\": "
    "0.91}}\n"
    "or {\"value\": 3.2} where the model is a regression. MODEL is a folder as `tokentune train` "
    "or\n"
    "transformers write it, or an adapter folder.\n";

/* Texts of one batch, end to end. */
typedef struct {
    int32_t *ids, *types;
    size_t ids_cap, types_cap, tokens, n;
    size_t *start;
    tti_sequence *seqs;
    float *logits;
    double *p;
} chunk;

static tt_status chunk_new(chunk *c, size_t batch, size_t labels) {
    *c = (chunk){.start = tti_calloc(batch + 1, sizeof *c->start),
                 .seqs = tti_calloc(batch, sizeof *c->seqs),
                 .logits = tti_calloc(batch, labels * sizeof *c->logits),
                 .p = tti_calloc(labels, sizeof *c->p)};
    return c->start && c->seqs && c->logits && c->p ? TT_OK : TT_E_NOMEM;
}

static void chunk_free(chunk *c) {
    tti_free(c->ids);
    tti_free(c->types);
    tti_free(c->start);
    tti_free(c->seqs);
    tti_free(c->logits);
    tti_free(c->p);
}

static tt_status chunk_add(chunk *c, const tti_encoding *e) {
    TT_TRY(TTI_GROW(c->ids, c->ids_cap, c->tokens + e->n));
    TT_TRY(TTI_GROW(c->types, c->types_cap, c->tokens + e->n));
    memcpy(c->ids + c->tokens, e->ids, e->n * sizeof *e->ids);
    memcpy(c->types + c->tokens, e->type_ids, e->n * sizeof *e->type_ids);
    c->tokens += e->n;
    c->start[++c->n] = c->tokens;
    return TT_OK;
}

static void text_or_number(tti_str *out, const tti_export *about, size_t i) {
    if (about->labels)
        tti_str_json(out, about->labels[i], strlen(about->labels[i]));
    else
        tti_str_printf(out, "\"LABEL_%zu\"", i);
}

static void print_classes(tti_str *out, const tti_export *about, const double *p) {
    size_t n = (size_t)about->num_labels, best = 0;
    for (size_t i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    tti_str_puts(out, "{\"label\": ");
    text_or_number(out, about, best);
    tti_str_printf(out, ", \"probability\": %.6f, \"probabilities\": {", p[best]);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) tti_str_puts(out, ", ");
        text_or_number(out, about, i);
        tti_str_printf(out, ": %.6f", p[i]);
    }
    tti_str_puts(out, "}}\n");
}

static tt_status chunk_print(const chunk *c, const tti_export *about) {
    tti_str out = {0};
    size_t labels = (size_t)about->num_labels;
    for (size_t i = 0; i < c->n; i++) {
        const float *row = c->logits + i * labels;
        if (about->task == TTI_TASK_REGRESS) {
            tti_str_printf(&out, "{\"value\": %.6g}\n", (double)row[0]);
        } else {
            tti_softmax(c->p, row, labels);
            print_classes(&out, about, c->p);
        }
    }
    tt_status s = out.status;
    if (s == TT_OK && (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
        s = tti_fail(TT_E_IO, "standard output: cannot be written");
    tti_str_free(&out);
    return s;
}

static tt_status chunk_run(chunk *c, tti_evaluator *e, const tti_export *about) {
    for (size_t i = 0; i < c->n; i++)
        c->seqs[i] = (tti_sequence){.ids = c->ids + c->start[i],
                                    .types = c->types + c->start[i],
                                    .n = c->start[i + 1] - c->start[i]};
    TT_TRY(tti_evaluator_run(e, c->seqs, c->n, c->logits));
    TT_TRY(chunk_print(c, about));
    c->n = c->tokens = 0;
    return TT_OK;
}

static tt_status stream(tti_trained_run *r, tti_data_reader *in, tti_evaluator *e, size_t batch,
                        chunk *c) {
    tti_encoding enc = {0};
    const tti_encode_opts o = {.max_len = r->max_len, .add_special = true};
    tti_data_row row;
    bool end = false;
    tt_status s = TT_OK;
    while (!end) {
        TT_GO(tti_data_next(in, &row, &end));
        if (!end) {
            s = tti_tokenizer_encode(r->t.tokenizer, row.text, row.text_len, row.text2,
                                     row.text2_len, &o, &enc);
            if (s != TT_OK) {
                tti_fail_in(s, "%s:%zu", tti_data_name(in), row.line);
                goto done;
            }
            TT_GO(chunk_add(c, &enc));
        }
        if (c->n == batch || (end && c->n > 0)) TT_GO(chunk_run(c, e, &r->t.about));
    }
done:
    tti_encoding_free(&enc);
    return s;
}

static tt_status predict(const tti_trained_args *a, const char *dir, const char *file) {
    tti_trained_run r = {0};
    tti_data_opts data = {.unlabelled = true};
    tti_data_reader *in = NULL;
    tti_evaluator *e = NULL;
    chunk c = {0};
    tt_status s;
    TT_GO(tti_trained_args_data(a, &data));
    TT_GO(tti_trained_read(&r.t, dir, a->base));
    if (r.t.headless)
        TT_GO(tti_fail(TT_E_UNSUPPORTED, "%s: the model has no classification head; train it first",
                       dir));
    TT_GO(tti_trained_run_open(&r, a));
    TT_GO(tti_evaluator_new(&e, r.dev, r.gemm, r.t.model, r.max_len, a->batch));
    TT_GO(chunk_new(&c, a->batch, (size_t)r.t.about.num_labels));
    TT_GO(tti_data_open(&in, file, &data));
    s = stream(&r, in, e, a->batch, &c);
done:
    tti_data_close(in);
    chunk_free(&c);
    tti_evaluator_free(e);
    tti_trained_run_close(&r);
    return s;
}

int cmd_predict(int argc, char **argv) {
    tti_trained_args a = {.batch = 32};
    const tti_opt options[] = {TTI_TRAINED_OPTIONS(a)};
    const tti_command command = {.name = "predict",
                                 .arguments = "MODEL [FILE]",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options),
                                 .least = 1,
                                 .most = 2};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status) &&
        predict(&a, args[0], nargs > 1 ? args[1] : "-") != TT_OK)
        status = tti_cli_failed();
    tti_free(args);
    return status;
}
