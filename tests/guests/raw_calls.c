/* SPDX-License-Identifier: GPL-2.0-or-later
 * A program that makes its calls itself, on a stack of 512 bytes between guard pages, as Go does:
 * no room below rsp, no libc, clone for threads, exec from there. */
#include "guest.h"
#include <sched.h>
#include <sys/mman.h>

enum { ROOM = 512 };
static char *low; /* of the page that holds the small stack */

/* The call on the small stack: rsp is `ROOM` bytes above an unmapped page. */
static long raw(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
	register char *stack __asm__("r12") = low + ROOM;
	long value;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %%r12, %%rsp\n\tsyscall\n\tmov %%rbx, %%rsp"
			 : "=a"(value)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(stack)
			 : "rbx", "rcx", "r11", "memory");
	return value;
}

/* Like raw with rsp at the very bottom of the mapped page, and one with rsp = 8 (no stack). */
static long raw_at(char *at, long number, long a, long b, long c)
{
	register char *stack __asm__("r12") = at;
	long value;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %%r12, %%rsp\n\tsyscall\n\tmov %%rbx, %%rsp"
			 : "=a"(value) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(stack)
			 : "rbx", "rcx", "r11", "memory");
	return value;
}

static int word;
static int thread(void *unused)
{
	struct stat s;

	(void)unused;
	word = syscall(SYS_stat, "r", &s) ? -errno : (int)s.st_size;
	return 0;
}

int main(int argc, char **argv)
{
	struct stat s;
	int status;
	const char *absolute = text("%s/etc/passwd", prefix());

	if (argc > 1)
		return strcmp(argv[1], "executed") ? 1 : 42;
	low = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	IS(low != MAP_FAILED);
	low += 4096;
	OK(mprotect(low, 4096, PROT_READ | PROT_WRITE));
	memset(low, 0x5a, 4096);

	long fd = raw(SYS_open, (long)"r", O_CREAT | O_RDWR, 0644, 0, 0);
	if (fd < 0)
		FAIL("open: %ld", fd);
	EQ(raw(SYS_write, fd, (long)"12345", 5, 0, 0), 5);
	EQ(raw(SYS_close, fd, 0, 0, 0, 0), 0);
	EQ(raw(SYS_stat, (long)"r", (long)&s, 0, 0, 0), 0);
	EQ(s.st_size, 5);
	EQ(raw(SYS_newfstatat, AT_FDCWD, (long)absolute, (long)&s, 0, 0), 0);
	EQ(raw(SYS_openat, AT_FDCWD, (long)"nothing", 0, 0, 0), -ENOENT);
	EQ(raw(SYS_mkdirat, AT_FDCWD, (long)"d", 0755, 0, 0), 0);
	EQ(raw(SYS_renameat2, AT_FDCWD, (long)"d", AT_FDCWD, (long)"e", 0), 0);
	EQ(raw(SYS_symlink, (long)"r", (long)"l", 0, 0, 0), 0);
	EQ(raw(SYS_chdir, (long)"e", 0, 0, 0, 0), 0);
	EQ(raw(SYS_chdir, (long)"..", 0, 0, 0, 0), 0);
	for (char *at = low; at <= low + 256; at += 8) {
		EQ(raw_at(at, SYS_stat, (long)absolute, (long)&s, 0), 0);
		fd = raw_at(at, SYS_open, (long)absolute, O_RDONLY, 0);
		if (fd < 0)
			FAIL("open with %ld bytes of stack: %ld", (long)(at - low), fd);
		close(fd);
		EQ(raw_at(at, SYS_access, (long)absolute, R_OK, 0), 0);
	}
	static char *const odd[] = {NULL, (char *)8, (char *)-8, (char *)0x7ffffffff000};
	for (int k = 0; k < 4; k++) {
		EQ(raw_at(odd[k], SYS_stat, (long)absolute, (long)&s, 0), 0);
		EQ(raw_at(odd[k], SYS_access, (long)absolute, R_OK, 0), 0);
		fd = raw_at(odd[k], SYS_open, (long)absolute, O_RDONLY, 0);
		if (fd < 0)
			FAIL("open with rsp %p: %ld", odd[k], fd);
		close(fd);
		EQ(raw_at(odd[k], SYS_link, (long)"r", (long)"r2", 0), 0);
		EQ(raw_at(odd[k], SYS_rename, (long)"r2", (long)"r3", 0), 0);
		EQ(raw_at(odd[k], SYS_unlink, (long)"r3", 0, 0), 0);
	}
	for (int k = 0; k < 4096; k++)
		if (low[k] != 0x5a && k >= ROOM)
			FAIL("byte %d above the small stack was changed", k);

	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t child = OK(clone(thread, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL));
	EQ(waitpid(child, &status, 0), child);
	EQ(word, 5);

	char *self = target("/proc/self/exe");
	for (int k = 0; k < 5; k++) { /* exec from the small stack, and from none */
		child = OK(fork());
		if (!child) {
			char *arguments[] = {argv[0], "executed", NULL};
			long error = raw_at(k ? odd[k - 1] : low + 64, SYS_execve, (long)self, (long)arguments, 0);
			FAIL("execve: %ld", error);
		}
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 42 << 8);
	}
	return 0;
}
