/* SPDX-License-Identifier: GPL-2.0-or-later
 * A file with a lease on it: who opens it waits for the holder, and nobody else waits with him. */
#include "guest.h"

static volatile int asked;

static void ask(int number) { asked += number == SIGIO; }

int main(void)
{
	struct stat st;
	int status, file;

	put("leased", "x");
	put("other", "y");
	signal(SIGIO, ask);
	file = OK(open("leased", O_RDWR));
	OK(fcntl(file, F_SETSIG, SIGIO)); /* docs/limits.md: what announces a lease without it */
	if (fcntl(file, F_SETLEASE, F_WRLCK) < 0) {
		if (errno == EAGAIN && emulated())
			return 0; /* docs/limits.md */
		FAIL("F_SETLEASE: %s", strerrorname_np(errno));
	}
	pid_t child = OK(fork());
	if (!child) {
		close(file);
		_exit(open("leased", O_RDONLY) < 0 ? errno : 0);
	}
	while (!asked)
		pause_ms(1);
	double before = ms();
	OK(stat(text("%s/other", here()), &st));
	close(OK(open("other", O_RDWR)));
	ERR(open("leased", O_RDONLY | O_NONBLOCK), EWOULDBLOCK);
	IS(ms() - before < 5000);
	EQ(waitpid(child, &status, WNOHANG), 0);
	OK(fcntl(file, F_SETLEASE, F_UNLCK));
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	return 0;
}
