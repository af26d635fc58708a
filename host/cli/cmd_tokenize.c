// SPDX-License-Identifier: Apache-2.0
/* cmd_tokenize.c - tokentune tokenize: what a model's tokenizer makes of a text. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "host/tokenizer/tokenizer.h"

int cmd_tokenize(int argc, char **argv);

static const char usage[] =
    "usage: tokentune tokenize --model FOLDER|tokenizer.json [options] [TEXT ...]\n"
    "\n"
    "Prints the token ids and the pieces of each TEXT, or of each line of standard input when no\n"
    "TEXT is given. Reads tokenizer.json, or vocab.txt, or vocab.json with merges.txt.\n"
    "\n"
    "  --model PATH     a model folder or a tokenizer.json\n"
    "  --pair TEXT      encode every text together with this one, as a pair\n"
    "  --max-len N      cut to N tokens, special ones included, the longer of a pair first\n"
    "  --no-special     add no special tokens such as [CLS]\n"
    "  --decode         also print the text that the ids stand for\n"
    "  --json           one JSON object a line for each text: ids, tokens, type_ids, cut (tokens\n"
    "                   cut off by --max-len) and, with --decode, text\n"
    "  --help           this text\n"
    "\n"
    "Exit status: 0 on success, 1 when a file or a text cannot be used, 2 on wrong usage.\n";

typedef struct {
    const char *model, *pair;
    tti_encode_opts encode;
    bool decode, json;
    tti_tokenizer *tokenizer;
    tti_encoding out;
    tti_str line;
} options;

static int wrong(const char *fmt, const char *what) {
    fprintf(stderr, "tokentune tokenize: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "; see tokentune tokenize --help\n");
    return 2;
}

static bool read_count(const char *text, size_t *out) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!*text || *end || *text == '-' || errno || v < 1 || v > 1000000000) return false;
    *out = (size_t)v;
    return true;
}

/* 0: go on, 1: help was printed, 2: wrong usage. */
static int read_options(int argc, char **argv, options *o) {
    enum { MODEL = 256, PAIR, MAX_LEN, NO_SPECIAL, DECODE, JSON, HELP };
    static const struct option known[] = {{"model", required_argument, NULL, MODEL},
                                          {"pair", required_argument, NULL, PAIR},
                                          {"max-len", required_argument, NULL, MAX_LEN},
                                          {"no-special", no_argument, NULL, NO_SPECIAL},
                                          {"decode", no_argument, NULL, DECODE},
                                          {"json", no_argument, NULL, JSON},
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case MODEL: o->model = optarg; break;
        case PAIR: o->pair = optarg; break;
        case MAX_LEN:
            if (!read_count(optarg, &o->encode.max_len))
                return wrong("--max-len %s: expected a number from 1 to 1000000000", optarg);
            break;
        case NO_SPECIAL: o->encode.add_special = false; break;
        case DECODE: o->decode = true; break;
        case JSON: o->json = true; break;
        case HELP:
        case 'h': fputs(usage, stdout); return 1;
        case ':': return wrong("%s: needs a value", argv[optind - 1]);
        default: return wrong("%s: unknown option", argv[optind - 1]);
        }
    }
    return o->model ? 0 : wrong("%s: missing", "--model");
}

/* A piece for people: control characters and blanks must not break the line. */
static void put_piece(tti_str *s, const char *piece, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)piece[i];
        if (c <= 0x20 || c == 0x7F)
            tti_str_printf(s, "\\x%02x", c);
        else
            tti_str_putc(s, (char)c);
    }
}

static void put_ids(tti_str *s, const int32_t *v, size_t n, const char *between) {
    for (size_t i = 0; i < n; i++) tti_str_printf(s, "%s%d", i ? between : "", (int)v[i]);
}

