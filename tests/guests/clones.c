/* SPDX-License-Identifier: GPL-2.0-or-later
 * clone3 works or is ENOSYS (programs fall back); CLONE_UNTRACED neither fails nor lets a task
 * leave the view; CLONE_FS and CLONE_FILES are shared, each for itself; CLONE_PARENT, a child
 * without a signal, and pidfds are as the kernel has them. */
#include "guest.h"
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>

static char *stack;

/* Fails unless the calling task sees the world that its parent sees. */
static void in_the_world(void)
{
	struct stat s;

	OK(stat(text("%s/etc/passwd", prefix()), &s));
	if (loaded())
		OK(stat("/unreal/unreal/etc", &s));
	OK(stat(".", &s));
	if (loaded())
		IS(atoi(target("/proc/self/pyview"))); /* the core's, which only views know */
}

static long status_of(pid_t child)
{
	int status;

	EQ(waitpid(child, &status, __WALL), child);
	return status;
}

static int looks(void *unused) { (void)unused; in_the_world(); return 5; }
static int moves(void *unused) { (void)unused; OK(chdir("d")); return 0; }
static int closes(void *fd) { close(*(int *)fd); return 0; }
static int clones_again(void *unused)
{
	(void)unused;
	pid_t child = OK(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0));
	if (!child) {
		in_the_world();
		_exit(6);
	}
	return status_of(child) == 6 << 8 ? 7 : 1;
}

static pid_t start(int (*body)(void *), unsigned flags, void *argument)
{
	return OK(clone(body, stack + 65536, flags, argument));
}

int main(void)
{
	alarm(30);
	stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(mkdir("d", 0755));
	char *where = here();

	struct clone_args args = {.exit_signal = SIGCHLD};
	errno = 0;
	long child = syscall(SYS_clone3, &args, sizeof args);
	if (child == -1 && errno != ENOSYS)
		FAIL("clone3: %s", strerrorname_np(errno));
	if (!child) {
		in_the_world();
		_exit(5);
	}
	if (child > 0) {
		EQ(status_of(child), 5 << 8);
		args.flags = CLONE_FS | CLONE_UNTRACED;
		child = syscall(SYS_clone3, &args, sizeof args);
		if (child == -1 && errno == ENOSYS) { /* then do without that flag, as nobody needs it */
			args.flags = CLONE_FS;
			child = OK(syscall(SYS_clone3, &args, sizeof args));
		}
		if (!child) {
			in_the_world();
			moves(NULL);
			_exit(5);
		}
		EQ(status_of(child), 5 << 8);
		SAME(here(), text("%s/d", where));
		OK(chdir(".."));
		ERR(syscall(SYS_clone3, &args, 8), EINVAL);
		ERR(syscall(SYS_clone3, (void *)8, sizeof args), EFAULT);
	}

	EQ(status_of(start(looks, SIGCHLD, NULL)), 5 << 8);
	EQ(status_of(start(looks, CLONE_UNTRACED | SIGCHLD, NULL)), 5 << 8);
	EQ(status_of(start(looks, CLONE_UNTRACED | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL)), 5 << 8);
	EQ(status_of(start(clones_again, CLONE_UNTRACED | SIGCHLD, NULL)), 7 << 8);
	EQ(status_of(start(looks, SIGUSR1 & 0, NULL)), 5 << 8); /* no signal at its end */

	EQ(status_of(start(moves, CLONE_FS | SIGCHLD, NULL)), 0);
	SAME(here(), text("%s/d", where));
	OK(chdir(".."));
	EQ(status_of(start(moves, CLONE_VM | SIGCHLD, NULL)), 0);
	SAME(here(), where);
	EQ(status_of(start(moves, CLONE_VM | CLONE_FS | CLONE_UNTRACED | SIGCHLD, NULL)), 0);
	SAME(here(), text("%s/d", where));
	OK(chdir(".."));

	int fd = OK(open("d", O_RDONLY));
	EQ(status_of(start(closes, CLONE_FILES | SIGCHLD, &fd)), 0);
	ERR(fcntl(fd, F_GETFD), EBADF);
	fd = OK(open("d", O_RDONLY));
	EQ(status_of(start(closes, CLONE_VM | SIGCHLD, &fd)), 0);
	OK(fcntl(fd, F_GETFD));

	int pidfd = -1;
	child = OK(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0));
	if (!child)
		_exit(9);
	struct pollfd ends = {pidfd, POLLIN, 0};
	EQ(poll(&ends, 1, 5000), 1);
	siginfo_t info;
	OK(waitid(P_PIDFD, pidfd, &info, WEXITED | WNOWAIT));
	EQ(info.si_status, 9);
	EQ(status_of(child), 9 << 8);
	ERR(waitpid(child, NULL, 0), ECHILD);
	return 0;
}
