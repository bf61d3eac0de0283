/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pyview.h - everything Python may call in the C core, and the types the C files share.
 *
 * cffi reads this file too: between the two markers, only plain declarations.
 * Conventions: a function returns >= 0, or -errno; sizes are bytes; `tid` is a thread that the
 * core traces, and where a function says "stopped", in a ptrace stop.  Everything here belongs
 * to one thread: ptrace's rule. */
#ifndef PYVIEW_H
#define PYVIEW_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi: begin */
enum pv_role {
	PV_ROLE_INT, PV_ROLE_FD, PV_ROLE_DIRFD, PV_ROLE_PATH, PV_ROLE_STR, PV_ROLE_IN, PV_ROLE_OUT,
	PV_ROLE_SOCKADDR_IN, PV_ROLE_SOCKADDR_OUT, PV_ROLE_IOV_IN, PV_ROLE_IOV_OUT, PV_ROLE_MSG_IN,
	PV_ROLE_MSG_OUT, PV_ROLE_STRUCT_IN, PV_ROLE_STRUCT_OUT, PV_ROLE_STRV, PV_ROLE_ADDR,
	PV_ROLE_FLAGS, PV_ROLE_MODE, PV_ROLE_NEWFD, PV_ROLE_LENP, PV_ROLE_SOURCE, PV_ROLE_POLLFDS,
	PV_ROLE_FDSET, PV_ROLE_MSGS_IN, PV_ROLE_MSGS_OUT
};
enum pv_route {
	PV_ROUTE_NEUTRAL, PV_ROUTE_PATH, PV_ROUTE_FD, PV_ROUTE_SOCKET, PV_ROUTE_CALL, PV_ROUTE_CORE,
	PV_ROUTE_REFUSE
};
enum pv_stop_by { PV_STOP_NONE, PV_STOP_LISTENER, PV_STOP_TRACER, PV_STOP_REFUSE };
struct pv_arg {
	uint8_t role;        /* enum pv_role */
	uint8_t flags;       /* of a path: the argument with its lookup flags, 255: none */
	uint8_t follow;      /* of a path: a last symbolic link is followed unless the flags say no */
	uint8_t exact;       /* of a path: the flags are in the register, so C can tell */
	uint32_t nofollow;   /* any of these: not followed */
	uint32_t exclusive;  /* all of these: not followed */
	uint32_t followed;   /* any of these: followed */
};
struct pv_call {             /* a row of pyview/syscalls.py */
	const char *name;
	int nr;              /* this machine's number, -1 if it has none */
	uint8_t route;       /* enum pv_route */
	uint8_t stop;        /* enum pv_stop_by */
	uint8_t nargs;
	struct pv_arg args[6];
};
extern const struct pv_call pv_calls[];
extern const size_t pv_ncalls;

/* ---- what the core reports to Python ---- */
enum pv_kind {
	PV_NONE,
	PV_EMPTY,            /* no traced task is left */
	PV_READY,            /* a watched descriptor (`tid`) is readable */
	PV_NOTICE,           /* the listener: a call waits for its answer; `message`: the task's
	                      * memory can't be read, it executes a file that it may not read */
	PV_TRACED,           /* a call stopped for the tracer, before it runs; `message`: what the
	                      * filter said, PV_SECCOMP_OURS or a word of the program's own filter */
	PV_ENTRY, PV_EXIT,   /* around a call that was resumed with pv_resume(PV_TO_EXIT) */
	PV_SIGNAL,           /* a signal is about to be delivered (`message`) */
	PV_TRAP,             /* stopped because of pv_interrupt, or a newborn's first stop */
	PV_GROUP,            /* a job-control stop (`message`: the signal) */
	PV_BORN,             /* `message` is the child; it inherits and is stopped or about to;
	                      * `nr`: the ptrace event; `value`: a debugged one is stopped */
	PV_EXEC,             /* a new program has been loaded; `value`: pv_mm.maps of the old one;
	                      * `key`: it may call ptrace and has no filter for that; `message`:
	                      * the thread's id before */
	PV_TOLD,             /* C has decided on a call, and says so because all is to be told: it is to
	                      * run now, or it has been `answered` */
	PV_REFUSED,          /* the same: ENOSYS; `message`: enum pv_refusal */
	PV_EXITING,          /* a debugged task is about to end (`message`: its wait status) */
	PV_VFORKED,          /* the vfork child of a debugged one (`message`) lets it go on */
	PV_DEAD              /* the task is gone; `message`: wait status, `value`: pv_mm.maps of what
	                      * went with it, `key`: it is the first one, which is always told */
};

