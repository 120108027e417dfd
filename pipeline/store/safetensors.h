/* safetensors.h - what the reader and the writer of weights agree on.
 *
 * A file is the length of the header (8 bytes, little endian), the header (JSON, begins with
 * '{', may end in spaces), and the tensors one behind the other.  The header gives for each
 * name dtype, shape and data_offsets = [begin, end), counted from the end of the header;
 * "__metadata__" maps strings to strings.  Ours hold two hashes there:
 *   sha256         of all bytes behind the header
 *   sha256_header  of everything else in the header, as loom_safetensors_texts spells it
 * Source: huggingface.co/docs/safetensors, format. */
#pragma once

#include <loom/store.h>

#define SAFETENSORS_MAX_HEADER (8u << 20)
#define SAFETENSORS_MAX_DATA (G_GUINT64_CONSTANT(1) << 36) /* 64 GiB: 16 thousand million */
#define SAFETENSORS_SHA "sha256"
#define SAFETENSORS_SHA_HEADER "sha256_header"

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN); /* floats go to the file as they are */

/* The header of @store in pieces, each beginning with ',': metadata in the order of their keys,
 * without the hashes; tensors in theirs. */
void loom_safetensors_texts(const LoomStore *store, GString *metadata, GString *tensors);
/* Their sha256; (transfer full). */
char *loom_safetensors_sha(const GString *metadata, const GString *tensors);

/* A tensor as the header describes it; @tensor has no data yet. */
typedef struct {
    LoomStoredTensor *tensor;
    guint64 begin, end;
} LoomSafetensorsEntry;

/* Reads a header.
 * Returns: (transfer full): LoomSafetensorsEntry in the order of their offsets, which leave no
 *   hole; their tensors and the metadata belong to @store.  NULL with LOOM_ERROR_FORMAT. */
GArray *loom_safetensors_parse(LoomStore *store, const char *header, gsize length,
                               GError **error);
