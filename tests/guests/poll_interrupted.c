/* SPDX-License-Identifier: GPL-2.0-or-later
 * read restarts under SA_RESTART and is EINTR without; poll, pause and sigsuspend are EINTR with
 * both; the mask that sigsuspend and ppoll lend is given back. */
#include "guest.h"
#include <poll.h>

static volatile sig_atomic_t signals;
static void on_signal(int number) { (void)number; signals++; }

static pid_t sender(int fd)
{
	pid_t parent = getpid(), child = OK(fork());

	if (child)
		return child;
	pause_ms(60);
	kill(parent, SIGUSR1);
	pause_ms(60);
	if (fd >= 0)
		write(fd, "x", 1);
	_exit(0);
}

int main(void)
{
	int ends[2], status;
	char byte;
	sigset_t empty, usr1, now;

	alarm(20);
	sigemptyset(&empty);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	OK(pipe(ends));
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
		struct pollfd some = {ends[0], POLLIN, 0};

		OK(sigaction(SIGUSR1, &action, NULL));
		pid_t child = sender(ends[1]);
		if (flags) {
			EQ(read(ends[0], &byte, 1), 1);
		} else {
			ERR(read(ends[0], &byte, 1), EINTR);
			EQ(read(ends[0], &byte, 1), 1);
		}
		waitpid(child, &status, 0);
		child = sender(-1);
		ERR(poll(&some, 1, 5000), EINTR);
		waitpid(child, &status, 0);
		OK(sigprocmask(SIG_BLOCK, &usr1, NULL));
		child = sender(-1);
		ERR(sigsuspend(&empty), EINTR);
		waitpid(child, &status, 0);
		child = sender(-1);
		ERR(ppoll(&some, 1, NULL, &empty), EINTR);
		waitpid(child, &status, 0);
		OK(sigprocmask(SIG_SETMASK, NULL, &now));
		IS(sigismember(&now, SIGUSR1));
		OK(sigprocmask(SIG_UNBLOCK, &usr1, NULL));
		EQ(signals, 4);
		signals = 0;
	}
	return 0;
}
