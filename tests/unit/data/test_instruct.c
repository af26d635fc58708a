// SPDX-License-Identifier: Apache-2.0
/* test_instruct.c - every format is recognised and read, and broken records are refused by file,
 * line, record and key. */
#include "host/data/instruct.h"
#include "tests/unit/format/scratch.h"

TestSuite(instruct, .init = scratch_begin, .fini = scratch_end);

static void describe(const tti_instruct_row *row, tti_str *out) {
    if (out->len) tti_str_putc(out, ' ');
    tti_str_printf(out, "%zu:", row->line);
    if (row->empty) tti_str_puts(out, "empty:");
    if (!row->n) tti_str_printf(out, "text(%s)", row->text);
    for (size_t i = 0; i < row->n; i++) {
        const tti_message *m = &row->message[i];
        tti_str_printf(out, "%c(%s%s%s)", "sua"[m->role], m -> text, m -> input ? "|" : "",
                       m->input ? m->input : "");
        cr_expect(strlen(m->text) == m->len && (!m->input || strlen(m->input) == m->input_len));
    }
}

/* All records in words. */
static tt_status read_all(const char *path, const tti_instruct_opts *o, tti_str *out) {
    tti_instruct_reader *r;
    out->len = 0;
    TT_TRY(tti_instruct_open(&r, path, o));
    tt_status s = TT_OK;
    for (bool end = false; s == TT_OK && !end;) {
        tti_instruct_row row;
        s = tti_instruct_next(r, &row, &end);
        if (s == TT_OK && !end) describe(&row, out);
    }
    tti_instruct_close(r);
    return s;
}

#define LONG_ROW "{\"prompt\": \"p\", \"completion\": \"c\"}"

Test(instruct, formats) {
    static const struct {
        const char *file, *format, *text, *want;
    } cases[] = {
        {"a.json", "auto",
         "[{\"instruction\": \"i\", \"input\": \"x\", \"output\": \"o\", \"text\": \"t\"},\n"
         " {\"instruction\": \"j\", \"input\": \"\", \"output\": \"p\"}]\n",
         "1:u(i|x)a(o) 2:u(j)a(p)"},
        {"a.jsonl", "auto",
         "\xEF\xBB\xBF{\"output\": \"o\", \"instruction\": \"i\", \"system\": \"s\"}\r\n\n"
         "{\"instruction\": \"i\\n2\", \"output\": \"o\", \"input\": null}",
         "1:s(s)u(i)a(o) 3:u(i\n2)a(o)"},
        {"a", "alpaca", "\n  [ ]", NULL},
        {"a", "auto",
         "[\n\n{\n\"prompt\":\n\"]},{\\\"\", \"completion\": \"[c\"}\n,\n" LONG_ROW "\n]\n",
         "3:u(]},{\")a([c) 7:u(p)a(c)"},
        {"a.jsonl", "prompt", LONG_ROW "\n" LONG_ROW, "1:u(p)a(c) 2:u(p)a(c)"},
        {"a.json", "auto", LONG_ROW, "1:u(p)a(c)"},
        {"a.json", "chat",
         "[{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", "
         "\"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}]",
         "1:s(s)u(u)a(a)"},
        {"a.jsonl", "auto",
         "{\"messages\": [{\"role\": \"system\", \"content\": \" \"}, {\"role\": \"user\", "
         "\"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"user\", "
         "\"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"b\"}], \"prompt\": \"x\"}",
         "1:u(u)a(a)u(u)a(b)"},
        {"a.jsonl", "auto",
         "{\"conversations\": [{\"from\": \"human\", \"value\": \"u\"}, "
         "{\"from\": \"gpt\", \"value\": \"a\"}]}",
         "1:u(u)a(a)"},
        {"a.jsonl", "auto",
         "{\"conversations\": [{\"role\": \"user\", \"content\": \"u\"}, "
         "{\"role\": \"assistant\", \"content\": \"a\"}]}",
         "1:u(u)a(a)"},
        {"a.jsonl", "auto", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n",
         "1:text(one) 2:text(two)"},
        {"a.json", "text", "[{\"text\": \"one\"}]", "1:text(one)"},
        {"a.txt", "auto", "[one]\ntwo\n", "1:text([one]\ntwo\n)"},
        {"a.md", "text", "{one", "1:text({one)"},
        {"a", "auto", "one\r\n\r\ntwo", "1:text(one\r\n\r\ntwo)"},
        {"a", "text", "{x}", "1:text({x})"},
    };
    tti_str got = {0};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_instruct_opts o = {.pass_empty = false};
        cr_assert(tti_instruct_format_named(cases[i].format, &o.format));
        const tt_status s = read_all(scratch_text(cases[i].file, cases[i].text), &o, &got);
        if (!cases[i].want) {
            expect_error(s, TT_E_DATA, "holds no records");
            continue;
        }
        cr_expect_eq(s, TT_OK, "case %zu: %s", i, tt_error());
        if (s == TT_OK) cr_expect_str_eq(got.p, cases[i].want, "case %zu: %s", i, got.p);
    }
    tti_str_free(&got);
    tti_instruct_format f;
    cr_expect(!tti_instruct_format_named("csv", &f));
    cr_expect_str_eq(tti_instruct_format_name(TTI_INSTRUCT_chat), "chat");
}

