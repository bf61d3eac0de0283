/* SPDX-License-Identifier: GPL-2.0-or-later
 * One file, one identity: stat, lstat, fstat, statx and getdents agree on device and inode, hard
 * links are known as such; a directory is listed whole while its files go, and again after
 * rewinddir; permissions and umask are those of the caller. */
#include "guest.h"
#include <dirent.h>

static void agree(const char *name)
{
	struct stat s, l, f;
	struct statx x;
	int fd = OK(open(name, O_RDONLY | O_NONBLOCK));

	OK(stat(name, &s));
	OK(lstat(name, &l));
	OK(fstat(fd, &f));
	OK(statx(AT_FDCWD, name, 0, STATX_ALL, &x));
	close(fd);
	if (s.st_ino != l.st_ino || s.st_ino != f.st_ino || s.st_ino != x.stx_ino)
		FAIL("%s: inodes %ld %ld %ld %lld", name, s.st_ino, l.st_ino, f.st_ino, x.stx_ino);
	if (s.st_dev != l.st_dev || s.st_dev != f.st_dev)
		FAIL("%s: devices %lx %lx %lx", name, s.st_dev, l.st_dev, f.st_dev);
	IS(s.st_mtim.tv_nsec == f.st_mtim.tv_nsec && s.st_mode == f.st_mode && s.st_size == f.st_size);
}

int main(void)
{
	struct stat s, t;
	struct dirent *e;
	int count;

	umask(027);
	OK(mkdir("d", 0777));
	OK(stat("d", &s));
	EQ(s.st_mode & 0777, 0750);
	for (int n = 0; n < 500; n++)
		close(OK(open(text("d/file-number-%d", n), O_CREAT | O_WRONLY, 0666)));
	OK(stat("d/file-number-7", &s));
	EQ(s.st_mode & 0777, 0640);
	agree("d");
	agree("d/file-number-3");
	agree(text("%s/etc/passwd", prefix()));
	agree(text("%s/", prefix()));
	agree(text("%s/usr", prefix()));
	OK(link("d/file-number-1", "twin"));
	OK(stat("twin", &s));
	OK(stat("d/file-number-1", &t));
	IS(s.st_ino == t.st_ino && s.st_dev == t.st_dev && s.st_nlink == 2);
	OK(unlink("twin"));

	DIR *dir = opendir(text("%s/d", here()));
	for (count = 0; (e = readdir(dir)); count++) {
		if (*e->d_name == '.')
			continue;
		OK(fstatat(dirfd(dir), e->d_name, &s, 0));
		EQ(s.st_ino, e->d_ino);
		EQ(e->d_type, DT_REG);
	}
	EQ(count, 502);
	rewinddir(dir);
	for (count = 0; (e = readdir(dir));) /* unlinked while listed */
		if (*e->d_name != '.') {
			OK(unlinkat(dirfd(dir), e->d_name, 0));
			count++;
		}
	EQ(count, 500);
	closedir(dir);
	int fd = OK(open("d", O_RDONLY)), file = OK(open("/etc/passwd", O_RDONLY));
	char buffer[1000];
	ERR(syscall(SYS_getdents64, fd, buffer, 1), EINVAL);
	ERR(syscall(SYS_getdents64, file, buffer, 1000), ENOTDIR);
	IS(syscall(SYS_getdents64, fd, buffer, 1000) > 0);
	EQ(syscall(SYS_getdents64, fd, buffer, 1000), 0);
	OK(rmdir("d"));

	put("f", "1");
	OK(chmod("f", 0));
	if (getuid()) {
		ERR(open("f", O_RDONLY), EACCES);
		ERR(access("f", R_OK), EACCES);
		ERR(open(text("%s/etc/shadow", prefix()), O_RDONLY), EACCES);
		ERR(open(text("%s/etc/passwd", prefix()), O_WRONLY), EACCES);
		ERR(mkdir(text("%s/etc/d", prefix()), 0755), EACCES);
		ERR(unlink(text("%s/etc/passwd", prefix())), EACCES);
		ERR(chmod(text("%s/etc/passwd", prefix()), 0777), EPERM);
		OK(mkdir("closed", 0600));
		ERR(stat("closed/x", &s), EACCES);
		ERR(mkdir("closed/x", 0755), EACCES);
		ERR(mkdir(text("%s/nodir", prefix()), 0755), EACCES);
	}
	return 0;
}
