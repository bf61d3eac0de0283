/* SPDX-License-Identifier: GPL-2.0-or-later
 * debug_signals: signals and job control of tracees, and how their debugger waits for them. */
#include "debug.h"
#include <sys/time.h>

static volatile sig_atomic_t hits, code, status_told, pid_told;

static void hit(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	hits++;
	code = info->si_code;
	pid_told = info->si_pid;
	status_told = info->si_status;
}

static void on(int signal, int flags)
{
	struct sigaction action = {.sa_sigaction = hit, .sa_flags = SA_SIGINFO | flags};

	OK(sigaction(signal, &action, NULL));
	hits = 0;
}

static void counts_usr1(void)
{
	on(SIGUSR1, 0);
	raise(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR2);          /* which the debugger makes SIGUSR1 */
	_exit(hits);
}

/* A signal is let pass, kept back, made another. */
static void decides(void)
{
	pid_t pid = tracee(counts_usr1);
	uint64_t mask = 0;

	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, SIGUSR1);
	OK(pt(PTRACE_CONT, pid, 0, SIGUSR1));
	STOPS(pid, SIGUSR1);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, SIGUSR2);
	OK(pt(PTRACE_GETSIGMASK, pid, sizeof mask, AT(&mask)));
	EQ(mask & (1ull << (SIGUSR2 - 1)), 0);
	ERR(pt(PTRACE_CONT, pid, 0, 65), EIO);
	OK(pt(PTRACE_CONT, pid, 0, SIGUSR1));
	ENDS(pid, 2 << 8);
}

static void sleeps(void)
{
	for (;;)
		pause_ms(1000);
}

/* The letter that proc(5) has for it; "t" of a view's core counts as a job's. */
static int state(pid_t pid)
{
	char *stat = get(text("/proc/%d/stat", pid));

	return strrchr(stat, ')')[2] & ~0x20;
}

/* SIGSTOP stops it for good until SIGCONT, when its debugger listens; its parent is told, too. */
static void jobs(void)
{
	pid_t pid = other(sleeps);
	siginfo_t info;
	int status;

	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	OK(kill(pid, SIGSTOP));
	STOPS(pid, SIGSTOP);
	OK(pt(PTRACE_CONT, pid, 0, SIGSTOP));
	STOPS(pid, SIGSTOP | PTRACE_EVENT_STOP << 8);
	OK(pt(PTRACE_LISTEN, pid, 0, 0));
	ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
	EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
	OK(kill(pid, SIGCONT));
	STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	ERR(pt(PTRACE_SYSCALL, pid + 100000, 0, 0), ESRCH);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, SIGCONT);
	OK(pt(PTRACE_CONT, pid, 0, SIGCONT));
	OK(pt(PTRACE_INTERRUPT, pid, 0, 0));
	STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	OK(pt(PTRACE_INTERRUPT, pid, 0, 0));      /* one more, after this one */
	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	OK(pt(PTRACE_DETACH, pid, 0, 0));
	OK(kill(pid, SIGSTOP));
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	EQ(status, SIGSTOP << 8 | 0x7f);
	OK(pt(PTRACE_ATTACH, pid, 0, 0));         /* a stopped job can be asked at once */
	regs(pid);
	STOPS(pid, SIGSTOP);
	ERR(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)), EINVAL); /* not a signal's stop */
	OK(pt(PTRACE_DETACH, pid, 0, 0));
	while (state(pid) != 'T')
		pause_ms(1);
	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	regs(pid);
	STOPS(pid, SIGSTOP | PTRACE_EVENT_STOP << 8);
	OK(pt(PTRACE_DETACH, pid, 0, 0));
	OK(kill(pid, SIGKILL));
	ENDS(pid, SIGKILL);
}

/* The old way: a stop signal that is let pass is told once more, as a job's stop. */
static void old_jobs(void)
{
	pid_t pid = tracee(sleeps);
	siginfo_t info;

	OK(pt(PTRACE_CONT, pid, 0, SIGSTOP));
	STOPS(pid, SIGSTOP);
	ERR(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)), EINVAL);
	ERR(pt(PTRACE_SETSIGINFO, pid, 0, AT(&info)), EINVAL);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	OK(kill(pid, SIGTSTP));
	STOPS(pid, SIGTSTP);
	OK(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)));
	EQ(info.si_pid, getpid());
	ERR(pt(PTRACE_LISTEN, pid, 0, 0), EIO);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	OK(kill(pid, SIGKILL));
	ENDS(pid, SIGKILL);
}

