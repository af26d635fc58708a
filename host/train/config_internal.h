// SPDX-License-Identifier: Apache-2.0
/* config_internal.h - the table of keys, shared by the files of the run description. */
#ifndef TT_HOST_TRAIN_CONFIG_INTERNAL_H
#define TT_HOST_TRAIN_CONFIG_INTERNAL_H

#include "host/train/config.h"

typedef enum {
    TTI_KEY_BOOL,   /* bool */
    TTI_KEY_INT,    /* int64_t */
    TTI_KEY_NUM,    /* double */
    TTI_KEY_SIZE,   /* int64_t: bytes, given as 8G or 512M */
    TTI_KEY_TEXT,   /* char * */
    TTI_KEY_CHOICE, /* int: index into choices */
    TTI_KEY_LIST,   /* tti_texts; a single text is a list of one */
} tti_key_type;

enum {
    TTI_KEY_REQUIRED = 1,
    TTI_KEY_ABOVE = 2,  /* NUM: above min, not equal to it */
    TTI_KEY_BELOW = 4,  /* NUM: below max, not equal to it */
    TTI_KEY_RESULT = 8, /* another value gives another result: a resumed run must keep it */
};

typedef struct {
    const char *key; /* "train.lr", or "task" outside any section */
    tti_key_type type;
    unsigned flags;
    size_t offset; /* in tti_config */
    double min, max;
    const char *const *choices; /* NULL-terminated */
    const char *fallback;       /* as an override would give it; NULL: not set */
    const char *help;
} tti_key;

extern const tti_key tti_keys[];
extern const size_t tti_keys_n;
extern const char *const tti_sections[]; /* NULL-terminated, in the order of the help */

const tti_key *tti_key_find(const char *path, size_t n); /* NULL when unknown */
/* Appends "; did you mean train.lr?" where a key resembles path. */
void tti_key_suggest(tti_str *out, const char *path);
/* Appends "a number above 0", "one of cls, mean", ... */
void tti_key_expected(tti_str *out, const tti_key *k);

void tti_texts_free(tti_texts *s);

/* Where the keys of a YAML text stand. */
typedef struct {
    const tti_key *key;
    size_t line; /* 1-based */
    bool scalar; /* a list given as a single text */
} tti_key_place;

typedef struct {
    tti_key_place *at;
    size_t n, cap;
} tti_key_places;

/* Finds every key of the text and refuses what is no known key, stands twice or has the wrong kind
 * of value. name stands for the text in messages. Gives *out (tti_free of out->at), also on
 * failure. */
tt_status tti_config_places(tti_key_places *out, const char *text, size_t size, const char *name);
/* Sets c's fields to the values of a YAML text; name NULL: `text` is an override whose words are
 * `given`. */
tt_status tti_config_apply(tti_config *c, const char *text, size_t size, const char *name,
                           const char *given);

#endif
