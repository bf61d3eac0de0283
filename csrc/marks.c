// SPDX-License-Identifier: GPL-2.0-or-later
/* marks.c - through which domain a descriptor was opened.
 *
 * The kernel's own open file carries it, so nothing can drift: dup, fork, exec and descriptor
 * passing keep it, close drops it.  A file or directory opened through a domain has the domain's
 * mark as its F_SETSIG value, which means something only together with O_ASYNC, and neither
 * regular files nor directories ever send that signal.  There are 62 marks, one more for texts that
 * stand for files of proc (pyview/proc.py), and one for emulated descriptors (pyview/descriptors.py).
 * A direct descriptor (pyview/direct.py) has a mark of its own, from the upper half, while it is open.
 * O_PATH descriptors take no fcntl: the core keeps a second O_PATH descriptor of each and compares with kcmp(2); that
 * pins a directory, nothing more. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATHS 512
#define TEXT 63             /* the mark of a text: its own name tells what it stands for */
#define DIRECT 32           /* the first mark that direct descriptors may have */
#define EMULATED 64         /* the mark of an emulated descriptor, the last that F_SETSIG takes */

static struct { int fd, domain; dev_t dev; ino_t ino; } paths[PATHS];
static unsigned npaths;
static int marks[_NSIG];    /* the domain of each mark, PV_VIRTUAL: a direct descriptor's; 0: free */
static int used;            /* some name in another domain than 0 has been used */

int pv_domains_used(void)
{
	return used;
}

void pv_use_domains(void)
{
	used = 1;
}

/* Remember that `fd`, a descriptor of the core, is of `domain`.  -EBADF for O_PATH, -ENOSPC when
 * there is no mark left for another domain. */
int pv_mark(int fd, int domain)
{
	int mark = 1;

	if (domain <= 0)
		return 0;
	while (mark < TEXT && marks[mark] && marks[mark] != domain)
		mark++;
	if (mark == TEXT)
		return -ENOSPC;
	used = 1;
	if (fcntl(fd, F_SETSIG, mark) < 0)
		return -errno;
	marks[mark] = domain;
	return 0;
}

/* The same for an O_PATH descriptor, which the core keeps a copy of. */
int pv_mark_path(int fd, int domain)
{
	struct stat st;
	int copy;

	if (fstat(fd, &st) < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	unsigned i = npaths++ % PATHS;
	if (npaths > PATHS)
		close(paths[i].fd);
	paths[i].fd = copy;
	paths[i].domain = domain;
	paths[i].dev = st.st_dev;
	paths[i].ino = st.st_ino;
	used = 1;
	return 0;
}

#define SEEN 8192u

/* Through which domain a file was opened last: what tells the name of a mapped one, for a mapping
 * does not say how its file was opened.  A guess when it was opened through several. */
static struct { dev_t dev; ino_t ino; int domain; } seen[SEEN];

void pv_note_opened(uint64_t dev, uint64_t ino, int domain)
{
	unsigned i = (unsigned)((dev * 31 + ino) % SEEN);

	seen[i].dev = dev;
	seen[i].ino = ino;
	seen[i].domain = domain;
}

int pv_opened_through(uint64_t dev, uint64_t ino)
{
	unsigned i = (unsigned)((dev * 31 + ino) % SEEN);

	return seen[i].dev == dev && seen[i].ino == ino ? seen[i].domain : 0;
}

static int path_mark(int fd)
{
	struct stat st;
	pid_t me = getpid();

	if (fstat(fd, &st) < 0)
		return 0;
	for (unsigned i = 0; i < PATHS && i < npaths; i++)
		if (paths[i].ino == st.st_ino && paths[i].dev == st.st_dev &&
		    syscall(SYS_kcmp, me, me, KCMP_FILE, fd, paths[i].fd) == 0)
			return paths[i].domain;
	return 0;
}

/* The domain of what the core's `fd` is open for. */
int pv_domain_of(int fd)
{
	int mark = fcntl(fd, F_GETSIG);

	return mark < 0 ? path_mark(fd) : mark >= TEXT ? PV_VIRTUAL : marks[mark];
}

/* The domain of the file that the task has open as `fd`; 0 also when there is none. */
int pv_mark_of(struct pv_task *t, int fd)
{
	if (!used)
		return 0;
	int mine = pv_getfd(t, fd);
	if (mine < 0)
		return 0;
	int domain = pv_domain_of(mine);
	close(mine);
	return domain;
}

/* The core's `fd`, a task's end of a socket pair, is an emulated descriptor from now on. */
int pv_mark_emulated(int fd)
{
	used = 1;
	return fcntl(fd, F_SETSIG, EMULATED) < 0 ? -errno : 0;
}

static uint64_t mark_direct(int fd)
{
	for (int mark = TEXT - 1; mark >= DIRECT; mark--)
		if (!marks[mark]) {
			if (fcntl(fd, F_SETSIG, mark) < 0)
				return 0;
			used = 1;
			marks[mark] = PV_VIRTUAL;
			return PV_IS_DIRECT | (uint64_t)mark;
		}
	return 0;
}

/* The core's `fd` is a direct descriptor from now on: what pv_emulated() will call it, 0 when it can't
 * be one. */
uint64_t pv_mark_direct(int fd)
{
	uint64_t found = mark_direct(fd);

	if (!found) {
		pv_texts_sweep();
		found = mark_direct(fd);
	}
	return found;
}

/* Nobody has that descriptor any more. */
void pv_unmark_direct(uint64_t object)
{
	marks[object & 63] = 0;
}

/* The core's `fd`, a memfd, stands for a file of proc from now on. */
int pv_mark_text(int fd)
{
	used = 1;
	return fcntl(fd, F_SETSIG, TEXT) < 0 ? -errno : 0;
}

/* The inode of any socket that the task has open as `fd`, by its name in proc; else 0. */
static uint64_t socket_of(int tid, int fd)
{
	char name[48], text[48];
	unsigned long inode = 0;

	snprintf(name, sizeof name, "/proc/%d/fd/%d", tid, fd);
	ssize_t n = readlink(name, text, sizeof text - 1);
	if (n > 0) {
		text[n] = 0;
		sscanf(text, "socket:[%lu]", &inode);
	}
	return inode;
}

/* What an emulated descriptor of the core's is known by: its socket's inode, or a direct one's mark;
 * 0: it is none. */
static uint64_t object_of(int fd)
{
	struct stat st;
	int mark = fcntl(fd, F_GETSIG);

	if (mark == EMULATED && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		return st.st_ino;
	if (mark >= DIRECT && mark < TEXT && marks[mark] == PV_VIRTUAL)
		return PV_IS_DIRECT | (uint64_t)mark;
	return 0;
}

/* What the task's `fd` is known by when it is an emulated descriptor, else 0.  Without a descriptor to
 * look at it, the inode of any socket: Python knows its own. */
uint64_t pv_emulated(struct pv_task *t, int fd)
{
	int mine = pv_getfd(t, fd);

	if (mine == -EMFILE || mine == -ENFILE)
		return socket_of(t->tid, fd);
	if (mine < 0)
		return 0;
	uint64_t object = object_of(mine);
	close(mine);
	return object;
}
