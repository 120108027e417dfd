/* loom/packet.h - one sample on its way: named tensors, who it is, where it lies in space. */
#pragma once

#include <loom/plugin.h>

G_BEGIN_DECLS

/* Where the voxels of a case lie; the header fields are kept so that what is written carries
 * the input's affine and codes bit for bit.  Sizes and spacing are in file order i, j, k. */
typedef struct {
    gint64 size[3];       /* i, j, k: the tensor's W, H, D */
    double spacing_mm[3]; /* i, j, k, always above 0 */
    double affine[3][4];  /* voxel i, j, k, 1 -> x, y, z in mm (RAS+) */
    char axes[4];         /* "RAS", "LPS": direction in which i, j, k grow */
    gint32 version;       /* NIfTI-1 or -2 */
    gint32 qform_code, sform_code, xyzt_units;
    double pixdim[4]; /* pixdim[0..3]: qfac and spacing as stored */
    double quatern[3], qoffset[3], srow[3][4];
} LoomGeometry;

LOOM_EXPORT LoomPacket *loom_packet_new(void);
LOOM_EXPORT void loom_packet_free(LoomPacket *packet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomPacket, loom_packet_free)
/* A second packet that shares the tensors: fan-out.  Opaque slots stay behind. */
LOOM_EXPORT LoomPacket *loom_packet_fork(const LoomPacket *packet);

/* Slots are named by letters, digits and '_'.  One named "label.counts" says something about
 * "label": it goes when "label" is written, set or dropped. */

/* (transfer none): the tensor, or NULL where the packet has no such slot. */
LOOM_EXPORT const LoomTensor *loom_packet_get(const LoomPacket *packet, const char *slot);
/* As loom_packet_get, but a missing slot is LOOM_ERROR_SHAPE, naming the case. */
LOOM_EXPORT const LoomTensor *loom_packet_need(const LoomPacket *packet, const char *slot,
                                               GError **error);
/* (transfer none): the tensor to write, copied first if somebody else holds it. */
LOOM_EXPORT LoomTensor *loom_packet_edit(LoomPacket *packet, const char *slot, GError **error);
/* @tensor: (transfer full). */
LOOM_EXPORT void loom_packet_set(LoomPacket *packet, const char *slot, LoomTensor *tensor);
LOOM_EXPORT void loom_packet_drop(LoomPacket *packet, const char *slot);

/* An opaque slot, such as a tape: freed with the packet unless taken.
 * @free_func is called as free_func(owner, data). */
typedef void (*LoomPacketFree)(gpointer owner, gpointer data);
LOOM_EXPORT void loom_packet_set_opaque(LoomPacket *packet, const char *slot, gpointer data,
                                        gpointer owner, LoomPacketFree free_func);
LOOM_EXPORT gpointer loom_packet_take_opaque(LoomPacket *packet, const char *slot);

/* The case this is, for messages and file names: "hippocampus_001"; of a batch all, with "+".
 */
LOOM_EXPORT const char *loom_packet_id(const LoomPacket *packet);
LOOM_EXPORT void loom_packet_set_id(LoomPacket *packet, const char *id);
/* Where the voxels of "image" and "label" lie; NULL where it has none (a batch). */
LOOM_EXPORT const LoomGeometry *loom_packet_geometry(const LoomPacket *packet);
/* Where the voxels of the file lie: the grid of slots with LOOM_SLOT_NATIVE.  The same as
 * loom_packet_geometry until a stage moves the case to another grid. */
LOOM_EXPORT const LoomGeometry *loom_packet_native(const LoomPacket *packet);
/* As read from a file: both of them. */
LOOM_EXPORT void loom_packet_set_geometry(LoomPacket *packet, const LoomGeometry *geometry);
/* "image" and "label" lie on another grid from here on; the native one stays. */
LOOM_EXPORT void loom_packet_regrid(LoomPacket *packet, const LoomGeometry *geometry);
/* What a stage that keeps packets shall keep this one under; NULL: its source does not say. */
LOOM_EXPORT const char *loom_packet_key(const LoomPacket *packet);
/* Which packet of its edge this is, from 0; the engine numbers them. */
LOOM_EXPORT gint64 loom_packet_index(const LoomPacket *packet);

G_END_DECLS
