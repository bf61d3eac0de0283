/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * calls ROW PATH [MILLISECONDS] - what one libc call costs in the world this runs in.
 *
 * Prints nanoseconds per call, one line per batch, until MILLISECONDS (default 100) are over but at
 * least MIN_BATCHES times.  PATH goes to the call as given, so a prefix can be put before it:
 *   getpid  PATH is not used           stat    PATH is stated
 *   open    PATH is opened and closed  read    4 KiB each from a descriptor opened at PATH
 *   write   4 KiB each to PATH (made)  fork    PATH is executed by a forked child and waited for
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MIN_BATCHES = 5, MAX_BATCHES = 2000 };

static const char *path;
static int fd = -1;
static char block[BLOCK];

static void do_getpid(void) { (void)getpid(); }

static void do_stat(void)
{
	struct stat st;
	if (stat(path, &st) < 0)
		err(1, "stat %s", path);
}

static void do_open(void)
{
	int opened = open(path, O_RDONLY);
	if (opened < 0 || close(opened) < 0)
		err(1, "open %s", path);
}

static void do_read(void)
{
	if (read(fd, block, BLOCK) != BLOCK)
		err(1, "read %s", path);
}

static void do_write(void)
{
	if (write(fd, block, BLOCK) != BLOCK)
		err(1, "write %s", path);
}

static void do_fork(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		err(1, "fork+exec %s", path);
}

static const struct row {
	const char *name;
	void (*call)(void);
	int batch;	/* calls a batch; long enough for the clock, short enough to fall between noise */
	int flags;	/* how PATH is opened first, or -1 */
} rows[] = {
	{ "getpid", do_getpid, 500, -1 },
	{ "stat", do_stat, 200, -1 },
	{ "open", do_open, 100, -1 },
	{ "read", do_read, 200, O_RDONLY },
	{ "write", do_write, 200, O_WRONLY | O_CREAT },
	{ "fork", do_fork, 1, -1 },
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double one_batch(const struct row *row)
{
	double begin;
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		err(1, "lseek %s", path);
	begin = now();
	for (int i = 0; i < row->batch; i++)
		row->call();
	return (now() - begin) / row->batch;
}

int main(int argc, char **argv)
{
	const struct row *row = rows, *end = rows + sizeof rows / sizeof *rows;
	static double cost[MAX_BATCHES];
	double last;
	int n = 0;

	if (argc < 3 || argc > 4)
		errx(2, "usage: calls ROW PATH [MILLISECONDS]");
	while (row < end && strcmp(row->name, argv[1]) != 0)
		row++;
	if (row == end)
		errx(2, "%s: no such row", argv[1]);
	path = argv[2];
	if (row->flags >= 0 && (fd = open(path, row->flags, 0600)) < 0)
		err(1, "open %s", path);

	one_batch(row);	/* warms caches; not counted */
	last = now() + (argc > 3 ? atof(argv[3]) : 100) * 1e6;
	while (n < MAX_BATCHES && (n < MIN_BATCHES || now() < last))
		cost[n++] = one_batch(row);
	for (int i = 0; i < n; i++)
		printf("%.1f\n", cost[i]);
	return 0;
}
