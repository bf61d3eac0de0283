/* SPDX-License-Identifier: GPL-2.0-or-later
 * A task that is not dumpable (its memory is closed to an ordinary tracer) still does all calls,
 * and is told that it is not dumpable. */
#include "guest.h"
#include <sys/prctl.h>

int main(void)
{
	char buffer[PATH_MAX];
	struct stat s;
	int status;

	EQ(prctl(PR_GET_DUMPABLE), 1);
	OK(prctl(PR_SET_DUMPABLE, 0));
	EQ(prctl(PR_GET_DUMPABLE), 0);
	put("f", "content");
	SAME(get("f"), "content");
	OK(stat(text("%s/etc/passwd", prefix()), &s));
	OK(mkdir("d", 0755));
	OK(rename("d", "e"));
	OK(chdir("e"));
	SAME(strrchr(getcwd(buffer, sizeof buffer), '/'), "/e");
	OK(symlink("../f", "l"));
	SAME(target("l"), "../f");
	ERR(open("nothing", O_RDONLY), ENOENT);
	pid_t child = OK(fork());
	if (!child) {
		EQ(prctl(PR_GET_DUMPABLE), 0);
		OK(access("../f", R_OK));
		execl("/bin/sh", "sh", "-c", "test -f ../f && exit 8", (char *)NULL);
		_exit(1);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 8 << 8);
	OK(prctl(PR_SET_DUMPABLE, 1));
	EQ(prctl(PR_GET_DUMPABLE), 1);
	ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	return 0;
}
