// SPDX-License-Identifier: GPL-2.0-or-later
/* task.c - what is known of a thread, grouped as the kernel shares it: directory, memory. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BUCKETS 4096u
#define PIDFD_OF_THREAD O_EXCL      /* PIDFD_THREAD, Linux 6.9 */
#define PROC_MAGIC 0x9fa0

static struct pv_task *bucket[BUCKETS];
static int ntasks;
static uint64_t moves;              /* numbers every change of directory */

static struct pv_task **slot(int tid)
{
	struct pv_task **at = &bucket[(unsigned)tid % BUCKETS];

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	return at;
}

struct pv_task *pv_task(int tid)
{
	return *slot(tid);
}

int pv_ntasks(void)
{
	return ntasks;
}

/* Copy up to `room` thread ids to `tids`; how many there are. */
int pv_tasks(int *tids, int room)
{
	int n = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct pv_task *t = bucket[i]; t; t = t->next, n++)
			if (n < room)
				tids[n] = t->tid;
	return n;
}

static struct pv_fs *fs_new(const struct pv_fs *like)
{
	struct pv_fs *fs = calloc(1, sizeof *fs);

	if (!fs)
		return NULL;
	if (like)
		*fs = *like;
	fs->refs = 1;
	fs->fd = -1;
	fs->name = NULL;
	fs->serial = ++moves;
	return fs;
}

static void fs_put(struct pv_fs *fs)
{
	if (!fs || --fs->refs)
		return;
	if (fs->fd >= 0)
		close(fs->fd);
	free(fs->name);
	free(fs);
}

static struct pv_mm *mm_new(const struct pv_mm *like)
{
	struct pv_mm *mm = calloc(1, sizeof *mm);

	if (!mm)
		return NULL;
	if (like)
		*mm = *like;
	mm->refs = 1;
	return mm;
}

static void mm_put(struct pv_mm *mm)
{
	if (mm && !--mm->refs)
		free(mm);
}

/* A task seen for the first time; NULL without memory. */
struct pv_task *pv_task_make(int tid)
{
	struct pv_task **at = slot(tid);

	if (*at)
		return *at;
	struct pv_task *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->tid = tid;
	t->pidfd = -1;
	t->fs = fs_new(NULL);
	t->mm = mm_new(NULL);
	if (!t->fs || !t->mm) {
		fs_put(t->fs);
		mm_put(t->mm);
		free(t);
		return NULL;
	}
	*at = t;
	ntasks++;
	return t;
}

static int same(int a, int b, int what)
{
	return syscall(SYS_kcmp, a, b, what, 0, 0) == 0;
}

/* Are two descriptors of the core one open file? */
int pv_same_file(int one, int other)
{
	pid_t me = getpid();

	return syscall(SYS_kcmp, me, me, KCMP_FILE, one, other) == 0;
}

/* What clone(2) hands on.  The kernel is asked what is shared, so that no flag word of fork, vfork,
 * clone or clone3 need be read: kcmp(2). */
void pv_task_inherit(struct pv_task *child, struct pv_task *parent)
{
	child->view = parent->view;
	child->filtered = parent->filtered;
	child->messages = parent->messages;
	child->descriptors = parent->descriptors;
	child->direct = parent->direct;
	child->windowed = parent->windowed;
	child->reads_below = parent->reads_below;
	child->writes_below = parent->writes_below;
	child->mapping = parent->mapping;
	child->watching = parent->watching;
	child->closing = parent->closing;
	child->identified = parent->identified;
	pv_assume(child, parent->child_leaves_users ? NULL : parent->identity);
	parent->child_leaves_users = 0;
	child->layered = parent->layered;
	child->ptraces = parent->ptraces;
	child->waits = parent->waits;
	child->parent = parent->tid;
	child->exec_domain = 0;
	if (child->fs != parent->fs) {
		int shared = same(child->tid, parent->tid, KCMP_FS);
		struct pv_fs *fs = shared ? parent->fs : fs_new(parent->fs);
		if (fs) {
			fs->refs += shared;
			fs_put(child->fs);
			child->fs = fs;
		}
	}
	if (parent->foreign_child)
		child->fs->foreign = parent->foreign_child;
	parent->foreign_child = 0;
	if (child->mm != parent->mm) {
		int shared = same(child->tid, parent->tid, KCMP_VM);
		struct pv_mm *mm = shared ? parent->mm : mm_new(parent->mm);
		if (mm) {
			mm->refs += shared;
			mm->threads = shared;
			mm_put(child->mm);
			child->mm = mm;
		}
	}
}

/* After execve: memory of its own.  `old` is the thread's former id; `maps`: what is mapped no
 * more (struct pv_mm). */
