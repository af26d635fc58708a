// SPDX-License-Identifier: Apache-2.0
/* gradients.h - gradients copied to the host, and compared by groups of parameters. */
#ifndef TT_HOST_EVAL_GRADIENTS_H
#define TT_HOST_EVAL_GRADIENTS_H

#include "host/model/model.h"
#include "host/train/batch.h"

/* Zero-initialise; tti_gradients_free at the end. */
typedef struct {
    float **dense; /* by parameter; NULL: none, or sparse */
    int sparse;    /* the parameter with a row for each id, or -1 */
    float *rows;   /* of it, in the order of ids */
    int32_t *ids;  /* ascending */
    size_t nids, nparams;
} tti_gradients;

/* Copies the gradients of the model's trained parameters; ids are the step's with gradient. */
tt_status tti_gradients_read(tti_gradients *g, tti_device *d, tti_model *m, const tti_idset *ids);
void tti_gradients_free(tti_gradients *g);

typedef struct {
    double ab, aa, bb; /* products, in double precision */
} tti_products;
/* Adds those of each parameter to sums[group[parameter]]. */
void tti_gradients_products(tti_products *sums, const size_t *group, const tti_gradients *a,
                            const tti_gradients *b, tti_model *m);
/* 0 where one of the two is zero. */
double tti_cosine(const tti_products *p);

/* Groups of a model's parameters: where it is in the model by its name. group [nparams]; names may
 * be NULL. Gives how many. */
size_t tti_gradient_groups(size_t *group, char (*names)[32], tti_model *m);

#endif
