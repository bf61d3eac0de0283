/* SPDX-License-Identifier: GPL-2.0-or-later
 * Names and buffers at the edge of what is mapped: a name may end with its page, an unterminated
 * one is EFAULT (or ENAMETOOLONG), and nothing is written where the caller may not write. */
#include "guest.h"
#include <sys/mman.h>
#include <sys/statfs.h>

static char *page(int protection)
{
	char *at = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	IS(at != MAP_FAILED);
	OK(mprotect(at + 4096, 4096, protection));
	return at + 4096;
}

int main(void)
{
	struct stat s;
	char *w = page(PROT_READ | PROT_WRITE), *r = page(PROT_READ), *none = page(PROT_NONE);
	char *name = text("%s/etc/passwd", prefix());
	size_t size = strlen(name) + 1;

	memcpy(w + 4096 - size, name, size); /* the NUL is the page's last byte */
	OK(stat(w + 4096 - size, &s));
	IS(S_ISREG(s.st_mode));
	int fd = OK(open(w + 4096 - size, O_RDONLY));
	close(fd);
	OK(access(w + 4096 - size, R_OK));
	memcpy(w + 4096 - size + 1, name, size - 1); /* the NUL is past it */
	ERR(stat(w + 4096 - size + 1, &s), EFAULT);
	ERR(open(w + 4096 - size + 1, O_RDONLY), EFAULT);
	ERR(mkdir(w + 4096 - size + 1, 0755), EFAULT);
	ERR(rename("x", w + 4096 - size + 1), EFAULT);
	char *rename_ = text("%s", name); /* two-path calls at both edges */
	ERR(link(rename_, w + 4096 - size + 1), EFAULT);

	static char *const bad[] = {NULL, (char *)8, (char *)-1, (char *)-4096, (char *)0x800000000000};
	for (int k = 0; k < 5; k++) {
		ERR(syscall(SYS_open, bad[k], O_RDONLY), EFAULT);
		ERR(syscall(SYS_stat, bad[k], &s), EFAULT);
		ERR(syscall(SYS_newfstatat, AT_FDCWD, bad[k], &s, 0), EFAULT);
		ERR(syscall(SYS_access, bad[k], R_OK), EFAULT);
		ERR(syscall(SYS_mkdir, bad[k], 0755), EFAULT);
		ERR(syscall(SYS_unlink, bad[k]), EFAULT);
		ERR(syscall(SYS_chdir, bad[k]), EFAULT);
		ERR(syscall(SYS_readlink, bad[k], w, 10), EFAULT);
		ERR(syscall(SYS_rename, bad[k], "x"), EFAULT);
		ERR(syscall(SYS_rename, "x", bad[k]), EFAULT);
		ERR(syscall(SYS_execve, bad[k], NULL, NULL), EFAULT);
		ERR(syscall(SYS_stat, name, bad[k]), EFAULT);
		ERR(syscall(SYS_getcwd, bad[k], 4096), EFAULT);
	}
	ERR(syscall(SYS_stat, none, &s), EFAULT);

	OK(symlink("target", "l"));
	ERR(syscall(SYS_stat, name, r), EFAULT);
	ERR(syscall(SYS_lstat, "l", r), EFAULT);
	ERR(syscall(SYS_readlink, "l", r, 100), EFAULT);
	ERR(syscall(SYS_readlink, "/proc/self/exe", r, 100), EFAULT);
	ERR(syscall(SYS_getcwd, r, 4096), EFAULT);
	ERR(syscall(SYS_statx, AT_FDCWD, name, 0, 0x7ff, r), EFAULT);
	ERR(syscall(SYS_statfs, name, r), EFAULT);
	for (int k = 0; k < 4096; k++)
		EQ(r[k], 0);

	char *end = w + 4096 - sizeof s; /* a buffer that just fits, and one that does not */
	EQ(syscall(SYS_stat, name, end), 0);
	ERR(syscall(SYS_stat, name, end + 8), EFAULT);
	memset(w, '#', 4096);
	EQ(syscall(SYS_readlink, "l", w + 4090, 6), 6);
	IS(!memcmp(w + 4090, "target", 6));
	EQ(syscall(SYS_readlink, "l", w + 100, 3), 3);
	IS(!memcmp(w + 100, "tar#", 4));
	EQ(syscall(SYS_readlink, "l", w + 200, 100), 6);
	IS(!memcmp(w + 200, "target#", 7)); /* no NUL, not a byte more */
	ERR(syscall(SYS_readlink, "l", w, 0), EINVAL);
	ERR(syscall(SYS_readlink, "l", w, -1), EINVAL);
	ERR(syscall(SYS_readlink, ".", w, 10), EINVAL);
	ERR(syscall(SYS_readlink, "l", w + 4092, 6), EFAULT);
	return 0;
}
