// SPDX-License-Identifier: GPL-2.0-or-later
/* Who forks is killed in the middle of it, again and again: of what was born every one lives, ends by
 * itself, and is where its parent was.  The orphans are this guest's, a subreaper. */
#include "guest.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#define ROUNDS 150

static char *place;

__attribute__((noreturn)) static void orphan(void)
{
	char now[PATH_MAX];

	_exit(!getcwd(now, sizeof now) || strcmp(now, place) || access("here", F_OK) ? 3 : 0);
}

static void forks(void)
{
	for (;;)
		if (!fork())
			orphan();
}

static void vforks(void)
{
	for (;;)
		if (!vfork())
			orphan();
}

/* Its children are this guest's from the first. */
static void clones(void)
{
	for (;;)
		if (!syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0))
			orphan();
}

static void *forking(void *unused)
{
	forks();
	return unused;
}

/* One thread of several ends the others by becoming another program. */
static void *becomes(void *microseconds)
{
	usleep((useconds_t)(long)microseconds);
	execl("/bin/true", "true", NULL);
	_exit(3);
}

static void threads(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, forking, NULL);
	forks();
}

static void executes(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, forking, NULL);
	pthread_create(&thread, NULL, becomes, (void *)(long)(random() % 3000));
	forks();
}

static void (*const kinds[])(void) = {forks, vforks, clones, threads, executes};

int main(int argc, char **argv)
{
	pid_t child;
	int status;

	alarm(100);
	place = here();
	put("here", "");
	srandom((unsigned)(argc > 1 ? atoi(argv[1]) : getpid()));
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int round = 0; round < ROUNDS; round++) {
		size_t kind = (size_t)round % (sizeof kinds / sizeof *kinds);
		pid_t forker = OK(fork());
		if (!forker)
			kinds[kind]();
		usleep((useconds_t)(random() % 4000));
		if (kinds[kind] != executes)
			OK(kill(forker, SIGKILL));
		while ((child = wait(&status)) > 0)
			if (child == forker ? status && status != SIGKILL : status != 0)
				FAIL("kind %zu: wait status %#x", kind, status);
		EQ(errno, ECHILD);
	}
	return 0;
}
