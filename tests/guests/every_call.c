/* SPDX-License-Identifier: GPL-2.0-or-later
 * Every call that names a file, by an absolute name of this world, relative to the cwd and to a
 * descriptor: it acts on that file and on no other, or is ENOSYS where it is allowed to be. */
#include "guest.h"
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static char *where, path[PATH_MAX];
static int dir = AT_FDCWD; /* what names of the *at calls are relative to */
static const char *lead;   /* what is put before names: "", "./", "/unreal/tmp/x/" */

static const char *at(const char *name)
{
	static char names[4][PATH_MAX];
	static int next;

	next = (next + 1) % 4;
	snprintf(names[next], PATH_MAX, "%s%s", lead, name);
	return names[next];
}

static struct stat now(const char *name)
{
	struct stat s;

	OK(lstat(text("%s/%s", where, name), &s));
	return s;
}

static void named(void)
{
	struct stat s;
	struct statfs fs;
	char buffer[100];

	int fd = OK(creat(at("f"), 0640));
	EQ(write(fd, "12345", 5), 5);
	close(fd);
	EQ(now("f").st_size, 5);
	close(OK(open(at("f"), O_RDWR)));
	OK(stat(at("f"), &s));
	EQ(s.st_ino, now("f").st_ino);
	OK(lstat(at("f"), &s));
	OK(access(at("f"), W_OK));
	OK(truncate(at("f"), 3));
	EQ(now("f").st_size, 3);
	OK(chmod(at("f"), 0604));
	EQ(now("f").st_mode & 07777, 0604);
	OK(chown(at("f"), -1, getgid()));
	OK(lchown(at("f"), getuid(), -1));
	OK(utime(at("f"), &(struct utimbuf){10, 11}));
	EQ(now("f").st_mtim.tv_sec, 11);
	OK(utimes(at("f"), (struct timeval[2]){{12, 0}, {13, 0}}));
	EQ(now("f").st_mtim.tv_sec, 13);
	OK(link(at("f"), at("g")));
	EQ(now("f").st_nlink, 2);
	OK(rename(at("g"), at("h")));
	OK(unlink(at("h")));
	EQ(now("f").st_nlink, 1);
	OK(symlink("f", at("l")));
	EQ(readlink(at("l"), buffer, 100), 1);
	OK(mkdir(at("d"), 0700));
	EQ(now("d").st_mode & 0777, 0700);
	OK(chdir(at("d")));
	OK(chdir(where));
	OK(mkfifo(at("p"), 0600));
	IS(S_ISFIFO(now("p").st_mode));
	OK(mknod(at("n"), S_IFREG | 0600, 0));
	IS(S_ISREG(now("n").st_mode));
	ERR(mknod(at("c"), S_IFCHR | 0600, 0x103), EPERM);
	OK(statfs(at("f"), &fs));
	IS(fs.f_bsize > 0);
	if (setxattr(at("f"), "user.k", "v", 1, 0)) {
		IS(errno == EOPNOTSUPP);
	} else {
		EQ(getxattr(at("f"), "user.k", buffer, 100), 1);
		EQ(listxattr(at("f"), buffer, 100), 7);
		EQ(lgetxattr(at("f"), "user.k", buffer, 100), 1);
		EQ(llistxattr(at("f"), buffer, 100), 7);
		OK(lsetxattr(at("f"), "user.m", "w", 1, 0));
		OK(removexattr(at("f"), "user.k"));
		OK(lremovexattr(at("f"), "user.m"));
		ERR(getxattr(at("f"), "user.k", buffer, 100), ENODATA);
	}
	int watch = OK(inotify_init1(0));
	OK(inotify_add_watch(watch, at("f"), IN_ATTRIB));
	close(watch);
	ERR(chroot(at("d")), EPERM);
	ERR(swapon(at("f"), 0), EPERM);
	ERR(acct(at("f")), EPERM);
	OK(unlink(at("f")));
	OK(unlink(at("l")));
	OK(unlink(at("p")));
	OK(unlink(at("n")));
	OK(rmdir(at("d")));
}