static void put_pieces(options *o, const char *between) {
    const tti_encoding *e = &o->out;
    for (size_t i = 0; i < e->n; i++) {
        size_t n = 0;
        const char *piece = tti_tokenizer_piece(o->tokenizer, e->ids[i], &n);
        if (i) tti_str_puts(&o->line, between);
        if (o->json)
            tti_str_json(&o->line, piece ? piece : "", n);
        else
            put_piece(&o->line, piece ? piece : "", n);
    }
}

static tt_status put_json(options *o) {
    const tti_encoding *e = &o->out;
    tti_str *s = &o->line, text = {0};
    tti_str_puts(s, "{\"ids\": [");
    put_ids(s, e->ids, e->n, ", ");
    tti_str_puts(s, "], \"tokens\": [");
    put_pieces(o, ", ");
    tti_str_puts(s, "], \"type_ids\": [");
    put_ids(s, e->type_ids, e->n, ", ");
    tti_str_printf(s, "], \"cut\": %zu", e->cut);
    tt_status st = TT_OK;
    if (o->decode) {
        st = tti_tokenizer_decode(o->tokenizer, e->ids, e->n, true, &text);
        tti_str_puts(s, ", \"text\": ");
        tti_str_json(s, text.p ? text.p : "", text.len);
        tti_str_free(&text);
    }
    tti_str_puts(s, "}\n");
    return st;
}

static tt_status put_readable(options *o) {
    const tti_encoding *e = &o->out;
    put_ids(&o->line, e->ids, e->n, " ");
    tti_str_putc(&o->line, '\n');
    put_pieces(o, " ");
    tti_str_putc(&o->line, '\n');
    if (!o->decode) return TT_OK;
    TT_TRY(tti_tokenizer_decode(o->tokenizer, e->ids, e->n, true, &o->line));
    tti_str_putc(&o->line, '\n');
    return TT_OK;
}

static tt_status one_text(options *o, const char *text, size_t n) {
    o->line.len = 0;
    TT_TRY(tti_tokenizer_encode(o->tokenizer, text, n, o->pair, o->pair ? strlen(o->pair) : 0,
                                &o->encode, &o->out));
    TT_TRY(o->json ? put_json(o) : put_readable(o));
    TT_TRY(o->line.status);
    if (fwrite(o->line.p, 1, o->line.len, stdout) != o->line.len)
        return tti_fail(TT_E_IO, "standard output: %s", strerror(errno));
    return TT_OK;
}

/* The next line of standard input without its end; *more is false where there is none. */
static tt_status next_line(tti_str *line, bool *more) {
    int c;
    line->len = 0;
    while ((c = getc_unlocked(stdin)) != EOF && c != '\n') tti_str_putc(line, (char)c);
    *more = c != EOF || line->len;
    if (ferror(stdin)) return tti_fail(TT_E_IO, "standard input: %s", strerror(errno));
    return line->status;
}

static tt_status all_lines(options *o) {
    tti_str line = {0};
    bool more;
    tt_status s;
    while ((s = next_line(&line, &more)) == TT_OK && more) {
        s = one_text(o, line.len ? line.p : "", line.len);
        if (s != TT_OK) break;
    }
    tti_str_free(&line);
    return s;
}

int cmd_tokenize(int argc, char **argv) {
    options o = {.encode = {.add_special = true}};
    int early = read_options(argc, argv, &o);
    if (early) return early == 1 ? 0 : early;
    tt_status s = tti_tokenizer_load(&o.tokenizer, o.model);
    if (s == TT_OK && optind == argc) s = all_lines(&o);
    for (int i = optind; s == TT_OK && i < argc; i++) s = one_text(&o, argv[i], strlen(argv[i]));
    if (s == TT_OK && fflush(stdout)) s = tti_fail(TT_E_IO, "standard output: %s", strerror(errno));
    if (s != TT_OK) fprintf(stderr, "tokentune tokenize: %s\n", tt_error());
    tti_encoding_free(&o.out);
    tti_str_free(&o.line);
    tti_tokenizer_free(o.tokenizer);
    return s == TT_OK ? 0 : 1;
}
