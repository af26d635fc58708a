// SPDX-License-Identifier: Apache-2.0
/* template_jinja_internal.h - syntax trees, values and the state of a run. All of them live in
 * arenas and are never freed one by one. */
#ifndef TT_HOST_DATA_TEMPLATE_JINJA_INTERNAL_H
#define TT_HOST_DATA_TEMPLATE_JINJA_INTERNAL_H

#include <string.h>
#include "host/data/template_internal.h"
#include "host/data/template_jinja.h"

/* Memory given back all at once. */
typedef struct {
    struct tti_arena_chunk *chunk;
    size_t total, most; /* bytes; most 0: no bound */
    bool full;          /* the bound was met */
} tti_arena;
void *tti_arena_new(tti_arena *a, size_t size); /* zeroed; NULL with the message set */
void tti_arena_free(tti_arena *a);

typedef enum {
    /* expressions: a, b, c are operands; lists are linked by next and hold NODE_ARG */
    NODE_STRING, /* s, n */
    NODE_INT,    /* i */
    NODE_CONST,  /* i: 0 false, 1 true, 2 none */
    NODE_NAME,
    NODE_ATTR,   /* a.s */
    NODE_ITEM,   /* a[b] */
    NODE_SLICE,  /* a[b:c:d] */
    NODE_CALL,   /* a(list b) */
    NODE_FILTER, /* a|s(list b) */
    NODE_TEST,   /* a is s(list b); i: negated */
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_BINARY, /* a op b */
    NODE_COND,   /* b if a else c */
    NODE_LIST,   /* list a */
    NODE_MAP,    /* list a of NODE_ARG: a value, b key */
    NODE_ARG,    /* a, with the name s or NULL */
    /* statements, linked by next */
    NODE_TEXT,  /* s, n */
    NODE_OUT,   /* a */
    NODE_IF,    /* a condition, b body, c otherwise */
    NODE_FOR,   /* a targets (NODE_ARG s), b sequence, c body, d otherwise, e condition */
    NODE_SET,   /* a targets, b value or NULL and body c; s: the attribute of a namespace */
    NODE_MACRO, /* s name, a parameters (NODE_ARG s, a default), c body */
    NODE_BLOCK, /* c body, as if it stood there alone */
    NODE_BREAK,
    NODE_CONTINUE,
} tti_node_kind;

typedef struct tti_jnode tti_jnode;
struct tti_jnode {
    tti_node_kind kind;
    int op; /* of NODE_BINARY: a character, or OP_* */
    size_t line;
    const char *s; /* names end in NUL, texts have n bytes */
    size_t n;
    int64_t i;
    tti_jnode *a, *b, *c, *d, *e, *next;
};
enum { OP_OR = 256, OP_AND, OP_EQ, OP_NE, OP_LE, OP_GE, OP_IN, OP_NOT_IN, OP_INT_DIV };

struct tti_jinja {
    tti_arena arena;
    char *name;
    tti_jnode *body;
};

/* Reading: a cursor in the source, and in tags the token that comes next. */
typedef enum { TOKEN_NAME, TOKEN_INT, TOKEN_STRING, TOKEN_OP, TOKEN_CLOSE } tti_jtoken_kind;
typedef struct {
    tti_arena *arena;
    const char *name; /* of the source, for messages */
    const char *begin, *p, *end;
    size_t line, depth;
    tt_status status; /* of the first failure; what is read after it has no meaning */
    struct {
        tti_jtoken_kind kind;
        int op;        /* a character or OP_EQ.. ; of TOKEN_CLOSE '}' or '%' */
        const char *s; /* NAME: ends in NUL; STRING */
        size_t n;
        int64_t i;
        char sign; /* CLOSE: '-' takes white space behind away, '+' keeps it all; or 0 */
    } token;
} tti_jsource;

/* NULL with the status set. */
tti_jnode *tti_jinja_node(tti_jsource *j, tti_node_kind kind);
/* Sets the status once; "name:line: ..". Returns NULL. */
void *tti_jinja_fail(tti_jsource *j, tt_status code, const char *fmt, ...) TT_PRINTF(3, 4);
void tti_jinja_token(tti_jsource *j); /* reads the next token of a tag */
bool tti_jinja_is(const tti_jsource *j, const char *op_or_name);
bool tti_jinja_take(tti_jsource *j, const char *op_or_name); /* steps over it if it is next */
void tti_jinja_expect(tti_jsource *j, const char *op_or_name);
const char *tti_jinja_word(tti_jsource *j); /* steps over a name, which must come */
tti_jnode *tti_jinja_expression(tti_jsource *j);
/* a, b, c without brackets is a list. */
tti_jnode *tti_jinja_tuple(tti_jsource *j);
/* Parameters or arguments up to the closing bracket; the opening one is behind. */
tti_jnode *tti_jinja_arguments(tti_jsource *j, const char *close);
/* The text up to the next tag and that tag's first token; *tag is '{' or '%', or 0 at the end.
 * Text is NULL where there is none. */
