/* SPDX-License-Identifier: GPL-2.0-or-later
 * A process loses its record locks on a file when it closes any descriptor of it: fcntl(2). */
#include "told.h"

static struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };

/* Whether another process finds the file "a" locked. */
static int locked(void)
{
	int status;
	pid_t child = OK(fork());

	if (!child) {
		struct flock mine = lock;
		int file = open("a", O_RDWR);
		_exit(file < 0 || fcntl(file, F_GETLK, &mine) < 0 ? 2 : mine.l_type != F_UNLCK);
	}
	OK(waitpid(child, &status, 0));
	return WEXITSTATUS(status);
}

#define LOCKED(what) printf("%s: %d\n", what, locked())

int main(void)
{
	int file = OK(open("a", O_CREAT | O_RDWR, 0644)), other = OK(open("b", O_CREAT | O_RDWR, 0644));
	int status;

	LOCKED("at first");
	TELL(fcntl(file, F_SETLK, &lock));
	LOCKED("with a lock");
	close(OK(open("b", O_RDWR)));
	LOCKED("another file was closed");
	close(OK(open("a", O_RDONLY)));
	LOCKED("it was closed");
	TELL(fcntl(file, F_SETLKW, &lock));
	OK(dup2(other, OK(open("a", O_RDONLY))));
	LOCKED("it was replaced");
	TELL(fcntl(file, F_SETLK, &lock));
	OK(dup3(other, OK(dup(file)), O_CLOEXEC));
	LOCKED("a copy was replaced");
	TELL(fcntl(file, F_SETLK, &lock));
	OK(dup2(file, file));
	LOCKED("nothing was replaced");
	int last = OK(dup2(file, 100));
	OK(syscall(SYS_close_range, 90, 110, 4));
	LOCKED("nothing was closed");
	OK(syscall(SYS_close_range, 90, 110, 0));
	LOCKED("a range was closed");
	ERR(close(last), EBADF);
	TELL(fcntl(file, F_SETLK, &lock));
	pid_t child = OK(fork());
	if (!child) {
		close(file);
		_exit(0);
	}
	OK(waitpid(child, &status, 0));
	LOCKED("a child closed its own");
	OK(fcntl(file, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_start = 20, .l_len = 5 }));
	lock.l_start = 20;
	LOCKED("an open file's lock");
	close(OK(open("a", O_RDONLY)));
	LOCKED("it stays");
	lock.l_start = 0;
	LOCKED("the process's does not");
	return 0;
}
