/* SPDX-License-Identifier: GPL-2.0-or-later
 * Path calls on a disk never end with EINTR, nor with an errno that no program knows (512...),
 * however many signals arrive; each has its effect exactly once.  The handler does path calls too. */
#include "guest.h"
#include <sys/time.h>

static volatile long alarms, wrong;
static char *file; /* its absolute name: the storm meets us in other directories too */

static void on_alarm(int number)
{
	struct stat s;
	int kept = errno;

	(void)number;
	alarms++;
	if (stat(file, &s) || s.st_size != 5)
		wrong++;
	errno = kept;
}

static void check(const char *call, long value)
{
	if (value != -1)
		return;
	FAIL("%s after %ld signals: errno %d (%s)", call, alarms, errno, strerrorname_np(errno));
}
#define CALL(expression) check(#expression, (long)(expression))

int main(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 300}, {0, 300}}, never = {};
	struct stat s;
	char buffer[PATH_MAX];

	file = text("%s/f", here());
	put("f", "hello");
	OK(symlink("f", "l"));
	OK(sigaction(SIGALRM, &action, NULL));
	OK(setitimer(ITIMER_REAL, &often, NULL));
	double end = ms() + 20000;
	long rounds = 0;
	while ((rounds < 300 || alarms < 300) && ms() < end) {
		CALL(stat("l", &s));
		CALL(lstat(text("%s/etc", prefix()), &s));
		int fd = open("f", O_RDONLY);
		check("open", fd);
		CALL(close(fd));
		EQ(readlink("l", buffer, sizeof buffer), 1);
		CALL(access("f", R_OK));
		CALL(mkdir("d", 0755)); /* run twice it would be EEXIST */
		CALL(rename("d", "e"));
		CALL(chdir("e"));
		SAME(strrchr(getcwd(buffer, sizeof buffer), '/'), "/e");
		CALL(chdir(".."));
		CALL(rmdir("e"));
		CALL(link("f", "g"));
		CALL(unlink("g"));
		CALL(symlink("x", "y"));
		CALL(unlink("y"));
		CALL(chmod("f", 0644));
		ERR(open("nothing", O_RDONLY), ENOENT);
		rounds++;
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
	if (wrong)
		FAIL("%ld of %ld calls in the handler went wrong", wrong, alarms);
	if (rounds < 50)
		FAIL("only %ld rounds in 20 s: the storm starves the program", rounds);
	return 0;
}
