/* SPDX-License-Identifier: GPL-2.0-or-later
 * A process ends by exit_group while its other threads are in calls on files, again and again; the ids
 * of who has ended go to others, and nobody gets another's answer. */
#include "guest.h"
#include <pthread.h>

#define ROUNDS 150

static char *mine;

static void *busy(void *unused)
{
	char room[100];

	for (;;) {
		int fd = open(mine, O_RDWR);
		if (fd < 0)
			continue; /* EMFILE, when others are as quick */
		if (pread(fd, room, sizeof room, 0) != (ssize_t)strlen(mine) || memcmp(room, mine, strlen(mine)))
			_exit(3);
		pwrite(fd, mine, strlen(mine), 0);
		close(fd);
	}
	return unused;
}

static void ends(int round)
{
	pthread_t thread;

	mine = text("f%d", round % 4);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, busy, NULL))
			_exit(2);
	usleep((useconds_t)(round * 37 % 3000));
	_exit(round % 50 + 10);
}

int main(void)
{
	pid_t children[3];
	int status;

	for (int i = 0; i < 4; i++)
		put(text("f%d", i), text("f%d", i));
	for (int round = 0; round < ROUNDS; round += 3) {
		for (int i = 0; i < 3; i++) {
			children[i] = OK(fork());
			if (!children[i])
				ends(round + i);
		}
		for (int i = 0; i < 3; i++) {
			EQ(waitpid(children[i], &status, 0), children[i]);
			EQ(status, ((round + i) % 50 + 10) << 8);
		}
	}
	return 0;
}
