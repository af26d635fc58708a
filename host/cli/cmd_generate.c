// SPDX-License-Identifier: Apache-2.0
/* cmd_generate.c - tokentune generate: completions of prompts, or a conversation. */
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "host/cli/generate.h"
#include "host/format/json.h"

int cmd_generate(int argc, char **argv);

static const char summary[] =
    "Continues prompts with a model that predicts tokens: each line of FILE, or of standard "
    "input,\n"
    "or each --prompt, several at once. FILE.jsonl has objects with a key \"prompt\". The most\n"
    "probable token is taken unless a temperature or filter asks for draws, which depend on the\n"
    "seed, the prompt's number and the step alone. Completions go to standard output in the order\n"
    "of the prompts, the first unfinished one as it is written; with --json a JSON line each.\n"
    "--template puts each prompt into a prompt template as its question; --chat reads questions\n"
    "from standard input and keeps the conversation.\n";

/* ---- prompts ---- */

typedef struct {
    char **text;
    size_t n, cap;
} texts;

static tt_status add_text(texts *t, const char *p, size_t n) {
    TT_TRY(TTI_GROW(t->text, t->cap, t->n + 1));
    if (!(t->text[t->n] = tti_strndup(p, n))) return TT_E_NOMEM;
    t->n++;
    return TT_OK;
}

static tt_status add_json(texts *t, const char *line, size_t n, const char *name, size_t number) {
    cJSON *json;
    const char *prompt = NULL;
    char where[512];
    TT_TRY(tti_json_parse_line(&json, line, n, name, number));
    snprintf(where, sizeof where, "%s:%zu", name, number);
    const tti_json_at at = {json, where};
    tt_status s = tti_json_need(at, "prompt");
    if (s == TT_OK) s = tti_json_str(at, "prompt", &prompt, "");
    if (s == TT_OK) s = add_text(t, prompt, strlen(prompt));
    tti_json_free(json);
    return s;
}

static tt_status read_lines(texts *t, FILE *f, const char *name) {
    const size_t len = strlen(name);
    const bool json = len > 6 && strcmp(name + len - 6, ".jsonl") == 0;
    tti_str line = {0};
    tt_status s = TT_OK;
    for (size_t number = 1; s == TT_OK && tti_cli_line(f, &line); number++) {
        s = line.status;
        if (s == TT_OK && !json)
            s = add_text(t, line.p, line.len);
        else if (s == TT_OK && line.len > 0)
            s = add_json(t, line.p, line.len, name, number);
    }
    if (s == TT_OK && ferror(f)) s = tti_fail(TT_E_IO, "%s: cannot be read", name);
    tti_str_free(&line);
    return s;
}

static tt_status read_prompts(texts *t, const tti_generate_args *a) {
    for (size_t i = 0; i < a->prompts.n; i++)
        TT_TRY(add_text(t, a->prompts.v[i], strlen(a->prompts.v[i])));
    if (a->prompts.n && !a->file) return TT_OK;
    const bool in = !a->file || strcmp(a->file, "-") == 0;
    const char *name = in ? "standard input" : a->file;
    FILE *f = in ? stdin : fopen(a->file, "rb");
    if (!f) return tti_fail(TT_E_IO, "%s: no such file, or it may not be read", name);
    if (in && isatty(STDIN_FILENO)) tti_info("a line is a prompt; Ctrl-D ends the list");
    tt_status s = read_lines(t, f, name);
    if (!in) fclose(f);
    if (s == TT_OK && t->n == 0) s = tti_fail(TT_E_DATA, "%s: no prompts", name);
    return s;
}

static void texts_free(texts *t) {
    for (size_t i = 0; i < t->n; i++) tti_free(t->text[i]);
    tti_free(t->text);
}

/* ---- output: in the order of the prompts ---- */

typedef struct {
    const tti_writer *w;
    const texts *texts;
    const tti_prompt *prompts;
    tti_completion *out;
    bool *done;
    size_t n, first; /* prompts before first are printed */
} printer;

static tt_status put(const char *p, size_t n) {
    if (fwrite(p, 1, n, stdout) == n && fflush(stdout) == 0) return TT_OK;
    return tti_fail(TT_E_IO, "standard output: cannot be written");
}

