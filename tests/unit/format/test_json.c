// SPDX-License-Identifier: Apache-2.0
/* test_json.c - messages of broken JSON, typed access, and text that is written back. */
#include <math.h>
#include "host/format/json.h"
#include "tests/unit/format/scratch.h"

TestSuite(json, .init = scratch_begin, .fini = scratch_end);

Test(json, broken) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "a.json:1:1: empty, expected JSON"},
        {" \n\n", "empty, expected JSON"},
        {"{\n \"a\": 1,\n \"b\" 2}", "a.json:3:6: not valid JSON"},
        {"{\"\xC3\xA4\xC3\xB6\": x}", "a.json:1:8: not valid JSON"},
        {"{\"a\": 1} {", "a.json:1:10: not valid JSON: text after the end"},
        {"{\"a\": 1,}", "not valid JSON"},
        {"{\"a\": NaN}", "not valid JSON"},
        {"{'a': 1}", "not valid JSON"},
        {"{\"a\": \"\\u0000\"}", "a.json:1:8: a NUL character"},
        {"{\"a\": \"\\ud800\"}", "not valid JSON"},
        {"[1]", "a.json: expected a JSON object, found an array"},
        {"\"some long text of more than forty characters\"",
         "found the string \"some long text of more than forty charac..\""},
        {"true", "found true"},
        {"12.5", "found 12.5"},
    };
    cJSON *j;
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        expect_error(tti_json_file(&j, scratch_text("a.json", cases[i].text), TTI_JSON_MAX),
                     TT_E_FORMAT, cases[i].says);
        cr_expect_null(j);
    }
    char *deep = tti_malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    expect_error(tti_json_parse(&j, deep, 200000, "deep"), TT_E_FORMAT, "not valid JSON");
    tti_free(deep);
    expect_error(tti_json_parse(&j, "{\0}", 3, "n"), TT_E_FORMAT, "n:1:2: a NUL character");
    expect_error(tti_json_parse_line(&j, "{", 1, "f", 7), TT_E_FORMAT, "f:7: not valid JSON");
    expect_error(tti_json_file(&j, scratch_text("a.json", "{\"a\":1}"), 6), TT_E_FORMAT,
                 "larger than 6");
    expect_error(tti_json_file(&j, scratch("none"), 6), TT_E_IO, "cannot open");
    cr_expect_eq(
        tti_json_file(&j, scratch_text("a.json", "\xEF\xBB\xBF{\"a\":\"\\\\u0000\"}"), 100), TT_OK,
        "%s", tt_error());
    tti_json_free(j);
}

Test(json, typed) {
    static const char text[] = "{\"s\":\"x\",\"i\":-3,\"f\":0.5,\"t\":true,\"n\":null,\"a\":[1],"
                               "\"o\":{},\"big\":1e300,\"inf\":1e999,\"two\":2.0}";
    cJSON *j;
    cr_assert_eq(tti_json_file(&j, scratch_text("c.json", text), TTI_JSON_MAX), TT_OK);
    const tti_json_at at = {j, "c.json"};
    const char *s;
    int64_t i;
    double f;
    bool b;
    const cJSON *v;
    cr_expect(tti_json_str(at, "s", &s, "d") == TT_OK && !strcmp(s, "x"));
    cr_expect(tti_json_str(at, "n", &s, "d") == TT_OK && !strcmp(s, "d"));
    cr_expect(tti_json_str(at, "none", &s, NULL) == TT_OK && !s);
    expect_error(tti_json_str(at, "i", &s, ""), TT_E_FORMAT,
                 "c.json: i: expected a string, found -3");
    cr_expect(tti_json_int(at, "i", &i, 9) == TT_OK && i == -3);
    cr_expect(tti_json_int(at, "two", &i, 9) == TT_OK && i == 2);
    cr_expect(tti_json_int(at, "n", &i, 9) == TT_OK && i == 9);
    expect_error(tti_json_int(at, "f", &i, 0), TT_E_FORMAT, "expected a whole number, found 0.5");
    expect_error(tti_json_int(at, "s", &i, 0), TT_E_FORMAT, "found the string \"x\"");
    expect_error(tti_json_int(at, "big", &i, 0), TT_E_FORMAT, "found 1e+300");
    cr_expect(tti_json_int_in(at, "i", &i, 9, -3, 5) == TT_OK && i == -3);
    cr_expect(tti_json_int_in(at, "n", &i, 9, 0, 5) == TT_OK && i == 9);
    expect_error(tti_json_int_in(at, "i", &i, 9, -2, 5), TT_E_FORMAT, "from -2 to 5, found -3");
    cr_expect(tti_json_float(at, "f", &f, 1) == TT_OK && f == 0.5);
    cr_expect(tti_json_float(at, "i", &f, 1) == TT_OK && f == -3);
    expect_error(tti_json_float(at, "inf", &f, 1), TT_E_FORMAT, "inf: expected a finite number");
    expect_error(tti_json_float(at, "a", &f, 1), TT_E_FORMAT, "found an array");
    cr_expect(tti_json_bool(at, "t", &b, false) == TT_OK && b);
    cr_expect(tti_json_bool(at, "none", &b, true) == TT_OK && b);
    expect_error(tti_json_bool(at, "i", &b, true), TT_E_FORMAT, "expected true or false, found -3");
    cr_expect(tti_json_array(at, "a", &v) == TT_OK && v);
    expect_error(tti_json_array(at, "o", &v), TT_E_FORMAT, "expected an array, found an object");
    cr_expect(tti_json_object(at, "n", &v) == TT_OK && !v);
    expect_error(tti_json_object(at, "t", &v), TT_E_FORMAT, "expected an object, found true");
    expect_error(tti_json_need(at, "n"), TT_E_FORMAT, "c.json: n: missing");
    cr_expect_eq(tti_json_need(at, "s"), TT_OK);
    tti_json_free(j);
}