enum pv_refusal {
	PV_REFUSED_ROW,      /* by the table, or because it has no such number */
	PV_REFUSED_ARCH,     /* it is not of this architecture: int 0x80 */
	PV_REFUSED_OTHER     /* by a filter that asks for a tracer which there is not */
};
enum pv_seccomp {            /* SECCOMP_RET_DATA of our filters' SECCOMP_RET_TRACE */
	PV_SECCOMP_OURS = 0x7076,
	PV_SECCOMP_REFUSED = 0x7072
};

struct pv_view;
struct pv_layer;
struct pv_fs {               /* what CLONE_FS shares */
	int refs;
	int domain;          /* of the working directory */
	int fd;              /* O_PATH descriptor of it in the core, -1: not looked up yet */
	int proc;            /* it lies in a proc file system */
	int foreign;         /* enum pv_foreign */
	uint64_t serial;     /* another number after every change of directory */
	char *name;          /* its name in the view with overlays, as it was lately; NULL */
	uint64_t name_key, name_until;
	int place;           /* of a directory in a virtual tree (domain PV_VIRTUAL): Python's number */
};
struct pv_mm {               /* what CLONE_VM shares */
	int refs;
	int domain;          /* of /proc/self/exe */
	int hidden;          /* made itself non-dumpable: answered, not done, or nobody could read it */
	int place;           /* of /proc/self/exe in a virtual tree: Python's number */
	int threads;         /* several tasks have it, or had */
	int maps;            /* Python's number of what it has mapped of emulated files, 0: nothing */
};
struct pv_identity {         /* credentials(7) that are the view's affair; shared, never changed */
	int refs;
	uint32_t uid[4], gid[4];     /* real, effective, saved, for files */
	uint64_t caps[5];            /* inheritable, permitted, effective, bounding, ambient */
	uint32_t securebits;
	uint32_t no_new_privs;
	int ngroups;
	uint32_t groups[];
};
struct pv_wait {             /* its sigtimedwait with a time limit, the last one */
	int64_t end;         /* nanoseconds of CLOCK_MONOTONIC */
	uint64_t sp, limit;  /* which call it is; where its own time limit stands */
	uint8_t again;       /* it is being made again: for the time that is left */
	uint8_t lent;        /* it has a time limit of ours until it ends */
};
struct pv_task {
	int tid;
	int pidfd;           /* -1: not opened yet */
	struct pv_view *view;
	struct pv_fs *fs;
	struct pv_mm *mm;
	struct pv_identity *identity; /* NULL: what the kernel says */
	struct pv_wait wait;
	uint8_t waiting;     /* stopped as a newborn: its parent's event has not come yet */
	uint8_t placed;      /* its parent's event has come, or never will */
	uint8_t watched;     /* Python wants every stop of it */
	uint8_t let_next;    /* let its next listener call run */
	uint8_t takes;       /* its next listener call only fetches descriptors from the core */
	uint8_t filtered;    /* runs under the path tier's filter */
	uint8_t messages;    /* stops for messages too */
	uint8_t descriptors; /* stops for calls with a descriptor: it had an emulated one */
	uint8_t direct;      /* stops for such calls, but not within so many reaches: pyview/reach.py */
	uint8_t windowed;    /* which are pread64 and pwrite64 alone */
	uint64_t reads_below, writes_below;  /* and offsets below these */
	uint8_t began;       /* its listener call was run and has just been interrupted */
	uint8_t layered;     /* stops for calls that ask a descriptor's file: an overlay is there */
	uint8_t mapping;     /* stops for munmap and its like: it had an emulated file mapped */
	uint8_t closing;     /* stops for close and its like: it had locked an emulated file */
	uint8_t identified;  /* stops for calls about identity */
	uint8_t child_leaves_users; /* its next child has a user name space of its own */
	uint8_t foreign_child; /* its next child lives in name spaces of its own */
	uint8_t stopped;     /* in a job-control stop */
	uint8_t watching;    /* stops for epoll_ctl: it had a list of mounts open */
	uint8_t debug;       /* PV_TRACEE, PV_DEBUGGER: which of its stops Python wants */
	uint8_t ptraces;     /* stops for ptrace without the path tier */
	uint8_t waits;       /* stops for wait4 and waitid: it had tracees of its own */
	uint8_t wanted;      /* interrupted for its debugger: any other stop takes that back */
	int go;              /* the ptrace request that resumes it, 0: PTRACE_CONT */
	int parent;          /* the thread that made it, 0: not known */
	int debugger;        /* the thread in a view that traces it, 0: none */
	uint8_t held;        /* which keeps it stopped */
	int exec_domain;     /* where the program being exec'ed lies */
	int exec_place;      /* and its number in a virtual tree */
	uint64_t seen;       /* the number of its last stop */
	uint8_t fresh;       /* which is its first: it was in no call before */
	struct pv_task *next;
};

