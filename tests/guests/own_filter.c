/* SPDX-License-Identifier: GPL-2.0-or-later
 * A program's own seccomp filter works as it wrote it: its errors, its kill, its no_new_privs, and
 * ENOSYS for what it leaves to a tracer that there is not. */
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void install(unsigned number, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		SKIP("seccomp is refused");
}

static void errors(void)
{
	install(SYS_mkdir, SECCOMP_RET_ERRNO | 98);
	ERR(syscall(SYS_mkdir, "d", 0755), 98);
	OK(syscall(SYS_mkdirat, AT_FDCWD, "d", 0755));
	OK(access("/etc/passwd", R_OK));
	put("f", "1");
	install(SYS_getppid, SECCOMP_RET_ERRNO | 99);
	ERR(syscall(SYS_getppid), 99);
	OK(chdir("d"));
	SAME(get("../f"), "1");
}

static void leaves_to_a_tracer(void)
{
	install(SYS_getppid, SECCOMP_RET_TRACE | 5);
	ERR(syscall(SYS_getppid), ENOSYS);
	install(SYS_mkdir, SECCOMP_RET_TRACE);
	ERR(syscall(SYS_mkdir, "left", 0755), ENOSYS);
	OK(syscall(SYS_mkdirat, AT_FDCWD, "left", 0755));
}

static void kills(void)
{
	install(SYS_uname, SECCOMP_RET_KILL_PROCESS);
	OK(access("/etc/passwd", R_OK));
	syscall(SYS_uname, 0);
}

int main(void)
{
	int status;

	in_child(errors);
	in_child(leaves_to_a_tracer);
	pid_t child = OK(fork());
	if (!child) {
		kills();
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	IS(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	return 0;
}