#define U "{\"role\": \"user\", \"content\": \"u\"}"
#define A "{\"role\": \"assistant\", \"content\": \"a\"}"
#define S "{\"role\": \"system\", \"content\": \"s\"}"

static const struct {
    const char *file, *text;
    tt_status status;
    const char *says;
} refusals[] = {
    {"a.json", "", TT_E_DATA, "a.json: empty, holds no records"},
    {"a.txt", " \n\n", TT_E_DATA, "a.txt: empty, holds no records"},
    {"a.json", "[]", TT_E_DATA, "a.json: holds no records"},
    {"a.jsonl", "{}", TT_E_DATA, "a.jsonl:1: keys {} are of no known format; expected instru"},
    {"a.jsonl", "{\"q\": 1, \"a\": 2}", TT_E_DATA, "a.jsonl:1: keys {q, a} are of no known"},
    {"a.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}", TT_E_DATA,
     "a.jsonl:2: text: missing (format text)"},
    {"a.jsonl", "{\"text\": \" \\n\"}", TT_E_DATA, "a.jsonl:1: text: empty"},
    {"a.jsonl", "{\"text\": null}", TT_E_FORMAT, "a.jsonl:1: text: expected a string, found n"},
    {"a.jsonl", "{\"instruction\": \"i\"}", TT_E_DATA, "a.jsonl:1: output: missing (format al"},
    {"a.jsonl", "{\"instruction\": \"i\", \"output\": \"\"}", TT_E_DATA,
     "a.jsonl:1: output: empty"},
    {"a.jsonl", "{\"instruction\": \" \", \"output\": \"o\"}", TT_E_DATA,
     "a.jsonl:1: instruction: empty"},
    {"a.jsonl", "{\"instruction\": \"i\", \"output\": 5}", TT_E_FORMAT,
     "a.jsonl:1: output: expected a string, found 5"},
    {"a.jsonl", "{\"instruction\": \"i\", \"input\": [], \"output\": \"o\"}", TT_E_FORMAT,
     "a.jsonl:1: input: expected a string, found an array"},
    {"a.json", "[" LONG_ROW ", {\"prompt\": \"p\"}]", TT_E_DATA,
     "a.json:1: record 2: completion: missing (format prompt)"},
    {"a.json", "[" LONG_ROW ",\n\n{\"prompt\": \"p\", \"completion\": \"\\t\"}]", TT_E_DATA,
     "a.json:3: record 2: completion: empty"},
    {"a.json", "[" LONG_ROW ", 3]", TT_E_FORMAT,
     "a.json:1: record 2: expected a JSON object, found 3"},
    {"a.json", "[" LONG_ROW ",]", TT_E_FORMAT, "a.json:1: empty, expected JSON"},
    {"a.json", "[" LONG_ROW "\n", TT_E_FORMAT, "a.json:1: the record that begins here is nev"},
    {"a.json", "[" LONG_ROW ",\n{\"prompt\": \"p", TT_E_FORMAT, "a.json:2: the record that be"},
    {"a.json", "[", TT_E_FORMAT, "never closed"},
    {"a.json", "[" LONG_ROW "] x", TT_E_FORMAT, "a.json:1: text after the end of the array"},
    {"a.json", "[" LONG_ROW " " LONG_ROW "]", TT_E_FORMAT, "a.json:1: not valid JSON"},
    {"a.jsonl", "{\n\"prompt\": 1}", TT_E_FORMAT, "a.jsonl:1: not valid JSON"},
    {"a.jsonl", LONG_ROW "\n[1]", TT_E_FORMAT, "a.jsonl:2: expected a JSON object, found an a"},
    {"a.jsonl", "plain", TT_E_FORMAT, "a.jsonl:1: not valid JSON"},
    {"a.jsonl", "{\"prompt\": \"\xFF\", \"completion\": \"c\"}", TT_E_FORMAT, "not UTF-8"},
    {"a.jsonl", "{\"prompt\": \"\\u0000\", \"completion\": \"c\"}", TT_E_FORMAT, "a NUL"},
    {"a.jsonl", "{\"messages\": \"hi\"}", TT_E_FORMAT, "messages: expected an array, found th"},
    {"a.jsonl", "{\"messages\": []}", TT_E_DATA, "a.jsonl:1: messages: no messages"},
    {"a.jsonl", "{\"messages\": null}", TT_E_DATA, "a.jsonl:1: messages: no messages"},
    {"a.jsonl", "{\"messages\": [" S "]}", TT_E_DATA,
     "messages: ends with a system message; expected an assistant's answer"},
    {"a.jsonl", "{\"messages\": [" U "]}", TT_E_DATA, "messages: ends with a user message"},
    {"a.jsonl", "{\"messages\": [" U ", \"x\"]}", TT_E_FORMAT,
     "messages[1]: expected an object, found the string \"x\""},
    {"a.jsonl", "{\"messages\": [" A "]}", TT_E_DATA,
     "a.jsonl:1: messages[0].role: assistant cannot be first; expected an optional system"},
    {"a.jsonl", "{\"messages\": [" U ", " U "]}", TT_E_DATA,
     "messages[1].role: user cannot follow user"},
    {"a.jsonl", "{\"messages\": [" U ", " A ", " A "]}", TT_E_DATA,
     "messages[2].role: assistant cannot follow assistant"},
    {"a.jsonl", "{\"messages\": [" S ", " A "]}", TT_E_DATA,
     "messages[1].role: assistant cannot follow system"},
    {"a.jsonl", "{\"messages\": [" U ", " S "]}", TT_E_DATA,
     "messages[1].role: system cannot follow user"},
    {"a.jsonl", "{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}", TT_E_DATA,
     "messages[0].role: expected system, user or assistant, found \"tool\""},
    {"a.jsonl", "{\"messages\": [{\"content\": \"x\"}]}", TT_E_DATA, "messages[0].role: missin"},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\"}]}", TT_E_DATA, "messages[0].content: mis"},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}",
     TT_E_FORMAT, "messages[0].content: expected a string, found an array"},
    {"a.jsonl", "{\"messages\": [" U ", {\"role\": \"assistant\", \"content\": \"\"}]}", TT_E_DATA,
     "messages[1].content: empty"},
    {"a.jsonl", "{\"conversations\": [{\"from\": \"gpt\", \"value\": \"a\"}]}", TT_E_DATA,
     "conversations[0].from: assistant cannot be first"},
    {"a.jsonl", "{\"conversations\": [{\"from\": \"human\"}]}", TT_E_DATA,
     "conversations[0].value: missing"},
};

