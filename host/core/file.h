// SPDX-License-Identifier: Apache-2.0
/* file.h - files read whole or mapped, and files and folders that appear complete or not at all. */
#ifndef TT_HOST_CORE_FILE_H
#define TT_HOST_CORE_FILE_H

#include "host/core/core.h"

typedef struct {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;
} tti_map;

/* Maps a regular file read-only; TT_E_IO names the path and the system's reason. */
tt_status tti_map_open(tti_map *out, const char *path);
void tti_map_close(tti_map *m);
/* Lets go of all pages that were read so far: while they are held, they count as memory of the
 * process. They come back when they are read again. */
void tti_map_drop(const tti_map *m);
enum { TTI_MAP_PIECE = 1 << 20 }; /* how much to read of a map before dropping it */

/* Reads a whole file (or standard input when path is "-") into memory with a NUL after it.
 * Gives *out (tti_free). A file over max bytes is TT_E_FORMAT. */
tt_status tti_file_read(char **out, size_t *size, const char *path, size_t max);
bool tti_file_exists(const char *path);
bool tti_dir_exists(const char *path);

/* Writes aside in the same folder, fsyncs, renames over path, fsyncs the folder. */
tt_status tti_file_write(const char *path, const void *data, size_t size);
/* The same for content written piece by piece: begin, write to ->f, then commit or abort. */
typedef struct {
    FILE *f;
    char *path, *aside;
} tti_outfile;
tt_status tti_outfile_begin(tti_outfile *o, const char *path);
tt_status tti_outfile_write(tti_outfile *o, const void *data, size_t size);
tt_status tti_outfile_commit(tti_outfile *o); /* on failure nothing is left behind */
void tti_outfile_abort(tti_outfile *o);       /* harmless after commit */

tt_status tti_mkdirs(const char *path);
/* A folder written aside: begin makes "<path>.part-<pid>" and gives its name (tti_free), commit
 * fsyncs every file in it and renames it to path (an older folder of that name is replaced, the
 * old one surviving until the new one is complete), abort removes it. */
tt_status tti_dir_begin(char **aside, const char *path);
tt_status tti_dir_commit(const char *aside, const char *path);
void tti_dir_abort(const char *aside);
/* For the only writer of path, before it starts: removes what a killed writer left beside path, and
 * where that one died while replacing a folder on a system that cannot exchange two names at once,
 * puts the old folder back. Afterwards path is the old or the new folder, complete. */
tt_status tti_dir_recover(const char *path);
tt_status tti_dir_remove(const char *path); /* recursively; a missing one is TT_OK */

/* Gives "a/b" (tti_free); NULL on TT_E_NOMEM. */
char *tti_path_join(const char *a, const char *b);
/* $XDG_CACHE_HOME/tokentune, else ~/.cache/tokentune, else /tmp/tokentune-<uid>; or TT_CACHE_DIR.
 * Created on demand with mode 0700. Gives the path (tti_free). */
tt_status tti_cache_dir(char **out);

#endif
