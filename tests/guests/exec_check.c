/* SPDX-License-Identifier: GPL-2.0-or-later
 * execveat(AT_EXECVE_CHECK), of Linux 6.14, says whether a program could be executed, and no more. */
#include "guest.h"

#define CHECK 0x10000

int main(void)
{
	char *argv[] = {"x", NULL};

	put("x", "#!/bin/false\n");
	put("plain", "text");
	OK(chmod("plain", 0644));
	OK(symlink("x", "l"));
	if (syscall(SYS_execveat, AT_FDCWD, "x", argv, environ, CHECK) && errno == EINVAL)
		return 0; /* this kernel has no such thing */
	EQ(syscall(SYS_execveat, AT_FDCWD, "l", argv, environ, CHECK), 0);
	EQ(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, environ, CHECK), 0);
	EQ(syscall(SYS_execveat, AT_FDCWD, text("%s/bin/true", prefix()), argv, environ, CHECK), 0);
	ERR(syscall(SYS_execveat, AT_FDCWD, "plain", argv, environ, CHECK), EACCES);
	ERR(syscall(SYS_execveat, AT_FDCWD, "l", argv, environ, CHECK | AT_SYMLINK_NOFOLLOW), ELOOP);
	ERR(syscall(SYS_execveat, AT_FDCWD, "nothing", argv, environ, CHECK), ENOENT);
	ERR(syscall(SYS_execveat, AT_FDCWD, "x", argv, environ, 0x800), EINVAL);
	SAME(get("/proc/self/comm"), "exec_check\n");
	return 0;
}
