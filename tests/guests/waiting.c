/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a parent learns of its children is what the kernel tells: one SIGCHLD each, WNOWAIT,
 * WNOHANG, process groups, ECHILD, orphans that find a new parent. */
#include "guest.h"

static volatile sig_atomic_t told;
static void on_child(int number) { (void)number; told++; }

int main(void)
{
	struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	siginfo_t info = {};
	int status, ends[2];
	char byte;

	alarm(20);
	OK(sigaction(SIGCHLD, &action, NULL));
	for (int n = 1; n <= 20; n++) {
		pid_t child = OK(fork());
		if (!child)
			_exit(n);
		OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
		EQ(info.si_pid, child);
		EQ(info.si_status, n);
		EQ(info.si_code, CLD_EXITED);
		EQ(waitpid(child, &status, WNOHANG), child);
		EQ(WEXITSTATUS(status), n);
		ERR(waitpid(child, &status, 0), ECHILD);
		EQ(told, n);
	}
	OK(pipe(ends));
	pid_t child = OK(fork());
	if (!child) {
		close(ends[1]);
		setpgid(0, 0);
		read(ends[0], &byte, 1);
		_exit(3);
	}
	EQ(waitpid(child, &status, WNOHANG), 0);
	setpgid(child, child);
	EQ(waitpid(-child, &status, WNOHANG), 0);
	close(ends[1]);
	EQ(waitpid(-child, &status, 0), child);
	EQ(status, 3 << 8);
	close(ends[0]);

	OK(pipe(ends));
	child = OK(fork());
	if (!child) { /* its child outlives it */
		pid_t first = getpid();
		if (!fork()) {
			while (getppid() == first)
				pause_ms(1);
			byte = access("/etc/passwd", R_OK) ? 'n' : 'y';
			write(ends[1], &byte, 1);
			_exit(0);
		}
		pause_ms(5);
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(read(ends[0], &byte, 1), 1);
	EQ(byte, 'y');

	child = OK(fork());
	if (!child) {
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	OK(waitid(P_PID, child, &info, WEXITED));
	IS(info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
	EQ(info.si_status, SIGABRT);
	return 0;
}
