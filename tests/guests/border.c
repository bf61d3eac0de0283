/* SPDX-License-Identifier: GPL-2.0-or-later
 * The prefix and the tree without it are two mounts: rename and link from one to the other are
 * EXDEV before any effect, and mv and cp work as across any file systems.  Run where PREFIX is. */
#include "guest.h"

static void unmoved(const char *a, const char *b)
{
	struct stat s;

	SAME(get(a), "a");
	OK(stat(a, &s));
	EQ(s.st_nlink, 1);
	ERR(lstat(b, &s), ENOENT);
}

int main(void)
{
	char *where = here(), *real = where + strlen(prefix());
	char *a = text("%s/a", where), *b = text("%s/b", where), *ra = text("%s/a", real), *rb = text("%s/b", real);
	struct stat s, t;

	IS(*prefix());
	put("a", "a");
	SAME(get(ra), "a");
	OK(stat(a, &s));
	OK(stat(ra, &t));
	EQ(s.st_ino, t.st_ino);
	ERR(rename(a, rb), EXDEV);
	unmoved(a, b);
	ERR(rename(ra, b), EXDEV);
	unmoved(a, b);
	ERR(rename("a", rb), EXDEV);
	unmoved(a, b);
	ERR(link(a, rb), EXDEV);
	unmoved(a, b);
	ERR(link(ra, "b"), EXDEV);
	unmoved(a, b);
	put("c", "c");
	ERR(rename("c", ra), EXDEV); /* over what is there */
	SAME(get("a"), "a");
	SAME(get("c"), "c");
	ERR(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, ra, 2 /* EXCHANGE */), EXDEV);
	SAME(get("a"), "a");
	ERR(rename("nothing", rb), EXDEV); /* the kernel looks at the mounts before the last name */
	ERR(rename("nothing/x", rb), ENOENT);
	ERR(link("nothing", rb), ENOENT);
	int here_fd = OK(open(".", O_RDONLY)), real_fd = OK(open(real, O_RDONLY));
	ERR(renameat(here_fd, "a", real_fd, "b"), EXDEV);
	ERR(renameat(real_fd, "a", here_fd, "b"), EXDEV);
	ERR(linkat(here_fd, "a", real_fd, "b", 0), EXDEV);
	unmoved(a, b);
	OK(renameat(real_fd, "a", real_fd, "b"));
	SAME(get("b"), "a");
	OK(renameat(here_fd, "b", here_fd, "a"));
	OK(linkat(real_fd, "a", real_fd, "b", 0));
	OK(unlink(b));
	unmoved(a, b);
	OK(mkdir("d", 0755));
	ERR(rename("d", text("%s/e", real)), EXDEV);
	OK(rmdir("d"));

	EQ(run((char *[]){"/bin/mv", a, rb, NULL}, NULL), 0); /* copies, then unlinks */
	SAME(get("b"), "a");
	ERR(access("a", F_OK), ENOENT);
	OK(symlink(ra, "l")); /* a link's text is not a name to translate */
	SAME(target("l"), ra);
	SAME(target(text("%s/l", real)), ra);
	return 0;
}
