/* data_folder.h - small data sets on disk, of any layout, and what opening them gives. */
#pragma once

#include "data/dataset.h"

extern char *data_folder; /* of the data set at hand */

void data_folder_begin(void);
void data_folder_end(void);
void text_put(const char *name, const char *text);
/* A volume of 3 x 2 x 2 voxels v that hold v mod 4, plain or gzip by its name; @volumes along
 * the fourth axis. */
void volume_put(const char *name, gint64 volumes);
void volumes_put(const char *const *names); /* ends with NULL */
void file_remove(const char *name);

/* @keys: of `data:` besides the data set, "layout: msd"; @table: "" or "/cases.csv". */
LoomDataset *data_open(const char *table, const char *keys, GError **error);
/* Opening fails with this in its one line. */
void data_refused(const char *table, const char *keys, const char *text);
/* @cases: "a+ b- c+": + trains, - validates. */
void data_is(const char *table, const char *keys, const char *layout, const char *cases);
