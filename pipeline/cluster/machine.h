/* machine.h - what the files of the membership machine share: its state, and the messages. */
#pragma once

#include "member.h"

#include <loom/context.h>

#define MACHINE_VERSION 1
#define MACHINE_MESSAGE_MAX (256u << 10)
#define MACHINE_JOIN_MS 500     /* between two JOINs */
#define MACHINE_NOTICE_MS 1000  /* between two NOTICEs to the meeting point */
#define MACHINE_LEAVERS_MS 300  /* for others that were told to stop as well */
#define MACHINE_JOINER_MS 10000 /* so long a joiner waits for the training to stop */
#define MACHINE_OPEN_MAX 16     /* views that may still hold, see member_quorum.c */
#define MACHINE_TARGETS_MAX 8   /* addresses that a joiner tries */

typedef enum {
    WORD_JOIN,     /* let me in */
    WORD_WAIT,     /* heard: wait */
    WORD_REFUSE,   /* never, because */
    WORD_REDIRECT, /* ask there */
    WORD_NOTICE,   /* a run goes on, here */
    WORD_BEAT,     /* alive, so far */
    WORD_HALT,     /* the generation is over, say your STATE */
    WORD_STATE,    /* what I hold */
    WORD_PREPARE,  /* this view next? */
    WORD_READY,    /* yes, or no */
    WORD_COMMIT,   /* it holds */
    WORD_OUTDATED, /* your generation is over, and you are not in mine */
    WORD_FAILED,   /* a rank failed */
    WORD_END,      /* all is over */
    WORD_PING,     /* is a run alive? */
    WORD_COUNT
} WordKind;

/* Who was in a view: what a quorum is counted in. */
typedef struct {
    guint64 generation;
    GArray *seats; /* of OpenSeat, rising */
} OpenView;
typedef struct {
    guint seat;
    guint64 incarnation;
} OpenSeat;

/* A message, unpacked: the header, then what its kind uses; the rest is 0. */
typedef struct {
    WordKind kind;
    guint version;
    guint8 run[16];
    guint64 generation;
    guint seat;
    guint64 incarnation;
    char *control, *key, *config;

    LoomMember *member; /* JOIN, STATE */
    LoomView *view;     /* PREPARE */
    GPtrArray *open;    /* STATE, PREPARE: of OpenView */
    GArray *voters;     /* PREPARE: of Voter */
    guint64 number;     /* JOIN: echo; STATE: stamp; READY, COMMIT: ballot; BEAT: progress */
    guint64 promised;   /* STATE, HALT */
    gint64 step, taken; /* BEAT, STATE, JOIN */
    guint count;        /* JOIN: size; END: ending */
    gboolean flag[3]; /* BEAT: waiting, done, whole; HALT: quorum; STATE: leaving; READY: ready,
                         sees; COMMIT: shared; FAILED: recurs */
    GArray *deaf;     /* BEAT: guint32 seats not heard */
    char *text, *text2; /* REFUSE, FAILED, END; REDIRECT, OUTDATED: address, key */
} Word;
typedef struct {
    guint seat;
    guint64 incarnation, stamp;
} Voter;

typedef enum {
    PHASE_SEARCHING, /* in no view: sends JOIN */
    PHASE_RUNNING,   /* `view` holds */
    PHASE_HALTED,    /* `view` is over */
    PHASE_PREPARED,  /* `next` is proposed; READY was, or will be, said */
    PHASE_ENDED,
} Phase;

/* What this process knows of a seat. */
typedef struct {
    LoomMember *member;  /* of the view, or that said STATE; NULL: empty */
    gint64 heard, broke; /* broke: 0, or when its connection broke and it was not heard since */
    gint64 moved;        /* when its progress last changed, or it waited */
    guint64 generation, progress;
    gboolean waiting, done;
    char *lost;                   /* why; NULL: it is not */
    gboolean gone;                /* lost, and what it says does not change that */
    gint64 deaf_since, deaf_last; /* it and another seat do not hear each other */

    gboolean answered, leaving; /* STATE */
    guint64 stamp;
    gint64 held, taken;
    GPtrArray *open;
    gboolean idle; /* it leads, and has no quorum */

    gboolean ready, sees; /* of the proposal of this process */
    gint64 asked;         /* READY is awaited since */

    LoomMember *join; /* a process that wants this seat */
    gint64 join_heard, join_since, join_taken, held_off, held_ms;
    gboolean echoed; /* it hears this process */
    guint64 fenced;  /* incarnation that lost this seat to another one */
    char *failed;    /* text of FAILED, not recurring */
} Peer;

