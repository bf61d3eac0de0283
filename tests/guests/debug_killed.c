/* SPDX-License-Identifier: GPL-2.0-or-later
 * debug_killed: tracees and debuggers are killed at any moment; nobody hangs, nobody is left over. */
#include "debug.h"

#define ROUNDS 60

static void busy(void)
{
	char name[PATH_MAX];
	struct stat st;
	int status;

	snprintf(name, sizeof name, "%s/etc/passwd", prefix());
	for (;;) {
		close(open(name, O_RDONLY));
		stat(name, &st);
		raise(SIGUSR1);
		pid_t child = fork();
		if (!child)
			_exit(0);
		if (child > 0)
			waitpid(child, &status, 0);
	}
}

/* A debugger that follows all calls of a busy process and its children. */
static void debugs(pid_t pid, unsigned long options)
{
	if (pt(PTRACE_SEIZE, pid, 0, options | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
	       PTRACE_O_TRACEEXIT) || pt(PTRACE_INTERRUPT, pid, 0, 0))
		_exit(errno == ESRCH || errno == EPERM ? 0 : 1);   /* killed already */
	for (;;) {
		int status;
		pid_t who = waitpid(-1, &status, __WALL);
		if (who < 0)
			_exit(errno == ECHILD ? 0 : 1);
		if (WIFSTOPPED(status) && pt(PTRACE_SYSCALL, who, 0, 0) < 0 && errno != ESRCH)
			FAIL("SYSCALL: %s", strerrorname_np(errno));
		if (who == pid && !WIFSTOPPED(status))
			_exit(0);
	}
}

int main(void)
{
	int status, ends[2];

	signal(SIGUSR1, SIG_IGN);            /* a debugger hears of it all the same */
	OK(pipe2(ends, O_CLOEXEC));
	for (int i = 0; i < ROUNDS; i++) {
		int natural = i / 2 % 2, exitkill = i % 3 == 0;
		pid_t pid = natural ? 0 : other(busy);
		pid_t debugger = OK(fork());
		if (!debugger) {
			if (natural)
				pid = other(busy);
			IS(write(ends[1], &pid, sizeof pid) == sizeof pid);
			debugs(pid, exitkill ? PTRACE_O_EXITKILL : 0);
		}
		IS(read(ends[0], &pid, sizeof pid) == sizeof pid);
		pause_ms(i % 10);
		if (i % 2)
			OK(kill(pid, SIGKILL));      /* the debugger sees it go */
		else
			OK(kill(debugger, SIGKILL));
		ENDS(debugger, i % 2 ? 0 : SIGKILL);
		if (i % 2 == 0)
			kill(pid, SIGKILL);
		alarm(20);
		while (waitpid(-1, &status, 0) > 0)
			;
		alarm(0);
		EQ(errno, ECHILD);
	}
}