Test(instruct, refused) {
    const tti_instruct_opts o = {.pass_empty = false};
    tti_str got = {0};
    for (size_t i = 0; i < TT_COUNT(refusals); i++) {
        expect_error(read_all(scratch_text(refusals[i].file, refusals[i].text), &o, &got),
                     refusals[i].status, refusals[i].says);
        cr_expect(!strchr(tt_error(), '\n'));
    }
    const tti_instruct_opts named = {.format = TTI_INSTRUCT_chat};
    expect_error(read_all(scratch_text("a.txt", "hello"), &named, &got), TT_E_FORMAT,
                 "a.txt: expected JSON records of format chat, found plain text");
    expect_error(read_all(scratch_text("a.jsonl", LONG_ROW), &named, &got), TT_E_DATA,
                 "a.jsonl:1: messages: missing (format chat)");
    expect_error(read_all(scratch("none.json"), &o, &got), TT_E_IO, "none.json: cannot open");
    const tti_instruct_opts small = {.max_row = 20};
    expect_error(read_all(scratch_text("a.jsonl", LONG_ROW), &small, &got), TT_E_DATA,
                 "a.jsonl:1: a line of more than 20 bytes");
    tti_str_free(&got);
}

Test(instruct, empty_passed_on) {
    const tti_instruct_opts o = {.pass_empty = true};
    tti_str got = {0};
    cr_assert_eq(read_all(scratch_text("a.jsonl", "{\"prompt\": \"p\", \"completion\": \" \"}\n"
                                                  "{\"prompt\": \"p\", \"completion\": \"c\"}\n"),
                          &o, &got),
                 TT_OK, "%s", tt_error());
    cr_expect_str_eq(got.p, "1:empty:u(p)a( ) 2:u(p)a(c)");
    expect_error(
        read_all(scratch_text("a.jsonl", "{\"prompt\": \"\", \"completion\": \"c\"}"), &o, &got),
        TT_E_DATA, "prompt: empty");
    tti_str_free(&got);
}

