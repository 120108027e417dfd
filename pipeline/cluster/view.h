/* view.h - who takes part in a generation: the one thing that all ranks agree on. */
#pragma once

#include <glib.h>

/* One process. */
typedef struct {
    guint seat;          /* the rank its launcher gave it: never changes, is never reused */
    guint64 incarnation; /* random: tells a process from the one that had its seat before */
    guint group;         /* 0: the one without a name, 1, 2, ...: those of `place:` */
    char *control, *collective, *stream; /* addresses of its three ports */
    char *key;                           /* its public key; NULL: clear text */
    char *host;                          /* boot id: processes with the same share memory */
    gint64 step;                         /* steps whose weights it holds; -1: none */
} LoomMember;

typedef struct {
    guint8 run[16];     /* random, made with generation 1 */
    guint64 generation; /* from 1 */
    guint coordinator;  /* seat */
    gint64 step;        /* steps done when it begins: the most that a member holds, or 0 */
    gint64 taken;       /* rank-steps done then, see LoomShare */
    gboolean shared;    /* all members saw the lease of this run: one folder for all */
    guint source;       /* seat of the member whose state the others get */
    gboolean behind;    /* a member that trains does not hold that state */
    GPtrArray *members; /* LoomMember *, by seat */
} LoomView;

LoomMember *loom_member_new(void);
LoomMember *loom_member_copy(const LoomMember *member);
void loom_member_free(LoomMember *member);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomMember, loom_member_free)
LoomView *loom_view_new(void);
LoomView *loom_view_copy(const LoomView *view);
void loom_view_free(LoomView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomView, loom_view_free)
/* (transfer none); NULL: it takes no part. */
LoomMember *loom_view_find(const LoomView *view, guint seat);
/* Members of a group, and this seat's place among them; -1: not among them. */
guint loom_view_group_size(const LoomView *view, guint group);
gint loom_view_group_rank(const LoomView *view, guint group, guint seat);
/* As a GVariant (floating) and back; NULL with LOOM_ERROR_FORMAT: not of this type, or out of
 * range. */
GVariant *loom_view_pack(const LoomView *view);
LoomView *loom_view_unpack(GVariant *packed, GError **error);
/* One member, the same way. */
GVariant *loom_member_pack(const LoomMember *member);
LoomMember *loom_member_unpack(GVariant *packed, GError **error);