tti_jnode *tti_jinja_text(tti_jsource *j, char *tag);
void tti_jinja_close(tti_jsource *j, char tag); /* steps over the end of a tag */
tti_jnode *tti_jinja_body(tti_jsource *j);      /* the whole source */

/* Values. */
typedef enum {
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_STRING,
    V_LIST,
    V_MAP,
    V_MACRO,
    V_FUNCTION
} tti_jkind;
typedef struct {
    tti_jkind kind;
    int64_t i;
    const char *s; /* n bytes, of which from .. to stem from an answer (none: from >= to) */
    size_t n, from, to;
    struct tti_jlist *list;
    struct tti_jmap *map;
    const tti_jnode *macro;
} tti_jv;
typedef struct tti_jlist {
    tti_jv *v;
    size_t n, cap;
} tti_jlist;
typedef struct tti_jpair {
    const char *key; /* ends in NUL */
    tti_jv value;
    struct tti_jpair *next;
} tti_jpair;
typedef struct tti_jmap {
    tti_jpair *first;
    bool space; /* a namespace: templates may set what is in it */
} tti_jmap;
typedef struct tti_jscope {
    tti_jmap vars;
    struct tti_jscope *outer;
} tti_jscope;

enum { TTI_JINJA_ARGUMENTS = 8, TTI_JINJA_STEPS = 20000000 };
typedef struct {
    tti_jv v[TTI_JINJA_ARGUMENTS];
    const char *name[TTI_JINJA_ARGUMENTS]; /* NULL: by place */
    size_t n;
} tti_jargs;

/* A run. */
typedef struct {
    const tti_jinja *jinja;
    tti_arena arena;
    tti_jscope *scope, *global;
    tti_str *out;        /* what is being written, */
    tti_answer_span all; /* and the stretch of it from the first answer to the last */
    tti_rendered *spans; /* NULL: a block whose text becomes a value */
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
    size_t steps, depth, line;
    tt_status status; /* of the first failure; values after it have no meaning */
} tti_jrun;

tti_jv tti_jrun_fail(tti_jrun *r, tt_status code, const char *fmt, ...) TT_PRINTF(3, 4);
void tti_jrun_write(tti_jrun *r, tti_jv v); /* as {{ v }} does */
void tti_jrun_body(tti_jrun *r, const tti_jnode *body);
tti_jv tti_jrun_eval(tti_jrun *r, const tti_jnode *n);
tti_jv tti_jrun_macro(tti_jrun *r, const tti_jnode *macro, const tti_jargs *args);

tti_jv tti_jv_string(const char *s, size_t n); /* borrowed */
tti_jv tti_jv_z(const char *s);
tti_jv tti_jv_int(int64_t i);
tti_jv tti_jv_bool(bool b);
tti_jv tti_jv_list(tti_jrun *r);
tti_jv tti_jv_map(tti_jrun *r);
void tti_jv_push(tti_jrun *r, tti_jv list, tti_jv v);
void tti_jv_set(tti_jrun *r, tti_jmap *m, const char *key, tti_jv v);
tti_jv *tti_jv_find(const tti_jmap *m, const char *key, size_t n); /* NULL: not there */
bool tti_jv_true(tti_jv v);
bool tti_jv_same(tti_jv a, tti_jv b);
size_t tti_jv_length(tti_jrun *r, tti_jv v);
tti_jv tti_jv_text(tti_jrun *r, tti_jv v); /* as str() has it */
tti_jv tti_jv_part(tti_jv s, size_t at, size_t n);
tti_jv tti_jv_join(tti_jrun *r, tti_jv a, tti_jv b);
tti_jv tti_jv_items(tti_jrun *r, tti_jv v); /* what `for` walks over, as a list */
tti_jv tti_jv_json(tti_jrun *r, tti_jv v);

/* By name; the first argument is not among args. */
tti_jv tti_jinja_filter(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args);
tti_jv tti_jinja_test(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args);
tti_jv tti_jinja_method(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args);
tti_jv tti_jinja_function(tti_jrun *r, const char *name, const tti_jargs *args);
bool tti_jinja_has_function(const char *name);
/* An argument by place or name; UNDEFINED where it was not given. */
tti_jv tti_jinja_argument(const tti_jargs *args, size_t place, const char *name);

#endif