static void at_named(void)
{
	struct stat s;
	struct statx x;
	char buffer[100];
	struct timespec times[2] = {{20, 5}, {21, 6}};

	close(OK(openat(dir, at("f"), O_CREAT | O_WRONLY, 0640)));
	OK(fstatat(dir, at("f"), &s, 0));
	EQ(s.st_ino, now("f").st_ino);
	OK(statx(dir, at("f"), AT_STATX_SYNC_AS_STAT, STATX_ALL, &x));
	EQ(x.stx_ino, now("f").st_ino);
	EQ(syscall(SYS_faccessat, dir, at("f"), W_OK), 0);
	OK(faccessat(dir, at("f"), R_OK, AT_EACCESS));
	OK(fchmodat(dir, at("f"), 0604, 0));
	EQ(now("f").st_mode & 07777, 0604);
	if (syscall(452, dir, at("f"), 0640, 0)) /* fchmodat2 */
		EQ(errno, ENOSYS);
	else
		EQ(now("f").st_mode & 07777, 0640);
	OK(fchownat(dir, at("f"), -1, getgid(), 0));
	OK(utimensat(dir, at("f"), times, 0));
	EQ(now("f").st_mtim.tv_sec, 21);
	OK(syscall(SYS_futimesat, dir, at("f"), (struct timeval[2]){{22, 0}, {23, 0}}));
	EQ(now("f").st_mtim.tv_sec, 23);
	OK(linkat(dir, at("f"), dir, at("g"), 0));
	EQ(now("f").st_nlink, 2);
	OK(renameat(dir, at("g"), dir, at("h")));
	OK(syscall(SYS_renameat2, dir, at("h"), dir, at("g"), 1));
	ERR(syscall(SYS_renameat2, dir, at("g"), dir, at("f"), 1), EEXIST);
	OK(symlinkat("f", dir, at("l")));
	EQ(readlinkat(dir, at("l"), buffer, 100), 1);
	OK(syscall(SYS_renameat2, dir, at("g"), dir, at("l"), 2)); /* exchanged */
	IS(S_ISLNK(now("g").st_mode) && S_ISREG(now("l").st_mode));
	OK(mkdirat(dir, at("d"), 0700));
	OK(mkfifoat(dir, at("p"), 0600));
	IS(S_ISFIFO(now("p").st_mode));
	char handle[200] = {64};
	int mount;
	if (syscall(SYS_name_to_handle_at, dir, at("f"), handle, &mount, 0))
		IS(errno == EOPNOTSUPP || errno == ENOSYS || errno == EOVERFLOW);
	int tree = syscall(SYS_open_tree, dir, at("d"), 0);
	if (tree >= 0) {
		OK(fstat(tree, &s));
		EQ(s.st_ino, now("d").st_ino);
		close(tree);
	} else {
		IS(errno == ENOSYS || errno == EPERM);
	}
	errno = 0;
	if (syscall(463, dir, at("f"), 0, "user.k", NULL, 0) == -1) /* setxattrat */
		IS(errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP);
	OK(unlinkat(dir, at("f"), 0));
	OK(unlinkat(dir, at("g"), 0));
	OK(unlinkat(dir, at("l"), 0));
	OK(unlinkat(dir, at("p"), 0));
	OK(unlinkat(dir, at("d"), AT_REMOVEDIR));
	ERR(openat(999, at("f"), O_RDONLY), *lead == '/' ? ENOENT : EBADF);
}

int main(void)
{
	umask(022);
	where = here();
	snprintf(path, sizeof path, "%s/", where);
	OK(mkdir("elsewhere", 0755));
	int fd = OK(open(".", O_RDONLY | O_DIRECTORY));
	for (int round = 0; round < 4; round++) {
		lead = (const char *[]){"", "./", "elsewhere/../", path}[round];
		named();
		dir = AT_FDCWD;
		at_named();
		dir = fd;
		OK(chdir(round == 3 ? "/" : "elsewhere"));
		at_named();
		OK(chdir(where));
	}
	return 0;
}
