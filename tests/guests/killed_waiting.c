/* SPDX-License-Identifier: GPL-2.0-or-later
 * SIGKILL while a process waits in the core or has the core run calls in it: opens, mappings, locks,
 * transfers, programs, threads, sockets.  Its parent sees its death, what it held is free again. */
#include "guest.h"
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROUNDS 12 /* of each kind, killed a little later each time */

static int full; /* a pipe that takes nothing more */

static void opens(void)
{
	for (int i = 0;; i++) {
		int fd = open("mine", O_RDWR | O_CREAT | (i % 2 ? O_TRUNC : O_APPEND), 0644);

		write(fd, "some", 4);
		rename("mine", "renamed");
		ftruncate(fd, 2);
		close(fd);
		unlink("renamed");
	}
}

static void maps(void)
{
	for (;;) {
		int fd = open("mapped", O_RDWR);
		char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		close(fd);
		if (at == MAP_FAILED)
			_exit(1);
		at[0]++;
		msync(at, 8192, MS_SYNC);
		munmap(at, 8192);
	}
}

static void waits_for_record(void)
{
	int fd = open("locked", O_RDWR);

	fcntl(fd, F_SETLKW, &(struct flock){.l_type = F_WRLCK});
	_exit(1);
}

static void waits_for_file(void)
{
	flock(open("locked", O_RDWR), LOCK_EX);
	_exit(1);
}

static void holds(void)
{
	int fd = open("held", O_RDWR);

	fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK});
	flock(open("held", O_RDWR), LOCK_EX);
	for (;;)
		pause();
}

static void transfers(void)
{
	int fd = open("mapped", O_RDONLY);

	sendfile(full, fd, NULL, 100);
	_exit(1);
}

static void starts(void)
{
	char *const argv[] = {"script", NULL};

	for (;;) {
		pid_t child = vfork();

		if (!child) {
			execv("script", argv);
			_exit(1);
		}
		waitpid(child, NULL, 0);
	}
}

static void *opening(void *unused)
{
	opens();
	return unused;
}

static void threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, opening, NULL);
	pause();
}

static void sockets(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};

	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		bind(fd, (struct sockaddr *)&name, sizeof name);
		connect(fd, (struct sockaddr *)&name, sizeof name);
		close(fd);
		unlink("socket");
	}
}

/* Each in turn; who is born to open one file has its filter put on just then. */
static void newborn(void)
{
	for (;;) {
		pid_t child = fork();

		if (!child) {
			close(open("mapped", O_RDWR));
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void (*const kinds[])(void) = {
	opens, maps, waits_for_record, waits_for_file, holds, transfers, starts, threads, sockets, newborn,
};

static void kill_one(void (*body)(void), int microseconds)
{
	struct timespec t = {0, microseconds * 1000L};
	int status;
	pid_t child = OK(fork());

	if (!child) {
		setpgid(0, 0);
		body();
	}
	setpgid(child, child);
	nanosleep(&t, NULL);
	OK(kill(-child, SIGKILL));
	EQ(waitpid(child, &status, 0), child);
	if (status != SIGKILL)
		FAIL("wait status %#x", status);
}

int main(void)
{
	int ends[2], record, file;

	alarm(100);
	put("mapped", "1");
	OK(truncate("mapped", 10000));
	put("locked", "");
	put("held", "");
	put("script", "#!/bin/true\n");
	OK(pipe2(ends, O_NONBLOCK));
	while (write(ends[1], "", 1) == 1)
		;
	OK(fcntl(ends[1], F_SETFL, 0));
	full = ends[1];
	record = OK(open("locked", O_RDWR));
	OK(fcntl(record, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
	file = OK(open("locked", O_RDWR));
	OK(flock(file, LOCK_EX));
	int next = OK(dup(0));
	close(next);
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
		for (int round = 0; round < ROUNDS; round++)
			kill_one(kinds[kind], 100 + round * round * 200);
	EQ(dup(0), next);
	int held = OK(open("held", O_RDWR));
	OK(fcntl(held, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
	OK(flock(held, LOCK_EX | LOCK_NB));
	OK(flock(file, LOCK_UN));
	int other = OK(open("locked", O_RDWR));
	OK(flock(other, LOCK_EX | LOCK_NB));
	pid_t child = OK(fork());
	if (!child)
		_exit(fcntl(open("locked", O_RDWR), F_SETLK, &(struct flock){.l_type = F_WRLCK}) == 0);
	int status;
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0); /* the parent's is still there */
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, OK(open("mapped", O_RDONLY)), 0);
	IS(map != MAP_FAILED);
	unlink("mine");
	unlink("renamed");
	return 0;
}
