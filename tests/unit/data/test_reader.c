// SPDX-License-Identifier: Apache-2.0
/* test_reader.c - rows out of each format, and what is said about files that are broken. */
#include <fcntl.h>
#include <unistd.h>
#include "host/data/reader.h"
#include "tests/unit/format/scratch.h"

TestSuite(reader, .init = scratch_begin, .fini = scratch_end);

/* All rows as "line|text|text2|label\n"; the failure, if any. */
static tt_status dump(tti_str *out, const char *path, const tti_data_opts *o) {
    tti_data_reader *r;
    TT_TRY(tti_data_open(&r, path, o));
    tt_status s = TT_OK;
    for (bool end = false; s == TT_OK;) {
        tti_data_row row;
        s = tti_data_next(r, &row, &end);
        if (s != TT_OK || end) break;
        if (row.text_len != strlen(row.text)) s = TT_E_INTERNAL;
        tti_str_printf(out, "%zu|%s|%s|", row.line, row.text, row.text2 ? row.text2 : "-");
        if (o->with_score)
            tti_str_printf(out, "%g\n", row.score);
        else
            tti_str_printf(out, "%s\n", row.label ? row.label : "-");
    }
    if (s == TT_OK) s = out->status;
    tti_data_close(r);
    return s;
}

typedef struct {
    const char *file, *bytes;
    tti_data_opts opts;
    const char *want; /* rows, or a part of the message */
    tt_status status;
} a_case;

static void check(const a_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const a_case *c = &cases[i];
        tti_str got = {0};
        tt_status s = dump(&got, scratch_text(c->file, c->bytes), &c->opts);
        cr_expect_eq(s, c->status, "case %zu (%s): %s", i, c->want, tt_error());
        if (c->status != TT_OK) {
            expect_error(s, c->status, c->want);
            expect_error(s, c->status, c->file);
        } else {
            cr_expect_str_eq(got.p ? got.p : "", c->want, "case %zu:\n%s", i, got.p);
        }
        tti_str_free(&got);
    }
}

#define BOM "\xEF\xBB\xBF"
#define PAIR .text = "a", .text2 = "b"

Test(reader, rows) {
    static const a_case cases[] = {
        {"a.jsonl", "{\"text\": \"x\", \"label\": \"p\"}\n", {0}, "1|x|-|p\n", 0},
        {"a.ndjson",
         BOM "{\"label\": 3, \"text\": \"\xC3\xA4\\n\"}\r\n\r\n  \n"
             "{\"text\":\"\\u00e4\\uD83D\\uDE00\",\"label\":-1.0}",
         {0},
         "1|\xC3\xA4\n|-|3\n4|\xC3\xA4\xF0\x9F\x98\x80|-|-1\n",
         0},
        {"a.jsonl", "{\"a\":\"x\",\"b\":\"y\",\"l\":1}\n", {PAIR, .label = "l"}, "1|x|y|1\n", 0},
        {"a.jsonl", "{\"text\":\"x\"}\n", {.unlabelled = true}, "1|x|-|-\n", 0},
        {"a.jsonl",
         "{\"text\":\"\",\"label\":2.5}\n{\"text\":\"\",\"label\":\"-1e-1\"}",
         {.with_score = true},
         "1||-|2.5\n2||-|-0.1\n",
         0},
        {"x.TSV", "text\tlabel\n a \"b\t1\r\n\n\"c\"\t2", {0}, "2| a \"b|-|1\n4|\"c\"|-|2\n", 0},
        {"x.tsv", "1\tp q\n0\tr\n", {.text = "2", .label = "1"}, "1|p q|-|1\n2|r|-|0\n", 0},
        {"x.tsv",
         "l\tt\n0\tr\n",
         {.text = "2", .label = "1", .header = TTI_DATA_HEADER_YES},
         "2|r|-|0\n",
         0},
        {"x.tsv", BOM "label\ttext\n0\tr\n", {0}, "2|r|-|0\n", 0},
        {"x.tsv",
         "2\t1\nr\t0\n",
         {.text = "2", .label = "1", .header = TTI_DATA_HEADER_YES},
         "2|r|-|0\n",
         0},
        {"c.csv", "text,label\nx,1\n", {0}, "2|x|-|1\n", 0},
        {"c.csv",
         BOM "\"label\",\"text\"\r\n1,\"a, \"\"b\"\"\r\n\r\nc\"\r\n\r\n\" 2\", d \r\n",
         {0},
         "2|a, \"b\"\r\n\r\nc|-|1\n6| d |-| 2\n",
         0},
        {"c.csv", "text,label\r\"x\ry\",1\rz,2", {0}, "1|x\ry|-|1\n1|z|-|2\n", 0},
        {"c.csv", "x,\"\",1\n", {.text = "1", .text2 = "2", .label = "3"}, "1|x||1\n", 0},
        {"c.csv", "text,label\n\"\",1\n", {0}, "2||-|1\n", 0},
        {"c.dat", "text,label\nx,1\n", {.format = TTI_DATA_CSV}, "2|x|-|1\n", 0},
        {"c.csv", "text,label\n", {0}, "", 0},
        {"c.csv", "", {0}, "", 0},
        {"c.jsonl", "\n\n", {0}, "", 0},
        {"t.txt",
         BOM "one\r\n\n two\n",
         {.unlabelled = true},
         "1|one|-|-\n2||-|-\n3| two|-|-\n",
         0},
        {"t.txt", "", {.unlabelled = true}, "", 0},
    };
    check(cases, TT_COUNT(cases));
}

