// SPDX-License-Identifier: GPL-2.0-or-later
/* answers.c - answer a call that waits at a seccomp listener: seccomp_unotify(2). */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* An answer must not be lost to a signal that comes while the kernel waits for its own lock. */
static int answer(int listener, unsigned long request, void *with)
{
	int r;

	do
		r = ioctl(listener, request, with);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int pv_reply(int listener, uint64_t id, int64_t value)
{
	struct seccomp_notif_resp r = { .id = id };

	if (value < 0)
		r.error = (int)value;
	else
		r.val = value;
	return answer(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

int pv_continue(int listener, uint64_t id)
{
	struct seccomp_notif_resp r = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	return answer(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* Give the caller a copy of the core's `fd` as its call's result, at the lowest free number.
 * Interrupted, the kernel takes the descriptor back, but not that the call has been answered. */
int pv_give(int listener, uint64_t id, int fd, int cloexec)
{
	struct seccomp_notif_addfd a = {
		.id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (unsigned)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0u,
	};

	pv_quiet();
	int r = answer(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);

	return r >= 0 ? 0 : pv_reply(listener, id, r);   /* EMFILE */
}

/* The same, and the core has closed `fd` before the caller goes on: nobody else holds the file then,
 * so that it is closed when the caller closes it.  flock(2) and IN_CLOSE_WRITE tell the difference.
 * The number that the caller has it by, or -errno. */
int pv_hand_over(int listener, uint64_t id, int fd, int cloexec)
{
	struct seccomp_notif_addfd a = {
		.id = id, .srcfd = (unsigned)fd, .newfd_flags = cloexec ? O_CLOEXEC : 0u,
	};

	pv_quiet();
	int r = answer(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);

	close(fd);
	int sent = pv_reply(listener, id, r);
	return sent < 0 ? sent : r;
}

/* Give the caller a copy of the core's `fd` in the place of its descriptor `number`, and no answer. */
int pv_put(int listener, uint64_t id, int fd, int number, int cloexec)
{
	struct seccomp_notif_addfd a = {
		.id = id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (unsigned)fd,
		.newfd = (unsigned)number, .newfd_flags = cloexec ? O_CLOEXEC : 0u,
	};

	pv_quiet();
	return answer(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}
