/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * calls ROW PATH [MILLISECONDS [BYTES]] - what one libc call costs in the world this runs in.
 *
 * Prints nanoseconds per call, one line per batch, until MILLISECONDS (default 100) are over but at
 * least MIN_BATCHES times.  PATH goes to the call as given, so a prefix can be put before it:
 *   getpid  PATH is not used           stat    PATH is stated
 *   open    PATH is opened and closed  read    4 KiB each from a descriptor opened at PATH
 *   write   4 KiB each to PATH (made)  fork    PATH is executed by a forked child and waited for
 *   first   a byte is written to PATH/N, once; N grows from run to run
 *   copy    PATH/0 is copied by cp(1) to PATH/copy, once
 *   pread, pwrite  BYTES each (default 4096) of a file or disk that is there, from end to end again
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

enum { BLOCK = 4096, BIGGEST = 1 << 20, MIN_BATCHES = 5, MAX_BATCHES = 2000 };
enum { ONCE = -2, MIN_BATCH = 16, BATCH_BYTES = 4 << 20 };

static const char *path;
static int fd = -1;
static char block[BIGGEST];
static ssize_t bytes = BLOCK;	/* of one pread or pwrite */
static off_t offset, end;	/* where the next one is, and where the file ends */

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

static void advance(void)
{
	offset += bytes;
	if (offset + bytes > end)
		offset = 0;
}

static void do_pread(void)
{
	if (pread(fd, block, (size_t)bytes, offset) != bytes)
		err(1, "pread %s", path);
	advance();
}

static void do_pwrite(void)
{
	if (pwrite(fd, block, (size_t)bytes, offset) != bytes)
		err(1, "pwrite %s", path);
	advance();
}

/* Before what is done once.  PATH/next says which file is the first that nobody has written to. */
static char large[4200], copy[4200];

static void prepare_first(void)
{
	char name[4200], text[16] = "";

	snprintf(name, sizeof name, "%s/next", path);
	int next = open(name, O_RDWR | O_CREAT, 0666);
	if (next < 0 || read(next, text, sizeof text - 1) < 0)
		err(1, "%s", name);
	int n = atoi(text);
	snprintf(large, sizeof large, "%s/%d", path, n);
	snprintf(text, sizeof text, "%d", n + 1);
	if (pwrite(next, text, strlen(text), 0) < 0 || close(next) < 0)
		err(1, "%s", name);
}

static void prepare_copy(void)
{
	snprintf(large, sizeof large, "%s/0", path);
	snprintf(copy, sizeof copy, "%s/copy", path);
	unlink(copy);	/* or cp would first have to free it */
}

static void do_first(void)
{
	int opened = open(large, O_RDWR);
	if (opened < 0 || write(opened, "x", 1) != 1 || close(opened) < 0)
		err(1, "write %s", large);
}

static void do_copy(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execlp("cp", "cp", "--reflink=auto", large, copy, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		err(1, "cp %s", large);
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
	int flags;	/* how PATH is opened first, or -1; ONCE: it is prepared, and not repeated */
} rows[] = {
	{ "getpid", do_getpid, 500, -1 },
	{ "stat", do_stat, 200, -1 },
	{ "open", do_open, 100, -1 },
	{ "read", do_read, 200, O_RDONLY },
	{ "write", do_write, 200, O_WRONLY | O_CREAT },
	{ "pread", do_pread, 200, O_RDONLY },
	{ "pwrite", do_pwrite, 200, O_WRONLY },
	{ "fork", do_fork, 1, -1 },
	{ "first", do_first, 1, ONCE },
	{ "copy", do_copy, 1, ONCE },
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int batch_of(const struct row *row)
{
	ssize_t few = BATCH_BYTES / bytes;
	if (few >= row->batch)
		return row->batch;
	return few > MIN_BATCH ? (int)few : MIN_BATCH;
}

static double one_batch(const struct row *row, int batch)
{
	double begin;
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		err(1, "lseek %s", path);
	begin = now();
	for (int i = 0; i < batch; i++)
		row->call();
	return (now() - begin) / batch;
}

int main(int argc, char **argv)
{
	const struct row *row = rows, *last_row = rows + sizeof rows / sizeof *rows;
	static double cost[MAX_BATCHES];
	double last;
	int batch, n = 0;

	if (argc < 3 || argc > 5)
		errx(2, "usage: calls ROW PATH [MILLISECONDS [BYTES]]");
	while (row < last_row && strcmp(row->name, argv[1]) != 0)
		row++;
	if (row == last_row)
		errx(2, "%s: no such row", argv[1]);
	path = argv[2];
	if (argc > 4 && ((bytes = atol(argv[4])) < 1 || bytes > BIGGEST))
		errx(2, "%s: not 1 to %d", argv[4], BIGGEST);
	if (row->flags >= 0 && (fd = open(path, row->flags, 0600)) < 0)
		err(1, "open %s", path);
	if (fd >= 0 && (end = lseek(fd, 0, SEEK_END)) < 0)
		err(1, "lseek %s", path);
	if (row->flags == ONCE) {
		row->call == do_first ? prepare_first() : prepare_copy();
		printf("%.1f\n", one_batch(row, 1));
		return 0;
	}
	batch = batch_of(row);

	one_batch(row, batch);	/* warms caches; not counted */
	last = now() + (argc > 3 ? atof(argv[3]) : 100) * 1e6;
	while (n < MAX_BATCHES && (n < MIN_BATCHES || now() < last))
		cost[n++] = one_batch(row, batch);
	for (int i = 0; i < n; i++)
		printf("%.1f\n", cost[i]);
	return 0;
}
