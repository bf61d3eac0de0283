/* SPDX-License-Identifier: GPL-2.0-or-later
 * A read that waits ends as any read does: by bytes, by a signal that is caught, or again after it
 * (SA_RESTART); a stop, and a signal that is ignored, change nothing; ^C ends its process.
 *
 *   waits_on_a_file NAME: a FIFO, or a device that does as one does
 */
#include "guest.h"
#include <poll.h>

static int fd;
static volatile sig_atomic_t handled;
static void on_signal(int number) { (void)number; handled++; }

/* In a child: read a byte; how that ended is its status. */
static pid_t reader(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	int ready[2];
	char byte;

	OK(pipe(ready));
	pid_t child = OK(fork());
	if (!child) {
		OK(sigaction(SIGUSR1, &action, NULL));
		signal(SIGUSR2, SIG_IGN);
		OK(write(ready[1], "r", 1));
		int n = read(fd, &byte, 1);
		if (n == 1)
			_exit(byte == 'x' ? 10 + handled : 1);
		_exit(n == -1 && errno == EINTR ? 20 + handled : 2);
	}
	EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	pause_ms(60);
	EQ(waitpid(child, NULL, WNOHANG), 0);
	return child;
}

static int ended(pid_t child)
{
	int status;

	EQ(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	struct pollfd look;
	int status;

	IS(argc == 2);
	alarm(40);
	fd = OK(open(argv[1], O_RDWR));
	pid_t child = reader(0);
	EQ(write(fd, "x", 1), 1);
	EQ(ended(child), 10);

	child = reader(0);
	OK(kill(child, SIGUSR1));
	EQ(ended(child), 21);

	child = reader(SA_RESTART);
	for (int n = 0; n < 3; n++, pause_ms(40))
		OK(kill(child, SIGUSR1));
	EQ(waitpid(child, NULL, WNOHANG), 0);
	EQ(write(fd, "x", 1), 1);
	EQ(ended(child), 13);

	child = reader(0);
	for (int n = 0; n < 3; n++) {
		OK(kill(child, SIGUSR2));
		OK(kill(child, SIGSTOP));
		EQ(waitpid(child, &status, WUNTRACED), child);
		IS(WIFSTOPPED(status));
		OK(kill(child, SIGCONT));
		EQ(waitpid(child, &status, WCONTINUED), child);
		IS(WIFCONTINUED(status));
		pause_ms(20);
	}
	EQ(write(fd, "x", 1), 1);
	EQ(ended(child), 10);

	child = reader(0); /* bytes that come while it is stopped */
	OK(kill(child, SIGSTOP));
	EQ(waitpid(child, &status, WUNTRACED), child);
	EQ(write(fd, "x", 1), 1);
	pause_ms(40);
	EQ(waitpid(child, &status, WNOHANG), 0);
	OK(kill(child, SIGCONT));
	EQ(ended(child), 10);

	child = reader(0);
	OK(kill(child, SIGINT));
	EQ(ended(child), 1000 + SIGINT);
	child = reader(0);
	OK(kill(child, SIGKILL));
	EQ(ended(child), 1000 + SIGKILL);

	pid_t both[2] = {reader(0), reader(0)};
	EQ(write(fd, "xx", 2), 2);
	EQ(ended(both[0]), 10);
	EQ(ended(both[1]), 10);

	look = (struct pollfd){fd, POLLIN, 0};
	double start = ms();
	EQ(poll(&look, 1, 100), 0);
	IS(ms() - start >= 99);
	child = OK(fork());
	if (!child) {
		pause_ms(50);
		EQ(write(fd, "x", 1), 1);
		_exit(0);
	}
	EQ(poll(&look, 1, 5000), 1);
	EQ(look.revents, POLLIN);
	EQ(ended(child), 0);
	char byte;
	EQ(read(fd, &byte, 1), 1);
	int other = OK(open(argv[1], O_RDWR | O_NONBLOCK));
	ERR(read(other, &byte, 1), EAGAIN);
	return 0;
}