struct pv_stop {
	int kind;            /* enum pv_kind */
	int tid;
	int message;
	int listener;        /* PV_NOTICE, PV_TOLD: its descriptor; -1: it has stopped for the tracer */
	uint64_t id;         /* PV_NOTICE: the kernel's cookie */
	int64_t nr;
	uint64_t args[6];
	uint64_t ip, sp;
	int64_t value;       /* PV_EXIT: the result; PV_NOTICE: the domain in which the kernel, given
	                      * the caller's own words, opens the right file; 0: that is not known */
	uint64_t key;        /* the clean-path cache's key for this call, 0: none */
	uint64_t object;     /* the inode behind the first emulated descriptor among the arguments */
	int object_fd;       /* and its number */
	int answered;        /* C has answered it: for the tracer with `value`, for the listener from */
	int domain;          /* this domain */
	uint32_t arch;       /* of the call: linux/audit.h */
};

enum pv_foreign {            /* a task that is not like the core */
	PV_OTHER_RIGHTS = 1, /* another user name space: it may do other things */
	PV_ELSEWHERE = 2     /* another root or mount name space: the core's eyes can't be trusted */
};
enum { PV_TRACEE = 1, PV_DEBUGGER = 2 };   /* as pv_task.debug */
enum { PV_VIRTUAL = -1 };    /* as a domain: in a tree that is none of the kernel's */

struct pv_regs {             /* this machine's registers under common names */
	uint64_t nr;         /* the call; all ones: none, nothing is restarted */
	uint64_t value;      /* the result */
	uint64_t args[6];
	uint64_t ip, sp;
	uint64_t raw[27];
};

enum pv_how { PV_GO, PV_TO_EXIT, PV_STAY_STOPPED };

/* ---- wait.c: stops ---- */
int pv_start(void);
int pv_tracer(int pid);
int pv_own_fd(int which);
int pv_next(struct pv_stop *stop);
int pv_next_within(struct pv_stop *stop, int milliseconds);
int pv_open_files(unsigned wanted);
int pv_watch(int fd, int on);
int pv_control(int fd, int door);
int pv_rings(int fd);
void pv_talking(int connections);
void pv_ring(void);
int pv_listener(int fd);
int pv_seize(int pid, struct pv_view *view);
int pv_interrupt(int tid);
int pv_resume(int tid, int how, int signal);
int pv_again(struct pv_stop *stop);
uint64_t pv_count(int what);     /* 0 notices 1 traced 2 to Python 3 served */

