/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * twostops COMMAND [ARG...] - run COMMAND and stop each of its tasks twice in every system call.
 *
 * The least that a tracer built on PTRACE_SYSCALL can cost: it looks at nothing and changes nothing.
 * Signals and job control pass through.  Exits as COMMAND does (128+signal when killed).
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

static pid_t start(char **argv)
{
	pid_t pid = fork();
	if (pid == 0) {
		raise(SIGSTOP);	/* until it is seized */
		execvp(argv[0], argv);
		err(errno == ENOENT ? 127 : 126, "%s", argv[0]);
	}
	if (pid < 0 || waitpid(pid, NULL, WUNTRACED) != pid)
		err(1, "fork");
	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
		err(1, "PTRACE_SEIZE");
	kill(pid, SIGCONT);
	return pid;
}

/* Let a stopped task go on until its next stop.  ESRCH (killed meanwhile) needs no care. */
static void resume(pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	int group_stop = sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;

	if (event == PTRACE_EVENT_STOP && group_stop)
		ptrace(PTRACE_LISTEN, pid, 0, 0);
	else if (event != 0 || sig == (SIGTRAP | 0x80))
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	else
		ptrace(PTRACE_SYSCALL, pid, 0, (long)sig);
}

int main(int argc, char **argv)
{
	pid_t first, pid;
	int status, result = 1;

	if (argc < 2)
		errx(2, "usage: twostops COMMAND [ARG...]");
	first = start(argv + 1);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			resume(pid, status);
		else if (pid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return result;
}