static const a_case broken_files[] = {
    {"a.dat", "x", {0}, "cannot tell its format", TT_E_ARG},
    {"t.txt", "x", {0}, "plain text has no labels", TT_E_ARG},
    {"t.txt", "x", {.unlabelled = true, .text2 = "b"}, "one text a line", TT_E_ARG},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":1}\n{\"text\": x}",
     {0},
     "a.jsonl:2: not valid JSON",
     TT_E_FORMAT},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":1} {}",
     {0},
     "a.jsonl:1: not valid JSON: text after",
     TT_E_FORMAT},
    {"a.jsonl", "[\"x\", 1]", {0}, "a.jsonl:1: expected a JSON object, found an array", TT_E_DATA},
    {"a.jsonl",
     "\n{\"label\":1}",
     {0},
     "a.jsonl:2: text: missing; the first key is \"label\"",
     TT_E_DATA},
    {"a.jsonl", "{}", {0}, "a.jsonl:1: text: missing", TT_E_DATA},
    {"a.jsonl",
     "{\"text\":12,\"label\":1}",
     {0},
     "1: text: expected a string, found 12",
     TT_E_DATA},
    {"a.jsonl",
     "{\"a\":\"x\",\"b\":[],\"label\":1}",
     {PAIR},
     "1: b: expected a string, found an array",
     TT_E_DATA},
    {"a.jsonl", "{\"text\":\"x\"}", {0}, "a.jsonl:1: label: no label", TT_E_DATA},
    {"a.jsonl", "{\"text\":\"x\",\"label\":null}", {0}, "a.jsonl:1: label: no label", TT_E_DATA},
    {"a.jsonl", "{\"text\":\"x\",\"label\":\"\"}", {0}, "a.jsonl:1: label: no label", TT_E_DATA},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":1.5}",
     {0},
     "label: expected a string or a whole number, found 1.5",
     TT_E_DATA},
    {"a.jsonl", "{\"text\":\"x\",\"label\":true}", {0}, "whole number, found true", TT_E_DATA},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":1e999}",
     {.with_score = true},
     "label: expected a finite number",
     TT_E_DATA},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":NaN}",
     {.with_score = true},
     "1: not valid JSON",
     TT_E_FORMAT},
    {"a.jsonl",
     "{\"text\":\"x\",\"label\":\"nan\"}",
     {.with_score = true},
     "label: expected a finite number, found \"nan\"",
     TT_E_DATA},
    {"a.jsonl", "{\"text\":\"x\\u0000\",\"label\":1}", {0}, "a.jsonl:1: a NUL", TT_E_FORMAT},
    {"a.jsonl",
     "{\"text\":\"0123456789\",\"label\":1}",
     {.max_row = 20},
     "a.jsonl:1: a line of more than 20 bytes",
     TT_E_DATA},
    {"a.tsv", "text\tlabel\n\xE4\t1", {0}, "a.tsv:2: byte 1 (0xE4) is not UTF-8", TT_E_FORMAT},
    {"a.tsv", "text\tlabel\nab\xED\xA0\x80\t1", {0}, "byte 3 (0xED) is not UTF-8", TT_E_FORMAT},
    {"a.tsv", "\xFF\xFEt", {0}, "is UTF-16", TT_E_FORMAT},
    {"a.tsv",
     "text\tlab\nx\t1",
     {0},
     "a.tsv:1: no column \"label\" for label; the first line has \"text\", \"lab\"",
     TT_E_DATA},
    {"a.tsv", "text\tlabel\ttext\nx\t1\t2", {0}, "column \"text\" is there 2 times", TT_E_DATA},
    {"a.tsv",
     "x\t1",
     {.text = "1", .label = "3"},
     "label is column \"3\", but a row has 2",
     TT_E_DATA},
    {"a.tsv", "x\t1", {.text = "0", .label = "2"}, "no column \"0\" for text", TT_E_DATA},
    {"a.tsv",
     "x\t1",
     {.header = TTI_DATA_HEADER_NO},
     "columns without names; give the number",
     TT_E_DATA},
    {"a.tsv",
     "text\tlabel\nx\t1\nx\ty\t1",
     {0},
     "a.tsv:3: 3 columns, but the first row has 2",
     TT_E_DATA},
    {"a.tsv", "text\tlabel\nx", {0}, "a.tsv:2: 1 columns, but the first", TT_E_DATA},
    {"a.tsv", "text\tlabel\nx\t", {0}, "a.tsv:2: label: no label", TT_E_DATA},
    {"a.csv",
     "text,label\nx,1\nx,1e400",
     {.with_score = true},
     "a.csv:3: label: expected a finite number, found \"1e400\"",
     TT_E_DATA},
    {"a.csv", "text,label\nx,0x10", {.with_score = true}, "found \"0x10\"", TT_E_DATA},
    {"a.csv",
     "text,label\nx,1\n\"y,1\nz,2\n",
     {0},
     "a.csv:3: a quote opens in this row and is never closed",
     TT_E_FORMAT},
    {"a.csv", "text,label\nx\"y,1\n", {0}, "a.csv:2: a quote inside a cell", TT_E_FORMAT},
    {"a.csv", "text,label\n\"x\"y,1\n", {0}, "a.csv:2: a quote inside a cell", TT_E_FORMAT},
    {"a.csv",
     "t,l\n\"01234\n01234\n01234\n01234",
     {.max_row = 20, .text = "t", .label = "l"},
     "a.csv:2: a row of more than 20 bytes; is a quote",
     TT_E_DATA},
};