/* ---- task.c ---- */
struct pv_task *pv_task(int tid);
int pv_ntasks(void);
int pv_tasks(int *tids, int room);
int pv_tgid(int tid);
void pv_join(struct pv_task *task, struct pv_view *view);
int pv_moved(struct pv_task *task, int domain);
int pv_cwd(struct pv_task *task);
int pv_getfd(struct pv_task *task, int fd);
int pv_same_file(int one, int other);
int pv_unshared(struct pv_task *task);

/* ---- identity.c ---- */
struct pv_identity *pv_identity_new(int ngroups);
void pv_assume(struct pv_task *task, struct pv_identity *identity);

/* ---- regs_*.c (stopped) ---- */
int pv_get_regs(int tid, struct pv_regs *regs);
int pv_set_regs(int tid, const struct pv_regs *regs);
int pv_answer(int tid, int64_t value);
uint64_t pv_call_site(int tid);
int pv_block_signals(int tid, uint64_t *mask);
int pv_unblock_signals(int tid, uint64_t mask);
int pv_call_length(void);

/* ---- debugging.c: what a debugger in a view asks of ptrace ---- */
int64_t pv_ptrace(int request, int tid, uint64_t addr, uint64_t data);
int pv_options(int tid, unsigned more);
int pv_tell(int pid, int signal, int meaning, int child, unsigned uid, int status);
int pv_kill(int tgid, int tid, int signal);
int pv_may_debug(int tid);

/* ---- memory.c ---- */
ssize_t pv_peek(int tid, uint64_t addr, void *buf, size_t len);
ssize_t pv_poke(int tid, uint64_t addr, const void *buf, size_t len);
ssize_t pv_patch(int tid, uint64_t addr, const void *buf, size_t len);
ssize_t pv_path(int tid, uint64_t addr, char *buf);
ssize_t pv_getdents(int fd, void *buf, size_t size);

/* ---- listener ---- */
int pv_reply(int listener, uint64_t id, int64_t value);
int pv_continue(int listener, uint64_t id);
int pv_give(int listener, uint64_t id, int fd, int cloexec);
int pv_hand_over(int listener, uint64_t id, int fd, int cloexec);
int pv_put(int listener, uint64_t id, int fd, int number, int cloexec);
int pv_serve_at(struct pv_stop *stop, int domain, const char *name);

/* ---- prefix.c: what C knows of a view ---- */
struct pv_view *pv_view_new(void);
void pv_view_free(struct pv_view *view);
void pv_view_clear(struct pv_view *view);
int pv_view_cover(struct pv_view *view, const char *prefix, int domain, const char *root);
int pv_view_name(struct pv_view *view, const char *name);
int pv_view_parent(struct pv_view *view, uint64_t dev, uint64_t ino);
int pv_view_layer(struct pv_view *view, struct pv_layer *layer, const char *base);
int pv_view_kept(struct pv_view *view, int domain, const char *root);
void pv_view_trace(struct pv_view *view, int all);
void pv_view_sockets(struct pv_view *view, int some);
int pv_mark(int fd, int domain);
int pv_mark_path(int fd, int domain);
int pv_mark_of(struct pv_task *task, int fd);
int pv_domain_of(int fd);
int pv_mark_emulated(int fd);
uint64_t pv_mark_direct(int fd);
void pv_unmark_direct(uint64_t object);
int pv_mark_text(int fd);
void pv_note_opened(uint64_t dev, uint64_t ino, int domain);
int pv_opened_through(uint64_t dev, uint64_t ino);
uint64_t pv_emulated(struct pv_task *task, int fd);
void pv_use_domains(void);
int pv_domains_used(void);

