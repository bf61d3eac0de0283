/* SPDX-License-Identifier: GPL-2.0-or-later
 * A transfer into a pipe that nobody reads: one signal, EPIPE, and no descriptor more than before. */
#include "guest.h"
#include <sys/sendfile.h>

static volatile int came;

static void note(int number) { came += number == SIGPIPE; }

int main(void)
{
	int ends[2], file;

	put("f", "twelve bytes");
	file = OK(open("f", O_RDONLY));
	OK(pipe(ends));
	close(ends[0]);
	signal(SIGPIPE, note);
	int next = OK(dup(0));
	close(next);
	for (int i = 0; i < 20; i++) {
		ERR(sendfile(ends[1], file, NULL, 5), EPIPE);
		EQ(lseek(file, 0, SEEK_CUR), 0);
		ERR(splice(file, NULL, ends[1], NULL, 5, 0), EPIPE);
		EQ(lseek(file, 0, SEEK_CUR), 0);
	}
	EQ(came, 40);
	EQ(dup(0), next);
	return 0;
}
