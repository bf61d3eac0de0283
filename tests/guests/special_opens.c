/* SPDX-License-Identifier: GPL-2.0-or-later
 * O_PATH, AT_EMPTY_PATH, O_TMPFILE with linkat, O_DIRECTORY, openat2, lowest descriptors, CLOEXEC,
 * and a file that lives on without its name. */
#include "guest.h"
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/xattr.h>

int main(void)
{
	struct stat s, t;
	char *where = here(), buffer[100];

	put("f", "content");
	OK(mkdir("d", 0755));
	OK(stat("f", &t));
	int fd = OK(open(text("%s/f", where), O_PATH));
	ERR(read(fd, buffer, 1), EBADF);
	OK(fstat(fd, &s));
	EQ(s.st_ino, t.st_ino);
	OK(fstatat(fd, "", &s, AT_EMPTY_PATH));
	EQ(s.st_ino, t.st_ino);
	ERR(fstatat(fd, "", &s, 0), ENOENT);
	ERR(fstatat(fd, "x", &s, 0), ENOTDIR);
	struct statx x;
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x));
	EQ(x.stx_ino, t.st_ino);
	EQ(OK(faccessat(AT_FDCWD, text("/proc/self/fd/%d", fd), R_OK, 0)), 0);
	int again = OK(open(text("/proc/self/fd/%d", fd), O_RDONLY));
	EQ(read(again, buffer, 100), 7);
	SAME(target(text("/proc/self/fd/%d", fd)), text("%s/f", where));
	OK(fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH));
	OK(stat(".", &t));
	EQ(s.st_ino, t.st_ino);
	int dir = OK(open("d", O_PATH | O_DIRECTORY));
	int in = OK(openat(dir, "made", O_CREAT | O_RDWR, 0644));
	SAME(target(text("/proc/self/fd/%d", in)), text("%s/d/made", where));
	OK(fstatat(dir, "../f", &s, 0));
	ERR(open("f", O_PATH | O_DIRECTORY), ENOTDIR);
	ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	ERR(open("d", O_WRONLY), EISDIR);
	ERR(open("d", O_RDWR | O_CREAT, 0644), EISDIR);

	OK(rename("d", "moved")); /* descriptors follow what they are open on */
	in = OK(openat(dir, "second", O_CREAT | O_RDWR, 0644));
	SAME(target(text("/proc/self/fd/%d", dir)), text("%s/moved", where));
	OK(access("moved/second", F_OK));

	int unnamed = open("moved", O_TMPFILE | O_RDWR, 0640);
	if (unnamed < 0 && errno != EOPNOTSUPP && errno != EISDIR)
		FAIL("O_TMPFILE: %s", strerrorname_np(errno));
	if (unnamed >= 0) {
		EQ(write(unnamed, "temporary", 9), 9);
		OK(linkat(AT_FDCWD, text("/proc/self/fd/%d", unnamed), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
		SAME(get("named"), "temporary");
		OK(fstat(unnamed, &s));
		OK(stat("named", &t));
		EQ(s.st_ino, t.st_ino);
		EQ(t.st_mode & 0777, 0640);
	}

	int open_ = OK(open("f", O_RDWR));
	OK(unlink("f"));
	EQ(pwrite(open_, "C", 1, 0), 1);
	OK(ftruncate(open_, 4));
	OK(fstat(open_, &s));
	EQ(s.st_size, 4);
	EQ(s.st_nlink, 0);
	OK(fchmod(open_, 0600));
	EQ(pread(open_, buffer, 100, 0), 4);
	IS(!memcmp(buffer, "Cont", 4));

	struct open_how how = {.flags = O_CREAT | O_RDWR, .mode = 0644};
	int second = syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof how);
	if (second < 0 && errno != ENOSYS)
		FAIL("openat2: %s", strerrorname_np(errno));
	if (second >= 0) {
		OK(access("how", F_OK));
		how = (struct open_how){.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
		ERR(syscall(SYS_openat2, dir, "../how", &how, sizeof how), EXDEV);
		ERR(syscall(SYS_openat2, dir, "/etc/passwd", &how, sizeof how), EXDEV);
		OK(syscall(SYS_openat2, dir, "second", &how, sizeof how));
	}

	int lowest = OK(dup(0));
	close(lowest);
	EQ(OK(open("moved", O_RDONLY | O_CLOEXEC)), lowest);
	EQ(fcntl(lowest, F_GETFD), FD_CLOEXEC);
	EQ(OK(open("named", O_RDONLY | O_CREAT, 0644)), lowest + 1);
	EQ(fcntl(lowest + 1, F_GETFD), 0);
	IS((fcntl(lowest + 1, F_GETFL) & O_ACCMODE) == O_RDONLY);
	struct rlimit limit = {lowest + 2, lowest + 2};
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	ERR(open("named", O_RDONLY), EMFILE);
	ERR(open("not-made", O_CREAT | O_WRONLY, 0644), EMFILE);
	close(lowest);
	EQ(OK(open("named", O_RDONLY)), lowest);
	return 0;
}
