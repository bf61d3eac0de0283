/* SPDX-License-Identifier: GPL-2.0-or-later
 * debug_events: what a debugger hears of: forks, threads, programs, ends; and how it gets at them. */
/* cc: -pthread */
#include "debug.h"
#include <pthread.h>
#include <sched.h>

#define ALL (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
	     PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)

static char *myself;

static void execs(void)
{
	execl(myself, "debug_events", "exit", "5", NULL);
}

/* Without an option the old SIGTRAP tells of an exec, once the call has ended. */
static void old_exec(void)
{
	pid_t pid = tracee(execs);
	siginfo_t info;

	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, SIGTRAP);
	OK(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)));
	EQ(info.si_code, SI_USER);
	EQ(info.si_pid, pid);
	EQ((long)regs(pid).rax, 0);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 5 << 8);
}

static void new_exec(void)
{
	pid_t pid = tracee(execs);

	OK(pt(PTRACE_SETOPTIONS, pid, 0, ALL));
	OK(pt(PTRACE_SYSCALL, pid, 0, 0));
	STOPS(pid, CALL_STOP);
	OK(pt(PTRACE_SYSCALL, pid, 0, 0));
	STOPS(pid, EVENT(PTRACE_EVENT_EXEC));
	EQ(event_message(pid), pid);
	OK(pt(PTRACE_SYSCALL, pid, 0, 0));
	STOPS(pid, CALL_STOP);
	EQ((long)regs(pid).orig_rax, SYS_execve);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, EVENT(PTRACE_EVENT_EXIT));
	EQ(event_message(pid), 5 << 8);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 5 << 8);
}

static int how;

static void has_child(void)
{
	int status;
	pid_t child = how == PTRACE_EVENT_VFORK ? vfork() : fork();

	if (!child)
		_exit(3);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 3 << 8);
}

/* A task that a tracee has made, which starts with a stop; both go on. */
static pid_t made_by(pid_t pid, int event)
{
	pid_t child;

	STOPS(pid, EVENT(event));
	child = (pid_t)event_message(pid);
	STOPS(child, SIGSTOP);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	OK(pt(PTRACE_CONT, child, 0, 0));
	return child;
}

/* A child of its tracee is one too. */
static void follows(int event)
{
	pid_t pid, child;

	how = event;
	pid = tracee(has_child);
	OK(pt(PTRACE_SETOPTIONS, pid, 0, ALL));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	child = made_by(pid, event);
	STOPS(child, EVENT(PTRACE_EVENT_EXIT));
	EQ(event_message(child), 3 << 8);
	OK(pt(PTRACE_CONT, child, 0, 0));
	if (event == PTRACE_EVENT_VFORK) {
		STOPS(pid, EVENT(PTRACE_EVENT_VFORK_DONE));
		EQ(event_message(pid), child);
		OK(pt(PTRACE_CONT, pid, 0, 0));
	}
	ENDS(child, 3 << 8);             /* no child of ours, but we hear of it */
	STOPS(pid, SIGCHLD);
	OK(pt(PTRACE_CONT, pid, 0, SIGCHLD));
	STOPS(pid, EVENT(PTRACE_EVENT_EXIT));
	OK(pt(PTRACE_DETACH, pid, 0, 0));
	ENDS(pid, 0);
}

static void *thread(void *unused)
{
	(void)unused;
	execs();
	return NULL;
}

static void execs_in_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread, NULL);
	pause();
}

static void thread_that_execs(void)
{
	pid_t pid = tracee(execs_in_thread), t;

	OK(pt(PTRACE_SETOPTIONS, pid, 0, ALL & ~PTRACE_O_TRACEEXIT));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	t = made_by(pid, PTRACE_EVENT_CLONE);
	STOPS(pid, EVENT(PTRACE_EVENT_EXEC));
	EQ(event_message(pid), t);
	ERR(pt(PTRACE_CONT, t, 0, 0), ESRCH);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 5 << 8);
}

static void *ends(void *unused)
{
	(void)unused;
	return NULL;
}

static void has_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, ends, NULL);
	pthread_join(t, NULL);
}

