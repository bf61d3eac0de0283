/* SPDX-License-Identifier: GPL-2.0-or-later
 * 2,000 short processes, up to eight at a time: every one is seen to end as it did.  One in four
 * executes this program again, one in four is a grandchild's parent, one dies of a signal. */
#include "guest.h"

int main(int argc, char **argv)
{
	int alive = 0, made = 0, ended = 0, status;
	static int kind_of[4194305]; /* by pid, at most pid_max */

	if (argc > 1)
		return 33;
	while (ended < 2000) {
		while (alive < 8 && made < 2000) {
			int kind = made % 4;
			pid_t child = OK(fork());
			if (!child) {
				if (kind == 0)
					execv("/proc/self/exe", (char *[]){argv[0], "again", NULL});
				if (kind == 1) {
					pid_t grandchild = fork();
					if (!grandchild)
						_exit(44);
					_exit(waitpid(grandchild, &status, 0) == grandchild ? WEXITSTATUS(status) : 1);
				}
				if (kind == 2)
					raise(SIGKILL);
				_exit(access("/etc/passwd", R_OK) ? 1 : 55);
			}
			kind_of[child] = kind + 1;
			made++;
			alive++;
		}
		pid_t child = OK(wait(&status));
		int kind = kind_of[child] - 1;
		kind_of[child] = 0;
		static const int expected[] = {33 << 8, 44 << 8, SIGKILL, 55 << 8};
		if (kind < 0 || status != expected[kind])
			FAIL("process %d of kind %d ended with wait status %#x", ended, kind, status);
		ended++;
		alive--;
	}
	ERR(wait(&status), ECHILD);
	return 0;
}
