/* SPDX-License-Identifier: GPL-2.0-or-later
 * Prints what a program starts with, for comparison with the native world: signals, descriptors,
 * limits, session, scheduling.  Nothing of the view's own may leak into it. */
#include "guest.h"
#include <dirent.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int main(void)
{
	char *status = get("/proc/self/status");
	static const char *const fields[] = {"SigQ", "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd",
		"Umask", "Uid", "Gid", "Groups", "Threads", "Cpus_allowed", "CapEff", "CapBnd", "FDSize"};
	struct rlimit limit;
	cpu_set_t cpus;

	for (unsigned k = 1; k < sizeof fields / sizeof *fields; k++) {
		char *line = strstr(status, text("\n%s:", fields[k]));
		if (line)
			printf("%.*s\n", (int)strcspn(line + 1, "\n"), line + 1);
	}
	DIR *fds = opendir("/proc/self/fd");
	for (struct dirent *e; (e = readdir(fds));)
		if (*e->d_name != '.' && atoi(e->d_name) != dirfd(fds))
			printf("fd %s\n", e->d_name);
	for (int k = 0; k < RLIM_NLIMITS; k++) {
		getrlimit(k, &limit);
		printf("limit %d %ld %ld\n", k, (long)limit.rlim_cur, (long)limit.rlim_max);
	}
	sched_getaffinity(0, sizeof cpus, &cpus);
	printf("cpus %d nice %d policy %d\n", CPU_COUNT(&cpus), getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
	printf("leader %d %d\n", getpid() == getsid(0), getpid() == getpgrp());
	printf("pdeathsig %d dumpable %d subreaper %d\n", ({ int s = -1; prctl(PR_GET_PDEATHSIG, &s); s; }),
	       prctl(PR_GET_DUMPABLE), ({ int s = -1; prctl(PR_GET_CHILD_SUBREAPER, &s); s; }));
	return 0;
}
