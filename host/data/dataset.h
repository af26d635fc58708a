// SPDX-License-Identifier: Apache-2.0
/* dataset.h - all samples of one or more files in memory, with labels as class ids or numbers. */
#ifndef TT_HOST_DATA_DATASET_H
#define TT_HOST_DATA_DATASET_H

#include "host/data/reader.h"

/* Borrowed from the dataset. */
typedef struct {
    const char *text, *text2; /* text2 NULL: none */
    size_t text_len, text2_len;
    int32_t label;    /* class id; -1: regression or unlabelled */
    float target;     /* regression; else 0 */
    const char *file; /* where it comes from */
    size_t line;
} tti_sample;

typedef struct tti_dataset tti_dataset;

typedef struct {
    tti_data_opts data; /* with_score and unlabelled are set by the fields below */
    bool regression, unlabelled;
    /* The class of id i is labels[i]; NULL: found in the data, whole numbers ascending by value if
     * all labels are such, else strings in the order of their bytes. A label that is not among the
     * given ones but is a whole number below nlabels stands for that id, where no given label is a
     * whole number (as id2label LABEL_0 .. has none). */
    const char *const *labels;
    size_t nlabels;
} tti_dataset_opts;

/* Reads n >= 1 files, which share their labels. TT_E_DATA: no samples, a label that is not among
 * the given ones, only one class (when found in the data). Gives *out (tti_dataset_free). */
tt_status tti_dataset_load(tti_dataset **out, const char *const *paths, size_t n,
                           const tti_dataset_opts *opts);
void tti_dataset_free(tti_dataset *ds); /* NULL is a no-op */

size_t tti_dataset_count(const tti_dataset *ds);
tti_sample tti_dataset_at(const tti_dataset *ds, size_t i);
bool tti_dataset_has_pairs(const tti_dataset *ds); /* text2 was read */
/* Classes in the order of their ids; 0 of them for regression and unlabelled data. */
size_t tti_dataset_classes(const tti_dataset *ds);
const char *const *tti_dataset_labels(const tti_dataset *ds);
/* Samples of a class. */
size_t tti_dataset_class_count(const tti_dataset *ds, size_t label);

/* Keeps k >= 1 samples a class, drawn by (seed, class, draw), in their order; TT_E_DATA names a
 * class that has fewer, and changes nothing. */
tt_status tti_dataset_shots(tti_dataset *ds, size_t k, uint64_t seed);
/* Moves `count` samples, drawn by seed, from ds into *held, which it gives. Classes are held back
 * in proportion (largest remainder), and each keeps at least one sample in ds if it had any.
 * TT_E_DATA where too few would remain. */
tt_status tti_dataset_split(tti_dataset *ds, tti_dataset **held, size_t count, uint64_t seed);

#endif
