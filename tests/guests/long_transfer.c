/* SPDX-License-Identifier: GPL-2.0-or-later
 * sendfile(2) moves all that there is, however much, unless it may not wait. */
#include "told.h"
#include <sys/sendfile.h>
#include <sys/socket.h>

#define MUCH (5 << 20)

int main(void)
{
	unsigned char *data = malloc(MUCH), room[65536];
	int a = OK(open("a", O_CREAT | O_RDWR, 0644)), b = OK(open("b", O_CREAT | O_RDWR, 0644));
	int pair[2];
	off_t at = 100;
	struct stat st;

	for (int i = 0; i < MUCH; i++)
		data[i] = (unsigned char)(i * 7 + i / 4096);
	EQ(write(a, data, MUCH), MUCH);
	TELL(sendfile(b, a, &at, 4 << 20));
	printf("%ld\n", (long)at);
	TELL(lseek(b, 0, SEEK_CUR));
	TELL(sendfile(b, a, &at, 4 << 20));
	OK(lseek(a, 1000, SEEK_SET));
	TELL(sendfile(b, a, NULL, 3 << 20));
	TELL(lseek(a, 0, SEEK_CUR));
	OK(fstat(b, &st));
	printf("%ld bytes\n", (long)st.st_size);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fflush(stdout);
	pid_t child = OK(fork());
	if (!child) {
		unsigned sum = 0;
		long all = 0;
		ssize_t n;
		close(pair[0]);
		while ((n = read(pair[1], room, sizeof room)) > 0) {
			all += n;
			for (ssize_t i = 0; i < n; i++)
				sum = sum * 31 + room[i];
		}
		printf("%ld bytes came, %u\n", all, sum);
		fflush(stdout);
		_exit(0);
	}
	close(pair[1]);
	at = 0;
	TELL(sendfile(pair[0], a, &at, MUCH));
	close(pair[0]);
	OK(waitpid(child, NULL, 0));
	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	at = 0;
	long some = sendfile(pair[0], a, &at, MUCH);
	printf("some: %d, and the offset says so: %d\n", some > 0 && some < MUCH, at == some);
	TELL(sendfile(pair[0], a, &at, MUCH));
	return 0;
}
