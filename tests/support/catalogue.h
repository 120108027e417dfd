/* catalogue.h - the bad-input catalogue, rows 1 to 90 of D1 to D3 (distributed-reliability.md):
 * `segloom check` meets each input as a person's file, names it by its code, and ends with 2
 * for an error and with 0 for the rest; nothing is accepted in silence, nothing crashes. */
#pragma once

#include "loom_test.h"
#include "nifti_bytes.h"

extern char *catalogue_folder; /* of the row at hand: c.yaml and its data set */

typedef void (*CatalogueBend)(NiftiFields *fields); /* of the image, of the label, or both */
typedef void (*CatalogueDamage)(GByteArray *bytes); /* of the image's file */
typedef void (*CatalogueArrange)(void);             /* whatever else is in the folder */

typedef struct {
    guint row;
    const char *code; /* its beginning; NULL: nothing may be found */
    const char *text; /* in the same problem */
    CatalogueBend image, both, label;
    double (*value)(gint64 v), (*label_value)(gint64 v);
    CatalogueDamage damage;
    CatalogueArrange arrange;
    const char *data; /* further keys of `data:` */
    const char *yaml; /* the whole config instead */
    gboolean fails;   /* there is an error besides */
    gboolean alone;   /* no other problem is found */
    gboolean gzip;    /* the data set's files end with .nii.gz, and are gzip */
} CatalogueRow;

/* BEND(name, f->member = value; ...): a CatalogueBend. */
#define BEND(name, ...)                                                                        \
    static void name(NiftiFields *f)                                                           \
    {                                                                                          \
        __VA_ARGS__;                                                                           \
    }

#define GRAPHS                                                                                 \
    "graphs:\n"                                                                                \
    "  train:\n"                                                                               \
    "    load:  {use: nifti_load}\n"                                                           \
    "    patch: {use: crop, from: load, size: [4, 4, 4]}\n"
#define DATA "data: {dataset: '.', folds: 2}\n"
#define RUN "run: {graph: train}\n"
#define CROP(more)                                                                             \
    "segloom: 1\n" DATA "graphs:\n  train:\n    load:  {use: nifti_load}\n"                    \
    "    patch: {use: crop, from: load, " more "}\n" RUN

#define CASES 4

/* The data set that has nothing wrong: cases a00 to a03, no two with the same grid.  A row
 * bends a01. */
NiftiFields catalogue_case(guint i);
double catalogue_image(gint64 v);
double catalogue_label(gint64 v);
/* A file in the folder; (transfer full): its path. */
char *catalogue_text(const char *name, const char *text, gssize length);
/* dataset.json; @labels, @channels: members of theirs. */
void catalogue_json(const char *labels, const char *channels, guint n, gboolean gzip);
/* The image or label (@kind: "imagesTr", "labelsTr") of case @i; @row: NULL: plain .nii. */
void catalogue_file(const char *kind, guint i, const NiftiFields *fields,
                    double (*value)(gint64), const CatalogueRow *row, CatalogueDamage damage);

/* A test for each ten rows, /catalogue/rows-00 and so on. */
void catalogue_add(const CatalogueRow *rows, guint n);
