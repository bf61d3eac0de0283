/* SPDX-License-Identifier: GPL-2.0-or-later
 * open of a FIFO waits for its other end: a signal ends it with EINTR without SA_RESTART, and
 * restarts it with; a restarted open ends when the other end comes, with one descriptor. */
#include "guest.h"

static volatile sig_atomic_t signals;
static void on_signal(int number) { (void)number; signals++; }

static void arrange(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	OK(sigaction(SIGUSR1, &action, NULL));
	signals = 0;
}

/* Sends `count` signals to its parent, 50 ms apart, then opens the FIFO's other end if asked to. */
static pid_t disturber(int count, bool then_open)
{
	pid_t parent = getpid(), child = OK(fork());

	if (child)
		return child;
	for (int n = 0; n < count; n++) {
		pause_ms(50);
		kill(parent, SIGUSR1);
	}
	pause_ms(50);
	if (then_open) {
		int fd = OK(open("fifo", O_WRONLY));
		OK(write(fd, "x", 1));
		_exit(0);
	}
	_exit(0);
}

int main(void)
{
	int status;
	char byte;

	alarm(20);
	OK(mkfifo("fifo", 0644));
	int lowest = OK(dup(0));
	close(lowest);

	arrange(0);
	pid_t child = disturber(1, false);
	ERR(open("fifo", O_RDONLY), EINTR);
	EQ(signals, 1);
	EQ(waitpid(child, &status, 0), child);

	arrange(SA_RESTART);
	child = disturber(3, true);
	int fd = open("fifo", O_RDONLY);
	if (fd < 0)
		FAIL("open with SA_RESTART: errno %d after %d signals", errno, (int)signals);
	EQ(fd, lowest);
	EQ(signals, 3);
	EQ(read(fd, &byte, 1), 1);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	close(fd);

	arrange(0);
	ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	EQ(OK(open("fifo", O_RDONLY | O_NONBLOCK)), lowest);
	EQ(OK(open("fifo", O_WRONLY)), lowest + 1); /* nothing leaked on the way */
	return 0;
}
