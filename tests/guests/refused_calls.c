/* SPDX-License-Identifier: GPL-2.0-or-later
 * Calls that a view refuses, and others that it lets run, for those who watch: test_trace.py. */
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

int main(void)
{
	long value;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};

	ERR(syscall(425, 1, NULL), ENOSYS); /* io_uring_setup */
	ERR(syscall(428, -100, "/", 0), ENOSYS); /* open_tree */
	ERR(syscall(430, "tmpfs", 0), ENOSYS); /* fsopen */
	ERR(syscall(9999, 1, 2, 3, 4, 5, 6), ENOSYS);
	ERR(syscall(0x40000000 | 39), ENOSYS); /* x32 */
	__asm__ volatile("int $0x80" : "=a"(value) : "0"(20L) : "r8", "r9", "r10", "r11", "memory");
	EQ((int)value, -ENOSYS);
	OK(mkdir("made", 0755));
	OK(chdir("made"));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	ERR(syscall(SYS_getppid), ENOSYS);
	return 0;
}
