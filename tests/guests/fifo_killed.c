/* SPDX-License-Identifier: GPL-2.0-or-later
 * A task that waits in open of a FIFO can be killed, alone and while a sibling thread waits too. */
#include "guest.h"
#include <pthread.h>

static void *waits(void *unused)
{
	(void)unused;
	open("fifo", O_RDONLY);
	return NULL;
}

int main(void)
{
	int status;

	alarm(20);
	OK(mkfifo("fifo", 0644));
	for (int round = 0; round < 10; round++) {
		pid_t child = OK(fork());
		if (!child) {
			pthread_t thread;
			if (round % 2)
				pthread_create(&thread, NULL, waits, NULL);
			waits(NULL);
			_exit(9);
		}
		pause_ms(round * 7);
		OK(kill(child, round % 3 ? SIGKILL : SIGTERM));
		EQ(waitpid(child, &status, 0), child);
		IS(WIFSIGNALED(status));
		EQ(WTERMSIG(status), round % 3 ? SIGKILL : SIGTERM);
	}
	struct stat s;
	OK(stat("fifo", &s)); /* the view still answers */
	return 0;
}