void pv_task_exec(struct pv_task *t, int old, int *maps)
{
	struct pv_mm *mm;
	struct pv_task *o = old == t->tid ? NULL : pv_task(old);

	*maps = 0;
	if (o) {                     /* a thread that was not the leader takes the leader's id */
		pv_died_early(t);
		struct pv_fs *fs = t->fs;
		t->fs = o->fs;
		o->fs = fs;
		t->view = o->view;
		t->exec_domain = o->exec_domain;
		t->watched = o->watched;
		t->messages = o->messages;
		t->descriptors = o->descriptors;
		t->direct = o->direct;
		t->windowed = o->windowed;
		t->reads_below = o->reads_below;
		t->writes_below = o->writes_below;
		t->mapping = o->mapping;
		t->watching = o->watching;
		t->closing = o->closing;
		t->identified = o->identified;
		pv_assume(t, o->identity);
		t->layered = o->layered;
		t->ptraces = o->ptraces;
		t->waits = o->waits;
		t->debug = o->debug;
		t->go = o->go;
		t->wanted = o->wanted;
		t->debugger = o->debugger;
		t->exec_place = o->exec_place;
		pv_task_drop(o);
	}
	mm = mm_new(NULL);

	if (mm) {
		mm->domain = t->exec_domain;
		mm->place = t->exec_domain == PV_VIRTUAL ? t->exec_place : 0;
		*maps = t->mm->refs == 1 ? t->mm->maps : 0;
		mm_put(t->mm);
		t->mm = mm;
	}
	t->exec_domain = 0;
	if (t->pidfd >= 0) {         /* the thread id may have changed hands */
		close(t->pidfd);
		t->pidfd = -1;
	}
}

/* Copy up to `room` ids of newborns that wait to `tids`; how many. */
int pv_waiting(int *tids, int room)
{
	int n = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct pv_task *t = bucket[i]; t && n < room; t = t->next)
			if (t->waiting)
				tids[n++] = t->tid;
	return n;
}

/* Is what `is` says true of any task but this? */
int pv_any_task(int (*is)(const struct pv_task *t, const struct pv_task *other),
                const struct pv_task *other)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct pv_task *t = bucket[i]; t; t = t->next)
			if (t != other && is(t, other))
				return 1;
	return 0;
}

void pv_task_free(struct pv_task *t)
{
	if (!t)
		return;
	fs_put(t->fs);
	mm_put(t->mm);
	pv_identity_put(t->identity);
	if (t->pidfd >= 0)
		close(t->pidfd);
	free(t);
}

void pv_task_drop(struct pv_task *t)
{
	struct pv_task **at = slot(t->tid);

	*at = t->next;
	ntasks--;
	pv_task_unborn(t);
	pv_task_free(t);
}

/* What is known of a task, sharing nothing with it; NULL without memory. */
struct pv_task *pv_task_copy(const struct pv_task *t)
{
	struct pv_task *copy = malloc(sizeof *copy);

	if (!copy)
		return NULL;
	*copy = *t;
	copy->pidfd = -1;
	copy->fs = fs_new(t->fs);
	copy->mm = mm_new(t->mm);
	copy->identity = NULL;
	pv_assume(copy, t->identity);
	if (!copy->fs || !copy->mm) {
		pv_task_free(copy);
		return NULL;
	}
	return copy;
}

void pv_join(struct pv_task *t, struct pv_view *view)
{
	t->view = view;
}

/* The task's directory is about to be, or has been, changed to one in `domain`. */
int pv_moved(struct pv_task *t, int domain)
{
	if (t->fs->fd >= 0)
		close(t->fs->fd);
	t->fs->fd = -1;
	t->fs->serial = ++moves;
	t->fs->domain = domain;
	if (domain)
		pv_use_domains();
	return 0;
}

/* After unshare(2) or setns(2): a directory of its own where it no longer shares one. */
int pv_unshared(struct pv_task *t)
{
	struct pv_fs *fs = fs_new(t->fs);

	if (!fs)
		return -ENOMEM;
	fs_put(t->fs);
	t->fs = fs;
	return 0;
}

/* The core's O_PATH descriptor of the task's directory; it stays the core's.  -errno. */
int pv_cwd(struct pv_task *t)
{
	char name[32];
	struct statfs about;

	if (t->fs->fd < 0) {
		pv_quiet();
		snprintf(name, sizeof name, "/proc/%d/cwd", t->tid);
		t->fs->fd = open(name, O_PATH | O_CLOEXEC);
		if (t->fs->fd < 0)
			return -errno;
		t->fs->proc = fstatfs(t->fs->fd, &about) == 0 && about.f_type == PROC_MAGIC;
	}
	return t->fs->fd;
}

/* Close the pidfds of all tasks, which are only kept for speed.  Were there any? */
static int give_up_pidfds(void)
{
	int closed = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct pv_task *t = bucket[i]; t; t = t->next)
			if (t->pidfd >= 0) {
				close(t->pidfd);
				t->pidfd = -1;
				closed = 1;
			}
	return closed;
}

static int pidfd(struct pv_task *t)
{
	if (t->pidfd < 0) {
		t->pidfd = (int)syscall(SYS_pidfd_open, t->tid, PIDFD_OF_THREAD);
		if (t->pidfd < 0 && errno == EINVAL)
			t->pidfd = (int)syscall(SYS_pidfd_open, pv_tgid(t->tid), 0);
		if (t->pidfd < 0)
			return -errno;
	}
	return t->pidfd;
}

/* A descriptor of the core for the file that the task has open as `fd`; the caller closes it. */
int pv_getfd(struct pv_task *t, int fd)
{
	for (int again = 1;; again = 0) {
		int p = pidfd(t), got = p;
		if (p >= 0) {
			pv_quiet();          /* it will be looked at */
			got = (int)syscall(SYS_pidfd_getfd, p, fd, 0);
			got = got < 0 ? -errno : got;
		}
		if (got != -EMFILE || !again || !give_up_pidfds())
			return got;
	}
}
