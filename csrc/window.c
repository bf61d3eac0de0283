// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - processes whose memory shows bytes of files at addresses of the core's choice.
 *
 * Their /proc/PID/mem is what tasks get for a device whose bytes lie somewhere else than in a file of
 * their own (pyview/windows.py): what is read there at an offset comes from that address, and the
 * kernel needs nobody for it.
 *
 * Such a process is this very object, executed: it has no memory but its code and a stack.  Nothing is
 * relocated in it and no library is there, so it makes its calls itself.  It ends with its socket. */
#define _GNU_SOURCE
#include "pyview.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (64u * 1024)           /* bytes, of a thread */

struct wish {
	uint64_t at, length;         /* addresses, whole pages */
	int64_t start;               /* of the file that comes with it */
	int32_t what;                /* as pv_window_show() */
};

/* ---- in the process itself ---- */

__attribute__((no_stack_protector)) static int64_t shown(const struct wish *wish, int fd)
{
	int rights = wish->what & PV_WINDOW_WRITES ? PROT_READ | PROT_WRITE : PROT_READ;
	int how = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;

	if (wish->what & PV_WINDOW_NOTHING)
		return pv_raw(SYS_munmap, wish->at, wish->length, 0, 0, 0, 0);
	int64_t r = pv_raw(SYS_mmap, wish->at, wish->length, (uint64_t)rights,
	                   (uint64_t)(how | MAP_FIXED), (uint64_t)(int64_t)fd, (uint64_t)wish->start);
	if (r > 0 && wish->what & PV_WINDOW_SINGLE)
		pv_raw(SYS_madvise, wish->at, wish->length, MADV_RANDOM, 0, 0, 0);
	return r;
}

/* Do as the socket, descriptor 0, says.  The entry of the object: pv_window_start. */
__attribute__((no_stack_protector)) void pv_window_serve(void)
{
	union { struct cmsghdr first; char room[CMSG_SPACE(sizeof(int))]; } more;
	struct wish wish;
	struct iovec io;
	struct msghdr m;

	for (;;) {
		io.iov_base = &wish;
		io.iov_len = sizeof wish;
		m.msg_name = NULL;
		m.msg_namelen = 0;
		m.msg_iov = &io;
		m.msg_iovlen = 1;
		m.msg_control = &more;
		m.msg_controllen = sizeof more;
		int64_t n = pv_raw(SYS_recvmsg, 0, (uint64_t)(uintptr_t)&m, 0, 0, 0, 0);
		if (n != (int64_t)sizeof wish)
			pv_raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
		int fd = m.msg_controllen ? *(int *)(void *)CMSG_DATA(&more.first) : -1;
		int64_t r = shown(&wish, fd);
		if (fd >= 0)
			pv_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
		int32_t answer = r < 0 && r > -4096 ? (int32_t)r : 0;
		pv_raw(SYS_write, 0, (uint64_t)(uintptr_t)&answer, sizeof answer, 0, 0, 0);
	}
}

/* ---- in the core ---- */

/* Execute this object, with `fd` as its descriptor 0. */
static int spawned(int fd, pid_t *pid)
{
	static char name[] = "pyview-window", *const argv[] = { name, NULL }, *const none[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	Dl_info self;
	sigset_t all;

	if (!dladdr((void *)(uintptr_t)pv_window_new, &self))
		return -ENOENT;
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	posix_spawn_file_actions_adddup2(&files, fd, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, 1);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	posix_spawnattr_setsigmask(&how, &all);
	int error = posix_spawn(pid, self.dli_fname, &files, &how, argv, none);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return -error;
}

/* A thread is their parent: so they are none of the children that the core waits for. */
static struct { sem_t wanted, done; int fd, result; pid_t pid; } order;

static void *parent(void *unused)
{
	for (;;) {
		while (sem_wait(&order.wanted) < 0)
			;
		order.result = spawned(order.fd, &order.pid);
		sem_post(&order.done);
	}
	return unused;
}

static int started(void)
{
	static int is;
	pthread_attr_t small;
	pthread_t thread;

	if (is)
		return 0;
	sem_init(&order.wanted, 0, 0);
	sem_init(&order.done, 0, 0);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK);
	is = pthread_create(&thread, &small, parent, NULL) == 0;
	pthread_attr_destroy(&small);
	return is ? 0 : -EAGAIN;
}

/* A new one, that shows nothing yet.  0, or -errno. */
int pv_window_new(struct pv_window *w)
{
	int ends[2], r = started();

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	order.fd = ends[1];
	sem_post(&order.wanted);
	while (sem_wait(&order.done) < 0)
		;
	close(ends[1]);
	w->fd = ends[0];
	w->pid = order.pid;
	if (order.result < 0)
		close(ends[0]);
	return order.result;
}

/* How many bytes of a file are in the page cache, or -errno. */
int64_t pv_cached(int fd, int64_t start, int64_t length)
{
	struct { uint64_t off, len; } range = { (uint64_t)start, (uint64_t)length };
	struct { uint64_t cached, dirty, writeback, evicted, recently; } said;

	return syscall(451 /* cachestat */, fd, &range, &said, 0) < 0 ? -errno
	                                                              : (int64_t)said.cached * 4096;
}

/* Show `length` bytes of `fd` from `start` on at the address `at`, zeroes when it is -1; `what`:
 * PV_WINDOW_*.  0, or -errno. */
int pv_window_show(const struct pv_window *w, uint64_t at, uint64_t length, int fd, int64_t start,
                   int what)
{
	union { struct cmsghdr first; char room[CMSG_SPACE(sizeof(int))]; } more = { { 0 } };
	struct wish wish = { at, length, start, what };
	struct iovec io = { &wish, sizeof wish };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	int32_t answer;

	if (fd >= 0) {
		m.msg_control = &more;
		m.msg_controllen = sizeof more;
		more.first.cmsg_level = SOL_SOCKET;
		more.first.cmsg_type = SCM_RIGHTS;
		more.first.cmsg_len = CMSG_LEN(sizeof fd);
		*(int *)(void *)CMSG_DATA(&more.first) = fd;
	}
	pv_quiet();
	if (sendmsg(w->fd, &m, MSG_NOSIGNAL) < 0)
		return -errno;
	return recv(w->fd, &answer, sizeof answer, 0) == sizeof answer ? answer : -EPIPE;
}

/* Has somebody killed it? */
int pv_window_has_ended(const struct pv_window *w)
{
	char byte;

	return recv(w->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* It is no longer needed. */
void pv_window_end(struct pv_window *w)
{
	close(w->fd);
	waitpid(w->pid, NULL, 0);
}