/* ---- linear.c: emulated descriptors that C reads and writes itself ---- */
enum { PV_READS = 1, PV_WRITES = 2 };
enum { PV_ENDLESS = -1 };
struct pv_linear {           /* an open file */
	uint64_t object;     /* what its descriptors are known by: pv_emulated() */
	int64_t offset;      /* of the open file, bytes; of a direct one the kernel's own counts */
	int64_t start, size; /* of the bytes within `fd`; size PV_ENDLESS: as long as that is */
	int fd;              /* a descriptor of the core; -1: `extents` or `text` has them */
	int how;             /* PV_READS | PV_WRITES */
	int mapped;          /* the bytes are mapped at `map`; -1: they can't be */
	int map_fd;          /* what was mapped: `fd`, `start` and `size` of then */
	int64_t map_start, map_size;
	char *map;
	struct pv_extents *extents;  /* where the bytes lie, from `start` on; NULL: one after the other */
	char *text;          /* all of the bytes, or NULL */
	int flags;           /* what F_GETFL says; -1: Python knows */
	int native;          /* its descriptors are the kernel's own of `fd`'s file */
	int syncs;           /* fsync(2) of `fd` is that of the file */
	int looks;           /* `stat` is what fstat(2) says */
	unsigned char stat[144];     /* struct stat */
	struct pv_answer *answers;   /* to ioctl(2) */
	unsigned nanswers;
	struct pv_texts *texts;      /* the tree that it is a directory of, NULL: only Python knows it */
	char *inside;                /* and which: "" or a name with a slash behind it */
	unsigned changes;            /* of mounts, before that was told */
	struct pv_linear *next;
};
struct pv_linear *pv_linear_new(uint64_t object);
void pv_linear_free(uint64_t object);

/* ---- known.c: what open files say beforehand ---- */
enum { PV_ANSWER = 16 };
struct pv_answer {           /* to ioctl(2) */
	uint32_t request;
	uint32_t length;     /* of what is stored where the argument points to, bytes */
	int32_t error;       /* 0, or the errno that it gets */
	unsigned char bytes[16];     /* PV_ANSWER */
};
int pv_known_text(struct pv_linear *linear, const char *text, size_t length);
int pv_known_answers(struct pv_linear *linear, const void *answers, unsigned count);

/* ---- texts.c: trees that have only texts ---- */
struct pv_opened {           /* a text that C has opened */
	int id;              /* of its tree */
	int flags;           /* O_* */
	int image;           /* a descriptor of the core, of the same file in memory */
	int64_t byte;        /* which whoever has it open has locked */
	char name[256];      /* in the tree, without the first slash */
};
struct pv_texts *pv_texts_new(int id, const char *target);
void pv_texts_free(struct pv_texts *texts);
int pv_texts_add(struct pv_texts *texts, const char *name, const void *looks, const char *bytes,
                 size_t size);
int pv_texts_of(struct pv_linear *linear, struct pv_texts *texts, const char *inside);
int pv_texts_take(uint64_t object, struct pv_opened *is);
uint64_t pv_texts_open(int place);
void pv_texts_sweep(void);

/* ---- extents.c: files whose bytes lie in several descriptors ---- */
enum { PV_ZEROES = -1 };
struct pv_extents *pv_extents_new(void);
void pv_extents_free(struct pv_extents *extents);
int pv_extents_add(struct pv_extents *extents, int64_t at, int64_t length, int fd, int64_t start,
                   int writes);
void pv_extents_forget(struct pv_extents *extents, int64_t at, int64_t length);
int64_t pv_extents_read(struct pv_extents *extents, int tid, uint64_t addr, int64_t at,
                        uint64_t left);
int64_t pv_extents_write(struct pv_extents *extents, int tid, uint64_t addr, int64_t at,
                         uint64_t left);