struct _LoomMachine {
    LoomMemberOptions options;
    LoomMember *self;
    char *config, *meet;
    LoomRng rng;
    GQueue acts;
    gint64 now, awake; /* awake: nobody is suspected for what happened before */
    gint64 next_beat, next_join, next_notice;
    Phase phase;
    gboolean founder; /* and no run is known */
    guint64 dropped;

    guint8 run[16];
    LoomView *view, *next; /* begun last; proposed */
    GPtrArray *open;       /* views that may hold: the first is known to */
    GPtrArray *next_open;
    guint64 highest, promised, stamp;
    guint proposer;      /* seat that proposed `next` */
    gboolean proposing;  /* it is this process */
    gboolean self_ready; /* READY is said to every repeated PREPARE */
    gboolean self_sees;
    gboolean whole; /* all members began `view` */
    GArray *voters;
    Peer *peers; /* [options.size] */

    gboolean settled, leaving, done; /* settled: loom_machine_state since HALT */
    char *failing;                   /* it failed, and the others may go on */
    LoomEnding ending;
    char *ended;
    gint64 held, taken;
    guint64 progress;
    gboolean waiting;
    gint64 step, halted, leavers, poor; /* since: poor: no quorum, or a group too small */
    gint64 unready; /* since: this process leads, and cannot prepare what it proposes */
    gint64 committed, departing; /* since: the view holds; it does, without this process */
    gboolean claiming, granted;

    gint64 searching, answered; /* since; when somebody answered last */
    GPtrArray *targets;         /* of Target */
    guint64 echo;
};
typedef struct {
    char *address, *key;
} Target;

/* member_words.c */
/* @text as others take it, of any bytes and length: UTF-8, cut.  (transfer full) */
char *word_text(const char *text);
GBytes *word_pack(LoomMachine *machine, WordKind kind, GVariant *body);
Word *word_unpack(GBytes *bytes);
void word_free(Word *word);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Word, word_free)
GVariant *open_pack(const GPtrArray *open);
GPtrArray *open_copy(const GPtrArray *open);
GPtrArray *open_new(void);
OpenView *open_of_view(const LoomView *view);

/* member.c, member_peers.c, member_receive.c: what all do. */
void machine_send(LoomMachine *machine, const char *address, const char *key, WordKind kind,
                  GVariant *body);
void machine_send_peer(LoomMachine *machine, const Peer *peer, WordKind kind, GVariant *body);
LoomAct *machine_act(LoomMachine *machine, LoomActKind kind);
void machine_note(LoomMachine *machine, const char *format, ...) G_GNUC_PRINTF(2, 3);
void machine_end(LoomMachine *machine, LoomEnding ending, const char *text);
void machine_end_all(LoomMachine *machine, LoomEnding ending, const char *text);
gboolean machine_in_view(const LoomMachine *machine, guint seat);
gboolean machine_is_self(const LoomMachine *machine, const LoomMember *member);
void peer_lose(LoomMachine *machine, Peer *peer, const char *format, ...) G_GNUC_PRINTF(3, 4);
void machine_adopt(LoomMachine *machine, const LoomMember *member);
void machine_watch(LoomMachine *machine);
void peer_forget_state(Peer *peer);
void peer_clear(Peer *peer);
guint machine_leader(const LoomMachine *machine);
gboolean machine_leads(const LoomMachine *machine);

/* member_search.c: getting in, and letting in. */
void search_begin(LoomMachine *machine);
void search_tick(LoomMachine *machine);
void search_join(LoomMachine *machine, const Word *word);
void search_word(LoomMachine *machine, const Word *word);
void search_target(LoomMachine *machine, const char *address, const char *key);
gboolean join_waits(const LoomMachine *machine, const Peer *peer);

/* member_lead.c: the one that proposes. */
void lead_tick(LoomMachine *machine);
void lead_ready(LoomMachine *machine, guint seat, guint64 ballot, gboolean ready,
                gboolean sees);
void lead_propose(LoomMachine *machine);
void lead_abandon(LoomMachine *machine);

/* member_follow.c: those that answer. */
void follow_halt(LoomMachine *machine, const char *reason);
void follow_state(LoomMachine *machine, const LoomMember *to);
void follow_prepare(LoomMachine *machine, const Word *word);
void follow_state_word(LoomMachine *machine, const Word *word);
void follow_halt_word(LoomMachine *machine, const Word *word);
void follow_commit(LoomMachine *machine, const Word *word);
void follow_ready(LoomMachine *machine);
void follow_begin(LoomMachine *machine, gboolean shared);
void follow_tick(LoomMachine *machine);

/* member_quorum.c: may these go on? */
gboolean quorum_holds(const LoomMachine *machine, GPtrArray **open);
char *quorum_text(const LoomMachine *machine);