static tt_status put_json(const printer *p, size_t i) {
    const tti_completion *c = &p->out[i];
    tti_str s = {0};
    tti_str_puts(&s, "{\"prompt\": ");
    tti_str_json(&s, p->texts->text[i], strlen(p->texts->text[i]));
    tti_str_puts(&s, ", \"text\": ");
    tti_str_json(&s, c->text.p ? c->text.p : "", c->text.len);
    tti_str_printf(&s, ", \"end\": \"%s\"", tti_end_name(c->end));
    if (c->stop >= 0) {
        const char *stop = p->w->stops[c->stop];
        tti_str_puts(&s, ", \"stop\": ");
        tti_str_json(&s, stop, strlen(stop));
    }
    tti_str_printf(&s, ", \"prompt_tokens\": %zu, \"tokens\": %zu, \"ids\": [", p->prompts[i].n,
                   c->n);
    for (size_t k = 0; k < c->n; k++) tti_str_printf(&s, "%s%d", k ? ", " : "", (int)c->ids[k]);
    tti_str_puts(&s, "]}\n");
    tt_status status = s.status == TT_OK ? put(s.p, s.len) : s.status;
    tti_str_free(&s);
    return status;
}

/* All that is next in order and done; and what there is of the text that is next then. */
static tt_status advance(printer *p) {
    while (p->first < p->n && p->done[p->first]) {
        const size_t i = p->first++;
        TT_TRY(p->w->args->json ? put_json(p, i) : put("\n", 1));
        const tti_completion *c = p->first < p->n ? &p->out[p->first] : NULL;
        if (!p->w->args->json && c && c->text.len) TT_TRY(put(c->text.p, c->text.len));
    }
    return TT_OK;
}

static tt_status on_text(void *ctx, size_t i, const char *text, size_t n, bool done) {
    printer *p = ctx;
    if (!p->w->args->json && i == p->first && n) TT_TRY(put(text, n));
    if (!done) return TT_OK;
    p->done[i] = true;
    return i == p->first ? advance(p) : TT_OK;
}

/* ---- the whole ---- */

static void tell_speed(const printer *p, double seconds) {
    size_t tokens = 0;
    for (size_t i = 0; i < p->n; i++) tokens += p->out[i].n;
    tti_info("%zu prompts, %zu tokens in %.2f s: %.1f tokens/s", p->n, tokens, seconds,
             (double)tokens / (seconds > 0 ? seconds : 1));
}

/* Tokens of the prompts; *longest: with what comes behind them. */
static tt_status encode_all(tti_writer *w, const texts *t, tti_prompt *p, size_t *longest) {
    const char *system = w->args->system;
    *longest = 0;
    for (size_t i = 0; i < t->n; i++) {
        const tti_message m[] = {
            {.role = TTI_ROLE_SYSTEM, .text = system, .len = system ? strlen(system) : 0},
            {.role = TTI_ROLE_USER, .text = t->text[i], .len = strlen(t->text[i])}};
        char name[32];
        snprintf(name, sizeof name, "prompt %zu", i + 1);
        tt_status s = tti_writer_encode(w, system ? m : m + 1, system ? 2 : 1);
        if (s != TT_OK) return tti_fail_in(s, "%s", name);
        TT_TRY(tti_writer_room(w, name, w->tokens.n, &p[i].max_new));
        int32_t *ids = tti_calloc(w->tokens.n, sizeof *ids);
        if (!ids) return TT_E_NOMEM;
        memcpy(ids, w->tokens.ids, w->tokens.n * sizeof *ids);
        p[i].ids = ids;
        p[i].n = w->tokens.n;
        *longest = TT_MAX(*longest, p[i].n + p[i].max_new);
    }
    return TT_OK;
}

static tt_status complete(tti_writer *w) {
    texts t = {0};
    printer p = {.w = w, .texts = &t};
    tti_prompt *prompts = NULL;
    tti_engine *e = NULL;
    tti_engine_opts eo = {0};
    tti_generate_opts o = tti_writer_options(w);
    tt_status s;
    TT_GO(read_prompts(&t, w->args));
    p.prompts = prompts = tti_calloc(t.n, sizeof *prompts);
    p.out = tti_calloc(t.n, sizeof *p.out);
    p.done = tti_calloc(t.n, sizeof *p.done);
    p.n = t.n;
    if (!prompts || !p.out || !p.done) TT_GO(TT_E_NOMEM);
    TT_GO(encode_all(w, &t, prompts, &eo.capacity));
    eo.slots = TT_MIN(t.n, w->args->batch);
    TT_GO(tti_engine_new(&e, w->dev, w->gemm, w->t.model, &eo));
    o.on_text = on_text;
    o.ctx = &p;
    tti_writer_signals(true);
    const double start = tti_now();
    s = tti_generate(e, w->t.tokenizer, &o, prompts, t.n, p.out);
    if (s == TT_OK) tell_speed(&p, tti_now() - start);
done:
    tti_engine_free(e);
    for (size_t i = 0; i < p.n; i++) {
        if (prompts) tti_free((void *)(uintptr_t)prompts[i].ids);
        if (p.out) tti_completion_free(&p.out[i]);
    }
    tti_free(prompts);
    tti_free(p.out);
    tti_free(p.done);
    texts_free(&t);
    return s;
}