/* SIGCHLD tells of each stop, to a handler and to whoever sleeps meanwhile. */
static void tells(void)
{
	pid_t pid = other(sleeps);
	sigset_t set, old;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	OK(sigprocmask(SIG_BLOCK, &set, &old));
	on(SIGCHLD, SA_RESTART);
	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	OK(pt(PTRACE_INTERRUPT, pid, 0, 0));
	while (!hits)
		sigsuspend(&old);
	EQ(code, CLD_STOPPED);
	EQ(pid_told, pid);
	EQ(status_told, 0);
	STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	OK(kill(pid, SIGUSR1));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	hits = 0;
	while (!hits)
		sigsuspend(&old);
	EQ(code, CLD_TRAPPED);
	EQ(status_told, SIGUSR1);
	STOPS(pid, SIGUSR1);
	OK(pt(PTRACE_CONT, pid, 0, SIGSTOP));
	while (hits < 2)
		sigsuspend(&old);
	EQ(code, CLD_STOPPED);
	EQ(status_told, SIGSTOP);
	OK(kill(pid, SIGKILL));
	while (code != CLD_KILLED)       /* of a job's stop the real parent may hear twice */
		sigsuspend(&old);
	EQ(status_told, SIGKILL);
	EQ(waitpid(pid, &status, 0), pid);
	OK(sigprocmask(SIG_SETMASK, &old, NULL));
	signal(SIGCHLD, SIG_DFL);
}

/* A wait for any ends for a real child, for a stop, for a signal. */
static void waits(void)
{
	pid_t pid = other(sleeps), child;
	int status;
	siginfo_t info;

	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	child = OK(fork());
	if (!child) {
		pause_ms(100);
		_exit(4);
	}
	EQ(waitpid(-1, &status, __WALL), child);
	EQ(status, 4 << 8);
	child = OK(fork());
	if (!child) {
		pause_ms(100);
		kill(pid, SIGUSR1);
		pause_ms(100);
		_exit(5);
	}
	EQ(waitpid(-1, &status, 0), pid);
	EQ(status, SIGUSR1 << 8 | 0x7f);
	EQ(waitid(P_ALL, 0, &info, WEXITED), 0);
	EQ(info.si_pid, child);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	on(SIGALRM, 0);
	struct itimerval soon = {.it_value = {.tv_usec = 100000}};
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	ERR(waitpid(-1, &status, 0), EINTR);
	on(SIGALRM, SA_RESTART);
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	child = OK(fork());
	if (!child) {
		pause_ms(200);
		_exit(6);
	}
	EQ(waitpid(-getpgrp(), &status, __WALL), child);
	EQ(hits, 1);
	memset(&info, 0xff, sizeof info);
	EQ(waitid(P_PID, (unsigned)pid, &info, WSTOPPED | WNOHANG), 0);
	EQ(info.si_pid, 0);
	OK(kill(pid, SIGKILL));
	ENDS(pid, SIGKILL);
	ERR(waitpid(-1, &status, __WALL), ECHILD);
	signal(SIGALRM, SIG_DFL);
}

/* What ptrace refuses. */
static void refuses(void)
{
	pid_t pid = tracee(sleeps), free = other(sleeps);
	long word, none[2] = {0, 0};

	ERR(pt(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	ERR(pt(PTRACE_SEIZE, pid, 0, 0), EPERM);
	ERR(pt(PTRACE_SEIZE, free, 1, 0), EIO);
	ERR(pt(PTRACE_SEIZE, free, 0, 1 << 12), EIO);
	ERR(pt(PTRACE_CONT, free, 0, 0), ESRCH);
	ERR(pt(PTRACE_SETOPTIONS, pid, 0, 1 << 12), EINVAL);
	ERR(pt(PTRACE_PEEKDATA, pid, 8, AT(&word)), EIO);
	ERR(pt(PTRACE_PEEKUSR, pid, 1, AT(&word)), EIO);
	ERR(pt(PTRACE_GETREGS, pid, 0, 8), EFAULT);
	ERR(pt(12345, pid, 0, 0), EIO);
	ERR(pt(PTRACE_GETREGSET, pid, 0x7777, AT(none)), EINVAL);
	OK(kill(free, SIGKILL));
	ENDS(free, SIGKILL);
	ERR(pt(PTRACE_ATTACH, free, 0, 0), ESRCH);
	OK(pt(PTRACE_KILL, pid, 0, 0));
	ENDS(pid, SIGKILL);
}

int main(void)
{
	decides();
	jobs();
	old_jobs();
	tells();
	waits();
	refuses();
}
