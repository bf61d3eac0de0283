/* SPDX-License-Identifier: GPL-2.0-or-later
 * Signals cut transfers into a full pipe short: each is EINTR or made again, as sigaction(2) says,
 * and nothing is closed or left open by it. */
#include "guest.h"
#include <sys/sendfile.h>
#include <sys/time.h>

static volatile int rings, ends[2];
static char room[1 << 20];

static void ring(int number)
{
	rings += number == SIGALRM;
	if (rings % 5 == 0) /* the fifth time the transfer may end */
		while (read(ends[0], room, sizeof room) == (ssize_t)sizeof room)
			;
}

static void every(int microseconds)
{
	OK(setitimer(ITIMER_REAL, &(struct itimerval){{0, microseconds}, {0, microseconds}}, NULL));
}

static void transfers(int file, int flags)
{
	struct sigaction action = {.sa_handler = ring, .sa_flags = flags};

	OK(sigaction(SIGALRM, &action, NULL));
	for (int i = 0; i < 5; i++) {
		while (write(ends[1], room, 4096) == 4096)
			;
		OK(fcntl(ends[1], F_SETFL, 0));
		lseek(file, 0, SEEK_SET);
		rings = 0;
		every(3000);
		if (flags & SA_RESTART) {
			EQ(sendfile(ends[1], file, NULL, 5), 5);
		} else {
			for (int before = 0; before < 3; before++)
				ERR(sendfile(ends[1], file, NULL, 5), EINTR);
		}
		every(0);
		EQ(lseek(file, 0, SEEK_CUR), flags & SA_RESTART ? 5 : 0);
		OK(fcntl(ends[1], F_SETFL, O_NONBLOCK));
	}
}

int main(void)
{
	int file, both[2];

	put("f", "twelve bytes");
	file = OK(open("f", O_RDONLY));
	OK(pipe2(both, O_NONBLOCK));
	ends[0] = both[0];
	ends[1] = both[1];
	int next = OK(dup(0));
	close(next);
	transfers(file, 0);
	transfers(file, SA_RESTART);
	EQ(dup(0), next);
	return 0;
}
