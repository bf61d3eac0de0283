/* SPDX-License-Identifier: GPL-2.0-or-later
 * Credentials are a thread's at the level of calls, and glibc makes them the process's; fork hands
 * them on, exec from any thread keeps the caller's; capget tells other tasks'.  To be run as root. */
/* cc: -pthread */
#include "guest.h"
#include <linux/capability.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static char *self;

static char *uids(int tid)
{
	char *at = strstr(get(text("/proc/%d/status", tid)), "\nUid:");

	IS(at);
	at += 6;
	at[strcspn(at, "\n")] = 0;
	return at;
}

static void *apart(void *unused)
{
	(void)unused;
	OK(syscall(SYS_setresuid, 5, 6, 7));
	SAME(uids(gettid()), "5\t6\t7\t6");
	EQ(syscall(SYS_geteuid), 6);
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	EQ(pthread_create(&thread, NULL, apart, NULL), 0);
	EQ(pthread_join(thread, NULL), 0);
	EQ(getuid(), 0);
	SAME(uids(gettid()), "0\t0\t0\t0");
}

static int ends[2], back[2];

static void *waits(void *uid)
{
	char c;

	*(int *)uid = -1;
	OK(write(back[1], "r", 1));
	EQ(read(ends[0], &c, 1), 1);
	*(int *)uid = (int)syscall(SYS_getuid);
	return NULL;
}

/* glibc sends itself a signal, so that all threads change. */
static void together(void)
{
	pthread_t thread;
	int uid;
	char c;

	OK(pipe(ends));
	OK(pipe(back));
	EQ(pthread_create(&thread, NULL, waits, &uid), 0);
	EQ(read(back[0], &c, 1), 1);
	OK(setuid(3));
	OK(write(ends[1], "g", 1));
	EQ(pthread_join(thread, NULL), 0);
	EQ(uid, 3);
}

static void handed_on(void)
{
	OK(setresgid(8, 9, 10));
	OK(setresuid(5, 6, 7));
	pid_t child = OK(fork());
	int status;
	if (!child) {
		IS(getuid() == 5 && geteuid() == 6 && getgid() == 8 && getegid() == 9);
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	child = OK(vfork());
	if (!child)
		_exit(syscall(SYS_geteuid) == 6 ? 0 : 1);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
}

static void *executes(void *unused)
{
	(void)unused;
	OK(syscall(SYS_setresuid, 11, 12, 13));
	execl(self, self, "executed", NULL);
	FAIL("execl: %s", strerrorname_np(errno));
}

static void from_a_thread(void)
{
	pthread_t thread;

	EQ(pthread_create(&thread, NULL, executes, NULL), 0);
	pause();
}

/* A child's capabilities, as others see them. */
static void of_others(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	int told[2], go[2], status;
	char c;

	OK(pipe(told));
	OK(pipe(go));
	pid_t child = OK(fork());
	if (!child) {
		OK(setuid(4));
		OK(write(told[1], "x", 1));
		EQ(read(go[0], &c, 1), 1);
		_exit(0);
	}
	EQ(read(told[0], &c, 1), 1);
	head.pid = child;
	OK(syscall(SYS_capget, &head, data));
	IS(!data[0].effective && !data[0].permitted && !data[1].permitted);
	SAME(uids(child), "4\t4\t4\t4");
	head.pid = 0;
	OK(syscall(SYS_capget, &head, data));
	IS(data[0].effective);
	OK(write(go[1], "x", 1));
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
}

static void bad_memory(void)
{
	gid_t list[2] = { 1, 2 };

	ERR(syscall(SYS_getresuid, 1, 2, 3), EFAULT);
	ERR(syscall(SYS_setgroups, 2, 1), EFAULT);
	OK(syscall(SYS_setgroups, 2, list));
	ERR(syscall(SYS_getgroups, 2, 1), EFAULT);
	ERR(syscall(SYS_getgroups, 1, list), EINVAL);
	ERR(syscall(SYS_capget, 1, list), EFAULT);
	ERR(prctl(PR_SET_KEEPCAPS, 7), EINVAL);
}

int main(int argc, char **argv)
{
	char room[PATH_MAX];

	if (argc > 1) {
		IS(!strcmp(argv[1], "executed"));
		IS(getuid() == 11 && geteuid() == 12);
		SAME(uids(getpid()), "11\t12\t12\t12");
		return 0;
	}
	room[OK(readlink("/proc/self/exe", room, sizeof room - 1))] = 0;
	self = room;
	(void)argv;
	if (getuid())
		SKIP("to be run as root");
	in_child(threads);
	in_child(together);
	in_child(handed_on);
	in_child(from_a_thread);
	in_child(of_others);
	in_child(bad_memory);
	return 0;
}
