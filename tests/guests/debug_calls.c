/* SPDX-License-Identifier: GPL-2.0-or-later
 * debug_calls: a debugger sees each call of its tracee as the program made it, with the result that it
 * got here, and what it changes is obeyed. */
#include "debug.h"
#include <linux/audit.h>

static char file[64], none[64];

static void opens(void)
{
	struct stat st;

	IS(syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0) == 3);
	IS(syscall(SYS_openat, AT_FDCWD, none, O_RDONLY, 0) == -1 && errno == ENOENT);
	EQ(syscall(SYS_stat, file, &st), 0);
	EQ(chdir(prefix()[0] ? prefix() : "/"), 0);
}

/* Go on to the next stop around a call; what the kernel says of it. */
static struct ptrace_syscall_info step(pid_t pid)
{
	struct ptrace_syscall_info info;

	OK(pt(PTRACE_SYSCALL, pid, 0, 0));
	STOPS(pid, CALL_STOP);
	memset(&info, 0xff, sizeof info);
	OK(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, AT(&info)));
	return info;
}

static void goes_by(pid_t pid, int number, const char *name, long result)
{
	struct ptrace_syscall_info in = step(pid), out;

	EQ(in.op, PTRACE_SYSCALL_INFO_ENTRY);
	EQ(in.arch, AUDIT_ARCH_X86_64);
	EQ(in.entry.nr, number);
	EQ(event_message(pid), PTRACE_EVENTMSG_SYSCALL_ENTRY);
	EQ((long)regs(pid).rax, -ENOSYS);
	SAME(text_at(pid, in.entry.args[number == SYS_openat]), name);
	out = step(pid);
	EQ(out.op, PTRACE_SYSCALL_INFO_EXIT);
	EQ(out.exit.rval, result);
	EQ(out.exit.is_error, result < 0);
	EQ(event_message(pid), PTRACE_EVENTMSG_SYSCALL_EXIT);
	EQ((long)regs(pid).orig_rax, number);
	EQ((long)regs(pid).rax, result);
	EQ(out.instruction_pointer, in.instruction_pointer);
}

static void sees_calls(void)
{
	pid_t pid = tracee(opens);

	OK(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	goes_by(pid, SYS_openat, file, 3);
	goes_by(pid, SYS_openat, none, -ENOENT);
	goes_by(pid, SYS_stat, file, 0);
	goes_by(pid, SYS_chdir, prefix()[0] ? prefix() : "/", 0);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 0);
}

static void opens_none(void)
{
	IS(syscall(SYS_openat, AT_FDCWD, none, O_RDONLY, 0) == 3);
	EQ(syscall(SYS_openat, AT_FDCWD, none, O_RDONLY, 0), getpid());
	errno = 0;
	IS(syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0) == -1 && errno == EXDEV);
	IS(syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0) == 77);
}

static void changes_calls(void)
{
	pid_t pid = tracee(opens_none);
	struct user_regs_struct r;

	OK(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	step(pid);                       /* another name */
	r = regs(pid);
	r.rsi = AT(file);
	OK(pt(PTRACE_SETREGS, pid, 0, AT(&r)));
	EQ(step(pid).exit.rval, 3);
	EQ(regs(pid).rsi, AT(file));
	step(pid);                       /* another call */
	OK(pt(PTRACE_POKEUSR, pid, offsetof(struct user, regs.orig_rax), SYS_getpid));
	EQ(step(pid).exit.rval, pid);
	step(pid);                       /* getpid of the comparison */
	EQ(step(pid).exit.rval, pid);
	step(pid);                       /* none, and a result of its own */
	OK(pt(PTRACE_POKEUSR, pid, offsetof(struct user, regs.orig_rax), -1UL));
	step(pid);
	OK(pt(PTRACE_POKEUSR, pid, offsetof(struct user, regs.rax), (unsigned long)-EXDEV));
	step(pid);                       /* another result */
	EQ(step(pid).op, PTRACE_SYSCALL_INFO_EXIT);
	OK(pt(PTRACE_POKEUSR, pid, offsetof(struct user, regs.rax), 77));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 0);
}

/* SYSEMU: no call is run, the debugger answers all. */
static void emulates_calls(void)
{
	pid_t pid = tracee(opens);
	struct user_regs_struct r;

	OK(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	OK(pt(PTRACE_SYSEMU, pid, 0, 0));
	STOPS(pid, CALL_STOP);
	r = regs(pid);
	EQ(r.orig_rax, SYS_openat);
	r.rax = 3;
	OK(pt(PTRACE_SETREGS, pid, 0, AT(&r)));
	EQ(step(pid).exit.rval, 3);
	goes_by(pid, SYS_openat, none, -ENOENT);
	OK(pt(PTRACE_KILL, pid, 0, 0));
	ENDS(pid, SIGKILL);
}

static int count;

static void adds(void)
{
	asm volatile("movl $20, %%ecx\n1: incl %0\n decl %%ecx\n jnz 1b\n" : "+m"(count) : : "ecx");
	syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0);
}

static void steps(void)
{
	pid_t pid = tracee(adds);
	siginfo_t info;
	long steps = 0, before = 0, opened = 0;
	int word = 0;

	while (opened != 3 && steps++ < 20000) {
		struct user_regs_struct r = regs(pid);
		before = (long)r.rip;
		OK(pt(PTRACE_SINGLESTEP, pid, 0, 0));
		STOPS(pid, SIGTRAP);
		OK(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)));
		EQ(info.si_signo, SIGTRAP);
		IS(info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT);
		r = regs(pid);
		if ((long)r.rip - before == 2 && r.rsi == AT(file) && (int)r.rdi == AT_FDCWD)
			opened = (long)r.rax;    /* it has stepped over the call */
	}
	IS(steps < 20000);
	long value;
	OK(pt(PTRACE_PEEKDATA, pid, AT(&count), AT(&value)));
	memcpy(&word, &value, sizeof word);
	EQ(word, 20);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 0);
}

/* A debug register watches a word; the hit is SIGTRAP. */
static void watches(void)
{
	pid_t pid = tracee(adds);
	unsigned long at = offsetof(struct user, u_debugreg), hit;
	int hits = 0, status;

	if (pt(PTRACE_POKEUSR, pid, at, AT(&count)) < 0 ||
	    pt(PTRACE_POKEUSR, pid, at + 7 * 8, 0xd0101) < 0)
		SKIP("no debug registers here");
	for (;;) {
		OK(pt(PTRACE_CONT, pid, 0, 0));
		status = told_of(pid);
		if (WIFEXITED(status))
			break;
		EQ(WSTOPSIG(status), SIGTRAP);
		OK(pt(PTRACE_PEEKUSR, pid, at + 6 * 8, AT(&hit)));
		hits += hit & 1;
	}
	EQ(hits, 20);
}

int main(void)
{
	snprintf(file, sizeof file, "%s/etc/passwd", prefix());
	snprintf(none, sizeof none, "%s/etc/there is none", prefix());
	sees_calls();
	changes_calls();
	emulates_calls();
	steps();
	watches();
}
