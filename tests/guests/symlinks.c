/* SPDX-License-Identifier: GPL-2.0-or-later
 * Symbolic links: absolute ones start at the view's root (as over a bind mount), relative ones
 * may lead out of the prefix and into it; loops, dangling ones, and calls that do not follow. */
#include "guest.h"

static char *where, *real;

static void goes(const char *link, const char *expected)
{
	int back = OK(open(".", O_PATH));

	OK(chdir(link));
	SAME(here(), expected);
	OK(fchdir(back));
	close(back);
}

int main(void)
{
	struct stat s, t;

	where = here();
	real = where + strlen(prefix());
	put("f", "content");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	SAME(get("l"), "content");
	SAME(target("l"), "f");
	OK(lstat("l", &s));
	IS(S_ISLNK(s.st_mode));
	EQ(s.st_size, 1);
	OK(stat("l", &s));
	IS(S_ISREG(s.st_mode));
	OK(symlink("d", "ld"));
	goes("ld", text("%s/d", where));
	goes("ld/../d", text("%s/d", where)); /* `..` after a link: of the target */

	OK(symlink(text("%s/d", real), "absolute")); /* from the view's root: without prefix */
	goes("absolute", text("%s/d", real));
	OK(symlink(text("%s/d", where), "inside"));
	goes("inside", text("%s/d", where));
	OK(symlink(text("%s/f", where), "file"));
	SAME(get("file"), "content");

	char up[PATH_MAX] = ""; /* as many `..` as lead from here to the prefix */
	for (char *slash = real; *slash; slash++)
		if (*slash == '/')
			strcat(up, "../");
	up[strlen(up) - 1] = 0;
	OK(symlink(up, "up"));
	goes("up", *prefix() ? prefix() : "/");
	OK(symlink(text("%s/..", up), "upper"));
	char *parent = *prefix() ? strndup(prefix(), strrchr(prefix(), '/') - prefix()) : "/";
	goes("upper", *parent ? parent : "/");
	goes(text("up%s/d", real), text("%s/d", where));
	if (loaded()) { /* into the prefix, from a real directory */
		OK(symlink(text("/unreal%s/d", real), text("%s/into", real)));
		OK(chdir(real));
		goes("into", text("/unreal%s/d", real));
		OK(symlink(text("%s/../../../../../../../../unreal/unreal/etc", up), "two"));
		goes("two", "/unreal/unreal/etc");
		OK(symlink("/unreal/unreal/unreal", "third"));
		ERR(chdir("third"), ENOENT);
		OK(chdir(where));
		goes("two", "/unreal/unreal/etc"); /* `..` at the root stays there */
		OK(symlink(text("%s/l", where), "chain"));
		SAME(get("chain"), "content");
	}

	OK(symlink("loop2", "loop1"));
	OK(symlink("loop1", "loop2"));
	ERR(stat("loop1", &s), ELOOP);
	ERR(open("loop1", O_RDONLY), ELOOP);
	ERR(open("loop1/x", O_RDONLY), ELOOP);
	OK(lstat("loop1", &s));
	OK(symlink("f", "c0"));
	for (int k = 1; k <= 40; k++)
		OK(symlink(text("c%d", k - 1), text("c%d", k)));
	OK(stat("c39", &s)); /* forty links */
	ERR(stat("c40", &s), ELOOP);

	OK(symlink("nothing", "dangling"));
	ERR(stat("dangling", &s), ENOENT);
	ERR(open("dangling", O_RDONLY), ENOENT);
	ERR(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	ERR(mkdir("dangling", 0755), EEXIST);
	int fd = OK(open("dangling", O_CREAT | O_WRONLY, 0644)); /* makes the target */
	SAME(target(text("/proc/self/fd/%d", fd)), text("%s/nothing", where));
	ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	ERR(open("l", O_RDONLY | O_DIRECTORY), ENOTDIR);
	fd = OK(open("l", O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &s));
	IS(S_ISLNK(s.st_mode));
	char buffer[10];
	EQ(readlinkat(fd, "", buffer, sizeof buffer), 1);

	OK(link("l", "hard")); /* the link itself */
	OK(lstat("hard", &t));
	EQ(s.st_ino, t.st_ino);
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
	OK(lstat("hard2", &t));
	IS(S_ISREG(t.st_mode));
	OK(rename("l", "moved")); /* the link itself */
	SAME(target("moved"), "f");
	OK(unlink("moved"));
	SAME(get("f"), "content");
	ERR(rmdir("ld"), ENOTDIR);
	ERR(symlink("", "empty"), ENOENT);
	ERR(symlink("x", "f"), EEXIST);
	OK(chmod("file", 0600));
	OK(lchown("dangling", -1, -1));
	OK(utimensat(AT_FDCWD, "inside", (struct timespec[2]){{1, 0}, {2, 0}}, AT_SYMLINK_NOFOLLOW));
	OK(lstat("inside", &s));
	EQ(s.st_mtim.tv_sec, 2);
	OK(stat("inside", &s));
	IS(s.st_mtim.tv_sec != 2);
	return 0;
}
