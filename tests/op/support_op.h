// SPDX-License-Identifier: Apache-2.0
/* support_op.h - the harness of the op tests: an op is built into a small graph over a ragged
 * batch, run forwards and backwards on a device shaped like a CPU and like a GPU, and compared with
 * a double reference: values directly, gradients with central differences of the reference.
 *
 * Every run starts with NaN in all device memory that the op is to write, ends with a look at what
 * lies behind the outputs, and is repeated: the second run must give the same bits. */
#ifndef TT_TESTS_OP_SUPPORT_OP_H
#define TT_TESTS_OP_SUPPORT_OP_H

#include <criterion/criterion.h>
#include "host/graph/run.h"
#include "host/ops/ops.h"

/* Tables of cases leave out the fields at the end that are zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { TD_MAX_SEQ = 8, TD_MAX_IN = 8, TD_VOCAB = 11, TD_POSITIONS = 40, TD_TYPES = 2 };

/* A batch: sequence s has sel[s] selected rows and rest[s] others, at alternating positions. */
typedef struct {
    int seqs;
    int sel[TD_MAX_SEQ], rest[TD_MAX_SEQ];
} td_batch;

/* The batch as the graph is fed it; arrays by tti_input, NULL never. */
typedef struct {
    tti_feed feed;
    tti_rows max; /* a little more than the batch needs */
    int32_t *in[TTI_IN_COUNT];
    int32_t slot_ids[TD_VOCAB]; /* table row of each gradient slot of a sparse table */
} td_feed;

typedef struct td_case td_case;

typedef struct {
    tti_rows_kind kind; /* CONST: a parameter [rows,cols]; SEL, REST, SEQ: rows of the batch */
    size_t rows, cols;
    bool sparse; /* a parameter whose gradient has slots (an id table) */
    bool frozen; /* wants no gradient; REST rows never do */
    float scale; /* values are uniform in [-scale, scale]; 0 means 1 */
} td_input;

struct td_case {
    const char *why;
    const td_batch *batch;
    td_input in[TD_MAX_IN]; /* ends with cols 0 */
    tti_val (*build)(tti_graph *g, const tti_val *v, const td_case *c);
    /* y as doubles from the inputs as doubles, rows of the batch in hand */
    void (*ref)(double *y, const double *const *v, const td_case *c, const td_feed *f);
    double tol, grad_tol; /* |got - want| <= tol * (1 + |want|); NaN fails */
    int i;
    float p;
    const void *opts;
    bool integers;  /* inputs are small integers: the answer must be exact where tol is 0 */
    bool inference; /* dropout off */
};

typedef struct {
    tti_device *d;
    tti_gemm *gemm;
} td_env;

/* Opens the device that TT_DEVICE or the default rule names; skips the test where there is none
 * (and TT_REQUIRE_DEVICE is not set). */
td_env td_open(void);
void td_close(td_env *env);

/* Runs the case for every shape of kernel work-groups, then the comparisons described above. */
void td_check(td_env *env, const td_case *c);
/* The same for a table that ends with why NULL. */
void td_check_all(td_env *env, const td_case *cases);

/* Rows of an input or output kind in the batch. */
size_t td_rows(const td_feed *f, tti_rows_kind kind, size_t rows);
/* Builds the feed of a batch for attention blocks of att_rows rows. */
void td_feed_make(td_feed *f, const td_batch *b, int att_rows);
void td_feed_free(td_feed *f);
/* Turns the table rows of TTI_IN_IDS_DST into slots: once a feed, for a sparse table. */
void td_use_slots(td_feed *f);
/* Rows of the batch from a parameter [rows,cols], which gets their gradient. */
tti_val td_source(tti_graph *g, tti_val param, tti_rows_kind kind);
/* Sets the shape of kernels for what is built from now on: work-group, vector, attention rows. */
void td_shape(tti_device *d, int wg, int vw);
/* Repeatable numbers in [-1, 1). */
float td_random(uint32_t a, uint32_t b);

/* Builds and fails: code and a part of the message. */
void td_expect_error(const tti_graph *g, tt_status code, const char *part);

#endif