/* ---- window.c: processes whose memory shows bytes of files ---- */
struct pv_window { int pid, fd; };   /* the process, and the socket by which it is told */
enum { PV_WINDOW_WRITES = 1, PV_WINDOW_NOTHING = 2, PV_WINDOW_SINGLE = 4 };
int64_t pv_cached(int fd, int64_t start, int64_t length);
int pv_window_new(struct pv_window *window);
int pv_window_show(const struct pv_window *window, uint64_t at, uint64_t length, int fd,
                   int64_t start, int what);
int pv_window_has_ended(const struct pv_window *window);
void pv_window_end(struct pv_window *window);

/* ---- layers.c: what overlays have touched ---- */
struct pv_layer *pv_layer_new(void);
void pv_layer_free(struct pv_layer *layer);
enum { PV_LIVE = 1, PV_UNSYNCED = 2, PV_CHANGED = 4 };
void pv_layer_is(struct pv_layer *layer, int how);
enum pv_touch {              /* how a name is touched */
	PV_TOUCHED,          /* what is below it is not */
	PV_CUT,              /* nor is what is below it what lies below the overlay */
	PV_FILE,             /* kept, all of it, under this name: no directory */
	PV_DIRECTORY,        /* a directory: the kept one has the attributes, others its files, too */
	PV_OWN_DIRECTORY,    /* a directory that is kept with all that is in it */
	PV_GONE,             /* removed */
	PV_CLOSED_DIRECTORY, /* as PV_DIRECTORY, PV_OWN_DIRECTORY, but not everybody may search it: */
	PV_CLOSED_OWN        /* PV_CUT for who is somebody else in the view, and not root */
};
int pv_layer_touch(struct pv_layer *layer, const char *name, int how);
void pv_layer_forget(struct pv_layer *layer, const char *name);
struct pv_shown {            /* a file that looks otherwise than the kernel says */
	uint64_t dev, ino;   /* the kernel's */
	uint64_t shown_dev, shown_ino, rdev;
	uint32_t mode, uid, gid;
	uint32_t links;      /* 0: as many as the kernel says, but for `less` */
	uint32_t less;
	int odd;             /* a directory whose entries are not those that the kernel tells */
	int described;       /* 0: only Python can tell */
};
int pv_claim(uint64_t dev, uint64_t ino);
int pv_describe(uint64_t dev, uint64_t ino, const struct pv_shown *as);
int pv_link(uint64_t dev, uint64_t ino);
int pv_alike(const struct pv_task *task);

/* ---- clean.c: names known to meet no symbolic link that matters ---- */
void pv_clean(uint64_t key);
void pv_forget(void);
uint64_t pv_generation(void);
/* cffi: end */

/* ---- between C files only ---- */
#define PV_PATH_MAX 4096

#define PV_LAYERS 8
struct pv_cover {
	char *prefix, *root;
	size_t length, root_length;
	int domain;
	int nlayers;
	struct { struct pv_layer *layer; char *base; } layers[PV_LAYERS];
	char *kept_root;             /* where the first one keeps what is shown here, or NULL */
	int kept;                    /* the domain of that */
};
struct pv_parent { uint64_t dev, ino; };
struct pv_view {
	unsigned serial;
	int trace_all;               /* tell Python of every call (--trace) */
	int sockets;                 /* some socket has a virtual name */
	int layered;                 /* some cover has layers */
	size_t ncovers, nnames, nparents;
	struct pv_cover *covers;     /* the first that covers a name answers */
	char **names;                /* last components of mount points */
	struct pv_parent *parents;   /* directories that have mount points in them */
};

/* where a path argument leads, as far as C can tell */
struct pv_where {
	int domain;
	int base;                    /* core's descriptor to start from, AT_FDCWD when absolute */
	int close_base;
	int relative;
	int overlaid;                /* changes of it are an overlay's affair */
	int kind;                    /* enum pv_touch of what is kept */
	int asked;                   /* an overlay wants to be asked about what is on the way */
	const struct pv_cover *cover; /* whose overlays it was looked up in; NULL: in none's */
	const char *path;            /* from `base`, or the kernel's absolute name */
	char text[2 * PV_PATH_MAX];
};
enum pv_verdict {
	PV_PLAIN, PV_SLOW,
	PV_IS_KEPT,                  /* by an overlay: at `path`, absolute, in `domain` */
	PV_NO_ENTRY                  /* an overlay says that there is none */
};
enum pv_layered { PV_UNTOUCHED, PV_ASK, PV_KEPT, PV_NOT_THERE };

