// SPDX-License-Identifier: Apache-2.0
/* generate_chat.c - a conversation: questions from standard input, answers as they are written.
 * What the model has read stays read: each turn computes only what is new. */
#include <string.h>
#include <unistd.h>
#include "host/cli/generate.h"

enum { CONTEXT = 4096 }; /* tokens kept at most: models of today would take gigabytes */

typedef struct {
    tti_writer *w;
    tti_engine *engine;
    tti_message *m; /* the conversation, texts owned */
    size_t n, cap;
    bool system;   /* the first message is one */
    int32_t *read; /* tokens that the engine keeps */
    size_t nread, read_cap;
    bool terminal;
    bool begun; /* the answer has had more than blanks */
} chat;

static tt_status add(chat *c, tti_role role, const char *text, size_t n) {
    TT_TRY(TTI_GROW(c->m, c->cap, c->n + 1));
    char *copy = tti_strndup(text, n);
    if (!copy) return TT_E_NOMEM;
    c->m[c->n++] = (tti_message){.role = role, .text = copy, .len = n};
    return TT_OK;
}

static void drop(chat *c, size_t at, size_t count) {
    for (size_t i = at; i < at + count; i++) tti_free((void *)(uintptr_t)c->m[i].text);
    memmove(c->m + at, c->m + at + count, (c->n - at - count) * sizeof *c->m);
    c->n -= count;
}

/* The conversation's tokens, without its oldest turns where it has become too long. */
static tt_status fit(chat *c, size_t *max_new) {
    const size_t first = c->system ? 1 : 0, least = TT_MIN((size_t)64, c->w->context / 2);
    for (size_t dropped = 0;; dropped++) {
        TT_TRY(tti_writer_encode(c->w, c->m, c->n));
        const size_t n = c->w->tokens.n, want = c->w->args->max_new ? c->w->args->max_new : least;
        if (n + want <= c->w->context || c->n <= first + 1) {
            if (dropped) tti_info("the first %zu turns no longer fit and are forgotten", dropped);
            return tti_writer_room(c->w, "the conversation", n, max_new);
        }
        drop(c, first, 2); /* a question and its answer */
    }
}

static tt_status print(void *ctx, size_t i, const char *text, size_t n, bool done) {
    chat *c = ctx;
    (void)i;
    /* templates end where an answer begins; models often put a blank first */
    while (n > 0 && !c->begun && (*text == ' ' || *text == '\n')) text++, n--;
    if (n > 0) c->begun = true;
    if (fwrite(text, 1, n, stdout) != n || (done && fputc('\n', stdout) == EOF) ||
        fflush(stdout) != 0)
        return tti_fail(TT_E_IO, "standard output: cannot be written");
    return TT_OK;
}

/* How many of the prompt's tokens the engine has read already; the last one is always read. */
static size_t common(const chat *c) {
    const tti_causal_tokens *t = &c->w->tokens;
    size_t n = 0;
    while (n < c->nread && n + 1 < t->n && c->read[n] == t->ids[n]) n++;
    return n;
}

static tt_status remember(chat *c, const tti_completion *out) {
    const tti_causal_tokens *t = &c->w->tokens;
    c->nread = 0;
    TT_TRY(TTI_GROW(c->read, c->read_cap, t->n + out->n));
    memcpy(c->read, t->ids, t->n * sizeof *c->read);
    if (out->n) memcpy(c->read + t->n, out->ids, out->n * sizeof *c->read);
    c->nread = TT_MIN(t->n + out->n, tti_engine_kept(c->engine, 0));
    return TT_OK;
}

static tt_status answer(chat *c, uint32_t turn) {
    tti_completion out = {0};
    tti_prompt p = {0};
    tti_generate_opts o = tti_writer_options(c->w);
    tt_status s;
    TT_GO(fit(c, &p.max_new));
    p.ids = c->w->tokens.ids;
    p.n = c->w->tokens.n;
    p.kept = common(c);
    o.on_text = print;
    o.ctx = c;
    o.first = turn;
    c->begun = false;
    tti_writer_signals(true);
    s = tti_generate(c->engine, c->w->t.tokenizer, &o, &p, 1, &out);
    tti_writer_signals(false);
    if (s != TT_OK) {
        c->nread = 0;
        goto done;
    }
    TT_GO(remember(c, &out));
    const char *text = out.text.p ? out.text.p : "";
    size_t n = out.text.len;
    while (n > 0 && (*text == ' ' || *text == '\n')) text++, n--;
    TT_GO(add(c, TTI_ROLE_ASSISTANT, text, n));
    if (tti_writer_signal() == SIGTERM) s = tti_fail(TT_E_ARG, "stopped by a signal");
done:
    tti_completion_free(&out);
    return s;
}

/* A failed turn is told and taken back; the conversation goes on. */
static tt_status turn(chat *c, const char *line, size_t n, uint32_t number) {
    TT_TRY(add(c, TTI_ROLE_USER, line, n));
    const tt_status s = answer(c, number);
    if (s == TT_OK) return TT_OK;
    if (s != TT_E_DATA && s != TT_E_ARG) return s;
    if (!c->terminal) return s;
    fprintf(stderr, "tokentune: %s\n", tt_error());
    drop(c, c->n - 1, 1);
    return TT_OK;
}

static tt_status converse(chat *c) {
    tti_str line = {0};
    tt_status s = TT_OK;
    for (uint32_t number = 0; s == TT_OK; number++) {
        if (c->terminal) fputs("> ", stderr);
        if (!tti_cli_line(stdin, &line)) break;
        s = line.status;
        if (s == TT_OK && line.len > 0) s = turn(c, line.p, line.len, number);
    }
    if (s == TT_OK && ferror(stdin)) s = tti_fail(TT_E_IO, "standard input: cannot be read");
    if (c->terminal) fputc('\n', stderr);
    tti_str_free(&line);
    return s;
}

tt_status tti_generate_chat(tti_writer *w) {
    w->context = TT_MIN(w->context, (size_t)CONTEXT);
    chat c = {.w = w, .terminal = isatty(STDIN_FILENO) != 0};
    const tti_engine_opts o = {.slots = 1, .capacity = w->context};
    const char *system = w->args->system;
    tt_status s;
    TT_GO(tti_engine_new(&c.engine, w->dev, w->gemm, w->t.model, &o));
    if (system) {
        TT_GO(add(&c, TTI_ROLE_SYSTEM, system, strlen(system)));
        c.system = true;
    }
    if (c.terminal)
        tti_info("template %s; a line is a question, Ctrl-C ends an answer, Ctrl-D the "
                 "conversation",
                 tti_template_name(w->template));
    s = converse(&c);
done:
    if (c.n) drop(&c, 0, c.n);
    tti_free(c.m);
    tti_free(c.read);
    tti_engine_free(c.engine);
    return s;
}