Test(reader, broken) {
    check(broken_files, TT_COUNT(broken_files));
    tti_data_reader *r;
    tti_data_row row;
    bool end;
    expect_error(tti_data_open(&r, scratch("none.csv"), &(tti_data_opts){0}), TT_E_IO, "No such");
    cr_assert_eq(tti_file_write(scratch("n.tsv"), "text\tlabel\nx\0y\t1\n", 17), TT_OK);
    cr_assert_eq(tti_data_open(&r, scratch("n.tsv"), &(tti_data_opts){0}), TT_OK);
    expect_error(tti_data_next(r, &row, &end), TT_E_FORMAT, "n.tsv:2: byte 2 is NUL");
    tti_data_close(r);
    cr_assert_eq(tti_mkdirs(scratch("d.csv")), TT_OK);
    cr_assert_eq(tti_data_open(&r, scratch("d.csv"), &(tti_data_opts){0}), TT_OK);
    expect_error(tti_data_next(r, &row, &end), TT_E_IO, "cannot read: Is a directory");
    tti_data_close(r);
}

Test(reader, standard_input) {
    static const struct {
        const char *bytes;
        tti_data_opts opts;
        const char *want;
        tt_status status;
    } cases[] = {
        {BOM "\n {\"text\":\"x\",\"label\":1}\n", {0}, "2|x|-|1\n", TT_OK},
        {"just words\n", {.unlabelled = true}, "1|just words|-|-\n", TT_OK},
        {BOM, {.unlabelled = true}, "", TT_OK},
        {"a,b\n", {0}, "standard input: cannot tell its format", TT_E_ARG},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        int ends[2];
        tti_str got = {0};
        cr_assert(!pipe(ends));
        const size_t n = strlen(cases[i].bytes);
        cr_assert_eq(write(ends[1], cases[i].bytes, n), (ssize_t)n);
        close(ends[1]);
        cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
        close(ends[0]);
        tt_status s = dump(&got, "-", &cases[i].opts);
        cr_expect_eq(s, cases[i].status, "case %zu: %s", i, tt_error());
        if (s != TT_OK)
            expect_error(s, cases[i].status, cases[i].want);
        else
            cr_expect_str_eq(got.p ? got.p : "", cases[i].want);
        tti_str_free(&got);
    }
}