extern uint64_t pv_counts[4];

/* calls.c */
const struct pv_call *pv_row(int64_t nr);
int pv_follows(const struct pv_call *call, int i, const uint64_t *args);
int pv_is_path(const struct pv_call *call, int i);
int pv_dirfd_of(const struct pv_call *call, int i, const uint64_t *args);
int pv_opens(int64_t nr);
int pv_changes(int64_t nr);
int pv_asks_attributes(int64_t nr);
int pv_changes_file(int64_t nr);
int pv_asks_file(int64_t nr);

/* letters.c */
struct pv_shape {
	int absolute, unclean, up, hit, components;
	int slash;                   /* ends in "/" */
	int dots;                    /* its last component is "." or "..", or it is only slashes */
	int climb;                   /* how far above its start it goes at most */
};
struct pv_shape pv_look(const struct pv_view *v, const char *path);
int pv_names_mount(const struct pv_view *v, const char *path);

/* The first of window.c's own calls, and how it makes them: no library can be called there. */
__attribute__((visibility("hidden"))) void pv_window_start(void);
__attribute__((visibility("hidden"))) void pv_window_serve(void);
__attribute__((visibility("hidden"))) int64_t pv_raw(int64_t nr, uint64_t a, uint64_t b, uint64_t c,
                                                     uint64_t d, uint64_t e, uint64_t f);

/* rings.c */
enum { PV_CHILD = 1, PV_KNOCK = 2 };
struct seccomp_notif;
void pv_rings_start(void);
void pv_quiet(void);             /* to be called before what a signal could cut short */
unsigned pv_rung(void);
int pv_sleep(int listener);
const struct seccomp_notif *pv_receive(int listener, int sleepy);

enum pv_verdict pv_where(struct pv_task *t, int dirfd, const char *path, int nofollow,
                         struct pv_where *w, uint64_t *key);
void pv_where_done(struct pv_where *w);
enum pv_verdict pv_where_canonical(struct pv_task *t, const char *name, struct pv_where *w);
enum pv_verdict pv_walk(struct pv_task *t, const char *start, const char *path, int nofollow,
                        struct pv_where *w);
const struct pv_cover *pv_cover_of(const struct pv_view *v, const char *path);
int pv_proc_told(struct pv_task *t, const char *path);
int pv_proc_letters(const char *path);
int pv_proc_told_at(struct pv_task *t, int base, const char *path);
int pv_where_base(struct pv_task *t, int dirfd, struct pv_where *w);
int pv_rooted_elsewhere(const struct pv_view *v);
int pv_is_parent(const struct pv_view *v, uint64_t dev, uint64_t ino);
int pv_is_clean(uint64_t key);
void pv_unlinked(uint64_t key);
void pv_touched_more(void);
enum pv_layered pv_layer_look(const struct pv_layer *layer, const char *base, const char *rest,
                              int owner, char *text, int *kind);
int pv_layer_how(const struct pv_layer *layer);
const struct pv_shown *pv_claimed(uint64_t dev, uint64_t ino);
int pv_is_owner(const struct pv_task *task);
ssize_t pv_kept_target(const char *path, char *target, size_t size);
int pv_serve_kept(struct pv_task *t, struct pv_stop *s, struct pv_where *w, int nofollow,
                  int64_t *value);
