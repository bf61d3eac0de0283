/* SPDX-License-Identifier: GPL-2.0-or-later
 * /unreal is a mount point, and so is /unreal/unreal: listed where they are, busy, a third level
 * is not there, and `..` leads out of them.  Run where unreal is loaded. */
#include "guest.h"
#include <dirent.h>

/* How often a directory lists a name, and how often its inode is `inode`. */
static int lists(const char *path, const char *name)
{
	DIR *dir = opendir(path);
	int found = 0;

	if (!dir)
		FAIL("opendir %s: %s", path, strerrorname_np(errno));
	for (struct dirent *e; (e = readdir(dir));)
		found += !strcmp(e->d_name, name);
	rewinddir(dir);
	int again = 0;
	for (struct dirent *e; (e = readdir(dir));)
		again += !strcmp(e->d_name, name);
	EQ(again, found);
	closedir(dir);
	return found;
}

static void same(const char *a, const char *b)
{
	struct stat s, t;

	OK(stat(a, &s));
	OK(stat(b, &t));
	if (s.st_ino != t.st_ino || s.st_mode != t.st_mode)
		FAIL("%s and %s differ", a, b);
}

/* A mount point is busy; but where its parent may not be written the kernel says so first. */
#define REFUSED(call, allowed) \
	do { if ((call) != -1 || !((allowed) || errno == EACCES)) \
		FAIL("%s: %s", #call, strerrorname_np(errno)); } while (0)

static void busy(const char *path)
{
	REFUSED(rmdir(path), errno == EBUSY);
	REFUSED(unlink(path), errno == EBUSY || errno == EISDIR);
	REFUSED(rename(path, text("%s/elsewhere", here())), errno == EBUSY || errno == EXDEV);
	REFUSED(rename("file", path), errno == EBUSY || errno == EXDEV || errno == EISDIR);
	ERR(mkdir(path, 0755), EEXIST);
	ERR(mkdir(text("%s/", path), 0755), EEXIST);
	ERR(symlink("x", path), EEXIST);
	ERR(mkfifo(path, 0644), EEXIST);
	ERR(open(path, O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	ERR(open(path, O_WRONLY), EISDIR);
	REFUSED(link(path, "hard"), errno == EPERM || errno == EXDEV);
	OK(access(path, R_OK | X_OK));
}

int main(void)
{
	static const char *const third[] = {"/unreal/unreal/unreal", "/unreal/unreal/unreal/etc", "/unreal/unreal/unreal/"};
	struct stat s;
	char *where = here();

	IS(loaded());
	put("file", "");
	EQ(lists("/", "unreal"), 1);
	EQ(lists("/unreal", "unreal"), 1);
	EQ(lists("/unreal/unreal", "unreal"), 0);
	EQ(lists("/unreal", "etc"), 1);
	EQ(lists("/unreal/unreal", "etc"), 1);
	EQ(lists("/etc", "unreal"), 0);
	same("/unreal", "/");
	same("/unreal/unreal", "/");
	same("/unreal/etc", "/etc");
	same("/unreal/unreal/etc/passwd", "/etc/passwd");
	for (int k = 0; k < 3; k++) {
		ERR(stat(third[k], &s), ENOENT);
		ERR(open(third[k], O_RDONLY), ENOENT);
		ERR(chdir(third[k]), ENOENT);
	}
	ERR(open("/unreal/nothing", O_RDONLY), ENOENT);
	ERR(stat("/unrea", &s), ENOENT);
	ERR(stat("/unreally", &s), ENOENT);
	ERR(stat("/unreal/etc/passwd/x", &s), ENOTDIR);

	same("/unreal/..", "/");
	same("/unreal/unreal/..", "/unreal");
	same("/unreal/unreal/../../etc", "/etc");
	same("/unreal/../../../unreal/etc", "/etc");
	OK(chdir("/unreal/unreal"));
	SAME(here(), "/unreal/unreal");
	OK(chdir(".."));
	SAME(here(), "/unreal");
	ERR(chdir("unreal/unreal"), ENOENT);
	OK(chdir("etc/.."));
	SAME(here(), "/unreal");
	OK(chdir(".."));
	SAME(here(), "/");
	OK(chdir(".."));
	SAME(here(), "/");
	OK(chdir("unreal/etc/../../unreal/unreal/etc"));
	SAME(here(), "/unreal/unreal/etc");
	same("passwd", "/etc/passwd");
	int fd = OK(open("/unreal", O_RDONLY | O_DIRECTORY));
	OK(fstatat(fd, "unreal/etc", &s, 0));
	ERR(fstatat(fd, "unreal/unreal", &s, 0), ENOENT);
	OK(fstatat(fd, "../etc", &s, 0));
	OK(fstatat(fd, "../unreal", &s, 0));
	OK(fchdir(fd));
	SAME(here(), "/unreal");
	SAME(target(text("/proc/self/fd/%d", fd)), "/unreal");

	OK(chdir(where));
	busy("/unreal");
	busy("/unreal/unreal");
	same(where, where + strlen(prefix()));
	OK(chdir("/"));
	REFUSED(rmdir("unreal"), errno == EBUSY);
	REFUSED(rename("unreal", "unreal2"), errno == EBUSY);
	OK(access("/unreal/unreal/etc/passwd", R_OK));
	return 0;
}