/* Rows and cells that cross the bounds of every buffer. */
Test(reader, long_rows) {
    static const char *const files[] = {"l.csv", "l.tsv", "l.jsonl"};
    enum { N = 300000 };
    char *big = tti_malloc(N + 1);
    for (size_t i = 0; i < N; i++) big[i] = (char)('a' + i % 23);
    big[N] = 0;
    for (size_t f = 0; f < TT_COUNT(files); f++) {
        tti_str t = {0};
        if (f < 2) tti_str_printf(&t, "text%clabel\n", f ? '\t' : ',');
        for (int i = 0; i < 5; i++) {
            if (f == 0) tti_str_printf(&t, "\"%.*s\n%s\",%d\n", 70000 * i, big, big, i);
            if (f == 1) tti_str_printf(&t, "%.*s%s\t%d\n", 70000 * i, big, big, i);
            if (f == 2)
                tti_str_printf(&t, "{\"label\":%d,\"text\":\"%.*s%s\"}\n", i, 70000 * i, big, big);
        }
        cr_assert_eq(t.status, TT_OK);
        cr_assert_eq(tti_file_write(scratch(files[f]), t.p, t.len), TT_OK);
        tti_str_free(&t);
        tti_data_reader *r;
        cr_assert_eq(tti_data_open(&r, scratch(files[f]), &(tti_data_opts){0}), TT_OK);
        for (int i = 0; i < 5; i++) {
            tti_data_row row;
            bool end;
            cr_assert_eq(tti_data_next(r, &row, &end), TT_OK, "%s", tt_error());
            const size_t front = (size_t)TT_MIN(70000 * i, N), nl = f == 0;
            cr_assert(!end && row.text_len == front + nl + N && row.label[0] == '0' + i);
            cr_expect(!memcmp(row.text, big, front) && !memcmp(row.text + front + nl, big, N));
        }
        tti_data_close(r);
    }
    tti_free(big);
}

Test(reader, numbers) {
    static const struct {
        const char *text;
        bool ok;
        double value;
    } cases[] = {
        {"1", true, 1},      {"-2.5e-3", true, -2.5e-3},
        {"+.5", true, 0.5},  {"7.", true, 7},
        {"", false, 0},      {" 1", false, 0},
        {"1 ", false, 0},    {"1,5", false, 0},
        {"nan", false, 0},   {"inf", false, 0},
        {"1e999", false, 0}, {"0x1", false, 0},
        {"1e", false, 0},    {"-", false, 0},
        {"1-1", false, 0},   {"1e-999", true, 0},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        double x = -99;
        cr_expect_eq(tti_data_number(cases[i].text, &x), cases[i].ok, "\"%s\"", cases[i].text);
        if (cases[i].ok) cr_expect_eq(x, cases[i].value, "\"%s\": %g", cases[i].text, x);
    }
}