/* Where lines and buffers end must not matter: the same array laid out in many ways. */
Test(instruct, long_arrays) {
    enum { N = 3000 };
    static const char *const between[] = {",", ",\n", "\n,\n ", " , "};
    const tti_instruct_opts o = {.pass_empty = false};
    for (size_t k = 0; k < TT_COUNT(between); k++) {
        tti_str t = {0}, key = {0};
        tti_str_puts(&t, "[");
        for (int i = 0; i < N; i++)
            tti_str_printf(&t, "%s{\"prompt\":\"%d \\\\\\\" } ] %*s\",\"completion\":\"c%d\"}",
                           i ? between[k] : "", i, i % 97, "", i);
        tti_str_puts(&t, "]\n");
        tti_instruct_reader *r;
        cr_assert_eq(tti_instruct_open(&r, scratch_text("a.json", t.p), &o), TT_OK);
        for (int i = 0;; i++) {
            tti_instruct_row row;
            bool end;
            cr_assert_eq(tti_instruct_next(r, &row, &end), TT_OK, "%s", tt_error());
            cr_assert_eq(end, i == N);
            if (end) break;
            key.len = 0;
            tti_str_printf(&key, "c%d", i);
            cr_assert_str_eq(row.message[1].text, key.p);
            cr_assert_eq(row.record, (size_t)i + 1);
        }
        tti_instruct_close(r);
        tti_str_free(&t);
        tti_str_free(&key);
    }
}

static tt_status read_some(void) {
    const tti_instruct_opts o = {.pass_empty = false};
    tti_instruct_reader *r;
    TT_TRY(tti_instruct_open(&r, scratch("a.json"), &o));
    tt_status s = TT_OK;
    for (bool end = false; s == TT_OK && !end;) {
        tti_instruct_row row;
        s = tti_instruct_next(r, &row, &end);
    }
    tti_instruct_close(r);
    return s;
}

Test(instruct, allocation_failure) {
    scratch_text("a.json", "[" LONG_ROW ",\n" LONG_ROW "]");
    expect_nomem_until_ok(read_some);
}