/* The layout is that of Python's json.dumps(indent=2, ensure_ascii=False). */
Test(json, written_back) {
    static const char text[] =
        "{\n  \"a\": 1,\n  \"f\": 10000.0,\n  \"e\": 1e-12,\n  \"t\": 0.1,\n"
        "  \"s\": \"3.5 \\\" \\\\ \xC3\xA4 \\n\",\n  \"list\": [\n    1.0,\n    -2,\n"
        "    {}\n  ],\n  \"o\": {\n    \"x\": null,\n    \"y\": false,\n    \"2\": 5.0\n  },\n"
        "  \"none\": [],\n  \"pi\": 3.141592653589793,\n  \"n\": 9007199254740991\n}\n";
    cJSON *j;
    char *got;
    cr_assert_eq(tti_json_file(&j, scratch_text("a.json", text), TTI_JSON_MAX), TT_OK);
    cr_assert_eq(tti_json_write(scratch("b.json"), j), TT_OK);
    cr_assert_eq(tti_file_read(&got, NULL, scratch("b.json"), 1 << 20), TT_OK);
    cr_expect_str_eq(got, text);
    tti_free(got);
    cr_expect_eq(tti_json_set_str(j, "a", "changed"), TT_OK);
    cr_expect_eq(tti_json_set_float(j, "new", 2), TT_OK);
    cr_expect_eq(tti_json_set_bool(j, "list", true), TT_OK);
    cr_expect_eq(tti_json_set_int(j, "e", -7), TT_OK);
    tti_str out = {0};
    tti_json_print(&out, j);
    cr_expect(strstr(out.p, "{\n  \"a\": \"changed\",\n  \"f\"") == out.p, "%s", out.p);
    cr_expect(strstr(out.p, "\"e\": -7,\n  \"t\"") && strstr(out.p, "\"list\": true,"));
    cr_expect(strstr(out.p, ",\n  \"new\": 2.0\n}"), "%s", out.p);
    tti_str_free(&out);
    tti_json_free(j);
}

static tt_status read_and_write(void) {
    cJSON *j = NULL;
    tt_status s;
    TT_GO(tti_json_file(&j, scratch("a.json"), TTI_JSON_MAX));
    TT_GO(tti_json_set_str(j, "a", "value"));
    TT_GO(tti_json_set_str(j, "b", "value"));
    TT_GO(tti_json_write(scratch("b.json"), j));
done:
    tti_json_free(j);
    return s;
}

Test(json, allocation_failure) {
    scratch_text("a.json", "{\"a\": [1, 2, \"x\"]}");
    expect_nomem_until_ok(read_and_write);
}
