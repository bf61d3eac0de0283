/* SPDX-License-Identifier: GPL-2.0-or-later
 * A FIFO is one, by whichever of its names its ends are opened; locks on a file too. */
#include "guest.h"
#include <sys/file.h>

int main(void)
{
	char *where = here(), *real = where + strlen(prefix()), byte[8];
	int status;

	alarm(20);
	OK(mkfifo(text("%s/p", where), 0600));
	for (int round = 0; round < 20; round++) {
		pid_t child = OK(fork());
		if (!child) {
			int fd = OK(open(text("%s/p", round % 2 ? real : where), O_WRONLY));
			EQ(write(fd, "hello", 5), 5);
			_exit(0);
		}
		int fd = OK(open(round % 3 ? "p" : text("%s/p", real), O_RDONLY));
		EQ(read(fd, byte, 5), 5);
		EQ(read(fd, byte, 5), 0);
		close(fd);
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
	}
	char *other = emulated() ? where : real; /* its locks are the view's, not the kernel's */
	int a = OK(open("locked", O_CREAT | O_RDWR, 0600)), b = OK(open(text("%s/locked", other), O_RDWR));
	OK(flock(a, LOCK_EX | LOCK_NB));
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	return 0;
}