int pv_serve_fstat(struct pv_task *t, struct pv_stop *s, int fd, int64_t *value);
int pv_lists_kept(struct pv_task *t, int fd);
uint64_t pv_now(void);
int pv_is_linked(uint64_t dev, uint64_t ino);
int pv_has_links(void);
unsigned pv_view_changes(void);
int pv_texts_call(struct pv_task *t, struct pv_stop *s, int dirfd, const char *path);
int pv_is_kept(const struct pv_view *v, int domain);
int pv_is_unsynced(const struct pv_view *v, int domain);
uint64_t pv_key(struct pv_task *t, int relative, int domain, const char *path);

void pv_set_right(int tid);

#define PV_IS_DIRECT ((uint64_t)1 << 63)    /* in what pv_emulated() tells */

enum { PV_TO_PYTHON, PV_ANSWERED, PV_LET_RUN, PV_UNREADABLE };
size_t pv_name_in_view(struct pv_task *t, int dirfd, const struct pv_where *w, const char *path,
                       char *name, size_t size);
const char *pv_cwd_name(struct pv_task *t, int fd);
size_t pv_any_name(struct pv_task *t, int fd, int domain, char *name, size_t size);
extern int pv_run;             /* stops on descriptors since the listener's last call, up to PV_RUN */
enum { PV_RUN = 6 };            /* so many in a row: more will follow */
int pv_report(struct pv_stop *s, int kind, int tid, int message);
int pv_stopped(int tid, int status, struct pv_stop *s);
int pv_died(int tid, int status, struct pv_stop *s);
int pv_on_descriptor(struct pv_task *t, struct pv_stop *s, const struct pv_call *call);
int pv_dispatch_notice(struct pv_task *t, struct pv_stop *s);
int pv_dispatch_traced(struct pv_task *t, struct pv_stop *s);
int pv_serve(struct pv_task *t, struct pv_stop *s, struct pv_where *w, int64_t *value);
void pv_follow(int tid);
void pv_roam(void);
int pv_dispatch_exec(struct pv_task *t, struct pv_stop *s, const struct pv_call *call);
int pv_removes_nothing(struct pv_task *t, struct pv_stop *s, const struct pv_call *call);
int pv_syncs_nothing(struct pv_task *t, const struct pv_stop *s);
#define PV_UNKNOWN INT64_MIN     /* as a result: it is not for C */
struct pv_linear *pv_linear_of(uint64_t object);
int pv_linear_call(struct pv_task *task, struct pv_stop *s, int64_t *value);
int pv_known_call(const struct pv_linear *l, const struct pv_stop *s, int64_t *value);
int pv_known_itself(const struct pv_stop *s, int64_t *value);
void pv_known_drop(struct pv_linear *l);
void pv_undisturbed(struct pv_task *t, int signal, int began);
int pv_wait_begins(struct pv_task *t, const struct pv_stop *s);
void pv_wait_ended(struct pv_task *t);
int pv_restarts(struct pv_task *t, const struct pv_regs *r);

uint64_t pv_signal_set(int tid, const char *field);
void pv_identity_put(struct pv_identity *identity);
int pv_identity_call(struct pv_task *t, struct pv_stop *s, int64_t *value);
struct pv_task *pv_task_make(int tid);
void pv_task_inherit(struct pv_task *child, struct pv_task *parent);
void pv_task_exec(struct pv_task *t, int old, int *maps);
void pv_task_drop(struct pv_task *t);
void pv_task_free(struct pv_task *t);
struct pv_task *pv_task_copy(const struct pv_task *t);
int pv_waiting(int *tids, int room);
int pv_any_task(int (*is)(const struct pv_task *t, const struct pv_task *other),
                const struct pv_task *other);

/* births.c */
void pv_seen(struct pv_task *t);
void pv_task_wait(struct pv_task *t);
void pv_task_place(struct pv_task *t);
void pv_task_unborn(const struct pv_task *t);
void pv_died_early(const struct pv_task *t);
void pv_births(void);
int pv_births_awaited(void);
void pv_births_forget(const struct pv_view *view);
#endif