static void thread_that_ends(void)
{
	pid_t pid = tracee(has_thread), t;

	OK(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	t = made_by(pid, PTRACE_EVENT_CLONE);
	ENDS(t, 0);
	ENDS(pid, 0);
}

static void sleeps(void)
{
	for (;;)
		pause_ms(50);
}

/* One that is nobody's child here, by ATTACH and by SEIZE. */
static void attaches(int seized)
{
	int ends[2], status;
	pid_t pid, middle;
	siginfo_t info = {0};

	OK(pipe(ends));
	middle = OK(fork());
	if (!middle) {
		pid = other(sleeps);
		IS(write(ends[1], &pid, sizeof pid) == sizeof pid);
		EQ(waitpid(pid, &status, 0), pid);
		_exit(status == (9 << 8) ? 0 : 1);
	}
	IS(read(ends[0], &pid, sizeof pid) == sizeof pid);
	ERR(waitpid(pid, &status, 0), ECHILD);
	if (seized) {
		OK(pt(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT));
		EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
		ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
		OK(pt(PTRACE_INTERRUPT, pid, 0, 0));
		STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	} else {
		OK(pt(PTRACE_ATTACH, pid, 0, 0));
		EQ(waitid(P_PID, (unsigned)pid, &info, WSTOPPED | WNOWAIT), 0);
		EQ(info.si_signo, SIGCHLD);
		EQ(info.si_code, CLD_TRAPPED);
		EQ(info.si_pid, pid);
		EQ(info.si_uid, getuid());
		EQ(info.si_status, SIGSTOP);
		STOPS(pid, SIGSTOP);
		EQ(waitpid(-1, &status, WNOHANG | __WALL), 0);
		ERR(pt(PTRACE_INTERRUPT, pid, 0, 0), EIO);
	}
	ERR(pt(PTRACE_ATTACH, pid, 0, 0), EPERM);
	EQ(kill(pid, SIGUSR1), 0);
	OK(pt(PTRACE_CONT, pid, 0, 0));
	STOPS(pid, SIGUSR1);
	OK(pt(PTRACE_GETSIGINFO, pid, 0, AT(&info)));
	EQ(info.si_pid, getpid());
	OK(pt(PTRACE_DETACH, pid, 0, 0));     /* without it */
	ERR(waitpid(pid, &status, __WALL), ECHILD);
	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	pause_ms(20);                         /* until it sleeps again */
	OK(pt(PTRACE_INTERRUPT, pid, 0, 0));
	STOPS(pid, EVENT(PTRACE_EVENT_STOP));
	struct user_regs_struct r = regs(pid);
	r.orig_rax = -1UL;                    /* what it does when it goes on */
	r.rax = SYS_exit_group;
	r.rip -= 2;
	r.rdi = 9;
	OK(pt(PTRACE_SETREGS, pid, 0, AT(&r)));
	OK(pt(PTRACE_CONT, pid, 0, 0));
	ENDS(pid, 9 << 8);
	ENDS(middle, 0);
}

/* The debugger dies: who asked for it dies too, others go on. */
static void without_debugger(int options)
{
	int ends[2], status;
	pid_t pid, debugger;
	char word = 0;

	OK(pipe2(ends, O_CLOEXEC));
	pid = OK(fork());
	if (!pid) {
		for (;;)
			if (read(ends[0], &word, 1) == 1)
				_exit(7);
	}
	debugger = OK(fork());
	if (!debugger) {
		OK(pt(PTRACE_SEIZE, pid, 0, (unsigned long)options));
		OK(pt(PTRACE_INTERRUPT, pid, 0, 0));
		STOPS(pid, EVENT(PTRACE_EVENT_STOP));
		raise(SIGKILL);
	}
	ENDS(debugger, SIGKILL);
	if (!options)
		IS(write(ends[1], "x", 1) == 1);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, options ? SIGKILL : 7 << 8);
}

int main(int argc, char **argv)
{
	if (argc > 2)
		_exit(atoi(argv[2]));
	myself = target("/proc/self/exe");
	old_exec();
	new_exec();
	follows(PTRACE_EVENT_FORK);
	follows(PTRACE_EVENT_VFORK);
	thread_that_execs();
	thread_that_ends();
	attaches(0);
	attaches(1);
	without_debugger(0);
	without_debugger(PTRACE_O_EXITKILL);
}
