/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the guests that debug others use. */
#ifndef DEBUG_H
#define DEBUG_H
#include "guest.h"
#include <linux/ptrace.h>
#include <stddef.h>
#include <sys/user.h>

/* What tells a view that this program may call ptrace: the name that it imports. */
extern long ptrace(int request, ...);
__attribute__((used)) static long (*const imported)(int, ...) = ptrace;

/* The raw call: PEEK stores at `data`, and -1 is an error only. */
__attribute__((unused)) static long pt(long request, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, request, (long)pid, addr, data);
}
#define AT(pointer) ((unsigned long)(uintptr_t)(pointer))

/* The next thing wait4(2) tells of `pid`; a deadline, for a test must end. */
__attribute__((unused)) static int told_of(pid_t pid)
{
	int status;

	alarm(20);
	EQ(waitpid(pid, &status, __WALL), pid);
	alarm(0);
	return status;
}

/* It must be this stop: a signal, with an event above it. */
#define STOPS(pid, code) \
	do { int s_ = told_of(pid); \
	     if (s_ != (((code) << 8) | 0x7f)) FAIL("%s: wait status %#x, not a stop %#x", #pid, s_, (code)); } while (0)
#define EVENT(event) (SIGTRAP | (event) << 8)
#define CALL_STOP (SIGTRAP | 0x80)
#define ENDS(pid, status) \
	do { int s_ = told_of(pid); \
	     if (s_ != (status)) FAIL("%s: wait status %#x, not the end %#x", #pid, s_, (status)); } while (0)

__attribute__((unused)) static struct user_regs_struct regs(pid_t pid)
{
	struct user_regs_struct r;

	OK(pt(PTRACE_GETREGS, pid, 0, AT(&r)));
	return r;
}

__attribute__((unused)) static unsigned long event_message(pid_t pid)
{
	unsigned long message = 0;

	OK(pt(PTRACE_GETEVENTMSG, pid, 0, AT(&message)));
	return message;
}

/* A C string in the tracee. */
__attribute__((unused)) static char *text_at(pid_t pid, unsigned long at)
{
	char *text = calloc(1, PATH_MAX + 8);

	for (size_t i = 0; i < PATH_MAX; i += 8) {
		OK(pt(PTRACE_PEEKDATA, pid, at + i, AT(text + i)));
		if (memchr(text + i, 0, 8))
			break;
	}
	return text;
}

/* A child that asks to be traced, stops itself and then runs `body`. */
__attribute__((unused)) static pid_t tracee(void (*body)(void))
{
	pid_t child = OK(fork());

	if (!child) {
		OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
		syscall(SYS_kill, getpid(), SIGSTOP);
		body();
		_exit(0);
	}
	STOPS(child, SIGSTOP);
	return child;
}

/* A child that does not. */
__attribute__((unused)) static pid_t other(void (*body)(void))
{
	pid_t child = OK(fork());

	if (!child) {
		body();
		_exit(0);
	}
	return child;
}
#endif
