/* SPDX-License-Identifier: GPL-2.0-or-later
 * RLIMIT_FSIZE: setrlimit(2), what may still be written, and who gets SIGXFSZ. */
#include "told.h"
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void exceeded(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("  signal %d, from %s\n", number, info->si_pid == getpid() ? "itself" : "another");
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = exceeded, .sa_flags = SA_SIGINFO };
	struct rlimit limit = { 1000, 5000 };
	struct iovec three[3] = { { "aaa", 3 }, { "bbb", 3 }, { "ccc", 3 } };
	static char much[3000];
	struct stat st;
	int fds[2], file = OK(open("a", O_CREAT | O_RDWR, 0644)), other, status;

	OK(sigaction(SIGXFSZ, &act, NULL));
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	TELL(write(file, much, 999));
	TELL(write(file, "xy", 2));
	TELL(write(file, "z", 1));
	TELL(write(file, "z", 0));
	TELL(pwrite(file, much, 10, 995));
	TELL(pwrite(file, much, 10, 3000));
	TELL(lseek(file, 994, SEEK_SET));
	TELL(writev(file, three, 3));
	TELL(ftruncate(file, 1001));
	TELL(ftruncate(file, 1000));
	TELL(truncate("a", 1001));
	TELL(fallocate(file, 0, 0, 2000));
	TELL(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 2000));
	OK(fcntl(file, F_SETFL, O_APPEND));
	TELL(write(file, "z", 1));
	OK(fcntl(file, F_SETFL, 0));
	OK(pipe(fds));
	TELL(write(fds[1], much, sizeof much));
	TELL(lseek(file, 900, SEEK_SET));
	TELL(splice(fds[0], NULL, file, NULL, 50, 0));
	other = OK(open("b", O_CREAT | O_RDWR, 0644));
	OK(lseek(file, 0, SEEK_SET));
	TELL(lseek(other, 400, SEEK_SET));
	TELL(sendfile(other, file, NULL, 1000));
	TELL(sendfile(other, file, NULL, 100));
	TELL(lseek(file, 1000, SEEK_SET));
	TELL(splice(fds[0], NULL, file, NULL, 500, 0));
	TELL(read(fds[0], much, sizeof much));
	limit.rlim_cur = 2000;
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	TELL(pwrite(file, much, sizeof much, 0));
	OK(stat("a", &st));
	printf("%ld bytes\n", (long)st.st_size);
	fflush(stdout);
	pid_t child = OK(fork());
	if (!child) {
		signal(SIGXFSZ, SIG_DFL);
		pwrite(file, "z", 1, 2000);
		_exit(0);
	}
	OK(waitpid(child, &status, 0));
	printf("killed by %d\n", WTERMSIG(status));
	signal(SIGXFSZ, SIG_IGN);
	TELL(pwrite(file, "z", 1, 2000));
	return 0;
}
