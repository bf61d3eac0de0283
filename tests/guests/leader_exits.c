/* SPDX-License-Identifier: GPL-2.0-or-later
 * The leader of a process exits and stays a zombie while other threads live on: their calls work,
 * the parent waits for the last of them and gets its status. */
#include "guest.h"
#include <pthread.h>
#include <sys/syscall.h>

static int ready[2];

static void *lives_on(void *unused)
{
	char byte;
	struct stat s;
	int status;

	while (!strstr(get(text("/proc/self/task/%d/stat", getpid())), ") Z "))
		pause_ms(1);
	OK(mkdir("made", 0755));
	OK(stat(text("%s/etc/passwd", prefix()), &s));
	OK(chdir("made"));
	SAME(strrchr(here(), '/'), "/made");
	SAME(target("/proc/thread-self/cwd"), here());
	pid_t child = OK(fork());
	if (!child) {
		OK(access("../made", F_OK));
		_exit(17);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 17 << 8);
	EQ(read(ready[0], &byte, 1), 1);
	OK(access("..", F_OK));
	syscall(SYS_exit_group, 42);
	return unused;
}

int main(void)
{
	int status;

	alarm(20);
	for (int round = 0; round < 5; round++) {
		OK(pipe(ready));
		pid_t child = OK(fork());
		if (!child) {
			pthread_t thread;
			alarm(10);
			pthread_create(&thread, NULL, lives_on, NULL);
			pthread_exit(NULL);
		}
		pause_ms(20);
		EQ(waitpid(child, &status, WNOHANG), 0); /* not ended, though its leader is */
		write(ready[1], "x", 1);
		EQ(waitpid(child, &status, 0), child);
		if (status != 42 << 8)
			FAIL("wait status %#x", status);
		OK(rmdir("made"));
	}
	return 0;
}