static int run(const tti_generate_args *a) {
    tti_writer w;
    tt_status s = tti_writer_open(&w, a);
    if (s == TT_OK && a->chat) s = tti_generate_chat(&w);
    if (s == TT_OK && !a->chat) s = complete(&w);
    tti_writer_close(&w);
    const int number = tti_writer_signal();
    if (s != TT_OK) return tti_cli_failed();
    return number ? 128 + number : TTI_EXIT_OK;
}

static int check_usage(const tti_generate_args *a) {
    if (!a->model && !a->adapter)
        return tti_cli_usage("generate: expected --model DIR or --adapter DIR");
    if (a->chat && (a->file || a->prompts.n || a->json))
        return tti_cli_usage("generate: --chat reads standard input; leave out %s",
                             a->json   ? "--json"
                             : a->file ? "--file"
                                       : "--prompt");
    if (a->system && !a->chat && !a->template)
        return tti_cli_usage("generate: --system needs --template or --chat");
    return TTI_EXIT_OK;
}

int cmd_generate(int argc, char **argv) {
    tti_generate_args a = {.batch = 8, .temperature = NAN, .top_p = 1, .repetition = 1};
    const tti_opt options[] = {
        {"--model", "DIR", TTI_OPT_TEXT, &a.model, "a model folder [as the adapter names it]"},
        {"--adapter", "DIR", TTI_OPT_TEXT, &a.adapter, "an adapter folder"},
        {"--prompt", "TEXT", TTI_OPT_LIST, &a.prompts, "a prompt; may be given again"},
        {"--file", "FILE", TTI_OPT_TEXT, &a.file, "prompts, one a line; .jsonl: key \"prompt\""},
        {"--chat", NULL, TTI_OPT_FLAG, &a.chat, "a conversation"},
        {"--template", "NAME", TTI_OPT_TEXT, &a.template,
         "prompt template [--chat: as trained, else the model's own]"},
        {"--system", "TEXT", TTI_OPT_TEXT, &a.system, "system message of the template"},
        {"--max-new", "N", TTI_OPT_COUNT, &a.max_new, "tokens at most [256, or what fits]"},
        {"--temperature", "T", TTI_OPT_NUMBER, &a.temperature, "0: the most probable [0]"},
        {"--top-k", "K", TTI_OPT_NUMBER, &a.top_k, "draw among the K most probable"},
        {"--top-p", "P", TTI_OPT_NUMBER, &a.top_p, "draw among those that make up P"},
        {"--min-p", "P", TTI_OPT_NUMBER, &a.min_p, "draw among those of P times the largest"},
        {"--repetition-penalty", "R", TTI_OPT_NUMBER, &a.repetition, "more than 1: fewer again"},
        {"--seed", "N", TTI_OPT_NUMBER, &a.seed, "of draws [0]"},
        {"--stop", "TEXT", TTI_OPT_LIST, &a.stops, "ends a completion; may be given again"},
        {"--batch", "N", TTI_OPT_COUNT, &a.batch, "prompts at once [8]"},
        {"--json", NULL, TTI_OPT_FLAG, &a.json, "JSON lines"},
        {"--device", "SPEC", TTI_OPT_TEXT, &a.device, "see tokentune devices --help"},
        {"--gemm", "NAME", TTI_OPT_TEXT, &a.gemm, "auto, clblast or tile"},
    };
    const tti_command command = {.name = "generate",
                                 .arguments = "",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options)};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status = TTI_EXIT_FAILED;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status) &&
        (status = check_usage(&a)) == TTI_EXIT_OK)
        status = run(&a);
    tti_free(a.prompts.v);
    tti_free(a.stops.v);
    tti_free(args);
    return status;
}
