/* SPDX-License-Identifier: GPL-2.0-or-later
 * Call numbers that the kernel does not have are ENOSYS.  Where unreal is loaded, the x32 numbers
 * and the 32-bit entry are ENOSYS too: they must not lead out of the view.  Elsewhere they do what
 * this kernel does. */
#include "guest.h"

static long int80(long number, long a, long b)
{
	long value;

	__asm__ volatile("int $0x80" : "=a"(value) : "0"(number), "b"(a), "c"(b)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)value;
}

static void old_entry(void)
{
	long pid = int80(20, 0, 0); /* getpid there, writev here */

	if (loaded()) {
		EQ(pid, -ENOSYS);
		char low[] = "escaped";
		IS(int80(39, (long)low, 0755) < 0);
		IS(access("escaped", F_OK));
	} else if (pid != -ENOSYS) {
		EQ(pid, getpid());
	}
}

int main(void)
{
	static const long unknown[] = {9999, 600, 1000, 512, 547, 4095, 65535, 0x3fffffff, 0x7fffffff, -1, -5, -1000};
	int status;

	for (unsigned k = 0; k < sizeof unknown / sizeof *unknown; k++) {
		errno = 0;
		long value = syscall(unknown[k], 1, 2, 3, 4, 5, 6);
		if (value != -1 || errno != ENOSYS)
			FAIL("call %ld gives %ld, errno %s", unknown[k], value, strerrorname_np(errno));
	}
	static const long x32[] = {SYS_getpid, SYS_open, SYS_stat, SYS_mkdir, 512, 520};
	for (unsigned k = 0; k < sizeof x32 / sizeof *x32; k++) {
		errno = 0;
		long value = syscall(x32[k] | 0x40000000, "escaped", 0755, 0);
		if (loaded() && (value != -1 || errno != ENOSYS))
			FAIL("x32 call %ld gives %ld, errno %s", x32[k], value, strerrorname_np(errno));
		if (!loaded() && x32[k] == SYS_getpid && value != getpid() && errno != ENOSYS)
			FAIL("x32 getpid gives %ld, errno %s", value, strerrorname_np(errno));
	}
	if (loaded())
		ERR(access("escaped", F_OK), ENOENT);
	else
		rmdir("escaped");
	pid_t child = OK(fork()); /* a kernel without the 32-bit entry kills with SIGSEGV */
	if (!child) {
		old_entry();
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV))
		FAIL("int 0x80: wait status %#x", status);
	struct stat s;
	OK(stat(".", &s));
	return 0;
}
