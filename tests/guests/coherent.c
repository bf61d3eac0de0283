/* SPDX-License-Identifier: GPL-2.0-or-later
 * Several processes and threads write and read one file or disk at once, in every way that there is:
 * who reads sees all that was written before he began, and nothing that was not written yet.
 *
 * coherent NAME SEED ROUNDS    status 0: so it was, also at the end, when all writers have gone
 *
 * SEED: with 1 all of it is mapped all the time, with 2 signals come.
 *
 * The file is words of four bytes: three say which word it is, one how often it was written.  Cells
 * of words, of all sizes, each have one writer, who says before and after what he writes there. */
#include "guest.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { CELLS = 300, MOST = 250, LONGEST = 24000, WRITERS = 4, READERS = 3 };

struct cell {
	int at, size; /* bytes */
	_Atomic int begun, done; /* how often it was written, or was being */
};

static struct cell *cells; /* in memory that all processes share */
static int count, total; /* of the cells; of their bytes */
static _Atomic int *writing; /* processes that write, still */
static const char *name;
static bool signals; /* each gets some, all the time */
static bool lasting; /* each has all of it mapped, all the time */

/* What one thread has of the file: its own descriptors and its own mapping. */
struct one {
	unsigned seed;
	int fd, other, memory, pipe[2];
	char *mapped;
	char data[LONGEST * 3];
};

static unsigned chance(struct one *me, unsigned below)
{
	me->seed = me->seed * 1103515245u + 12345u;
	return (me->seed >> 8) % below;
}

static void begin(struct one *me, unsigned seed)
{
	me->seed = seed;
	me->fd = OK(open(name, O_RDWR));
	me->other = OK(open(name, O_RDWR | (seed % 2 ? O_DSYNC : 0)));
	me->memory = OK(memfd_create("data", 0));
	OK(pipe(me->pipe));
	OK(fcntl(me->pipe[0], F_SETPIPE_SZ, 1 << 20));
	if (lasting) {
		me->mapped = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, me->fd, 0);
		IS(me->mapped != MAP_FAILED);
	}
}

static void end(struct one *me)
{
	OK(close(me->fd));
	OK(close(me->other));
	OK(close(me->memory));
	OK(close(me->pipe[0]));
	OK(close(me->pipe[1]));
	if (lasting && chance(me, 2))
		OK(munmap(me->mapped, total));
}

static void fill(char *data, int at, int size, int written)
{
	for (int i = 0; i < size; i += 4) {
		uint32_t word = (uint32_t)(at + i) / 4 << 8 | (uint32_t)written;

		memcpy(data + i, &word, 4);
	}
}

/* -- writing -- */

static void by_pwrite(struct one *me, const char *data, int at, int size)
{
	EQ(pwrite(me->fd, data, size, at), size);
}

static void by_write(struct one *me, const char *data, int at, int size)
{
	EQ(lseek(me->fd, at, SEEK_SET), at);
	EQ(write(me->fd, data, size), size);
	EQ(lseek(me->fd, 0, SEEK_CUR), at + size);
}

static void by_vectors(struct one *me, const char *data, int at, int size)
{
	int first = size / 3;
	struct iovec parts[] = {{(char *)data, first}, {NULL, 0}, {(char *)data + first, size - first}};

	EQ(pwritev(me->other, parts, 3, at), size);
}

static void by_pieces(struct one *me, const char *data, int at, int size)
{
	for (int done = 0, piece; done < size; done += piece) {
		piece = 1 + (int)chance(me, 3000);
		if (piece > size - done)
			piece = size - done;
		EQ(pwrite(done % 2 ? me->fd : me->other, data + done, piece, at + done), piece);
	}
}

static void by_a_mapping_that_ends(struct one *me, const char *data, int at, int size)
{
	int from = at & ~4095;
	char *mapped = mmap(NULL, at + size - from, PROT_READ | PROT_WRITE, MAP_SHARED, me->other, from);

	IS(mapped != MAP_FAILED);
	memcpy(mapped + at - from, data, size);
	OK(munmap(mapped, at + size - from));
}

static void by_mapping(struct one *me, const char *data, int at, int size)
{
	if (!lasting)
		return by_a_mapping_that_ends(me, data, at, size);
	memcpy(me->mapped + at, data, size);
	if (!chance(me, 8))
		OK(msync(me->mapped, total, chance(me, 2) ? MS_SYNC : MS_ASYNC));
}

static void by_sendfile(struct one *me, const char *data, int at, int size)
{
	EQ(pwrite(me->memory, data, size, 0), size);
	EQ(lseek(me->other, at, SEEK_SET), at);
	for (off_t done = 0; done < size;)
		IS(sendfile(me->other, me->memory, &done, size - done) > 0);
}

static void by_splice(struct one *me, const char *data, int at, int size)
{
	loff_t to = at;

	EQ(write(me->pipe[1], data, size), size);
	while (to < at + size)
		IS(splice(me->pipe[0], NULL, me->fd, &to, at + size - to, 0) > 0);
}

static void by_another_process(struct one *me, const char *data, int at, int size)
{
	int status;
	pid_t child = OK(fork());

	if (!child)
		_exit(pwrite(me->fd, data, size, at) != size);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
}

static void (*const WAYS[])(struct one *, const char *, int, int) = {
	by_pwrite, by_pwrite, by_pwrite, by_write, by_vectors, by_pieces, by_mapping, by_mapping,
	by_sendfile, by_splice, by_another_process, by_a_mapping_that_ends,
};

/* -- reading: each returns how much it has, from `at` on -- */

static int pread_(struct one *me, int at, int size) { return OK(pread(me->fd, me->data, size, at)); }

static int read_(struct one *me, int at, int size)
{
	EQ(lseek(me->other, at, SEEK_SET), at);
	int got = OK(read(me->other, me->data, size));
	EQ(lseek(me->other, 0, SEEK_CUR), at + got);
	return got;
}

static int preadv_(struct one *me, int at, int size)
{
	struct iovec parts[] = {{me->data, 4}, {me->data + 4, size - 4}};

	return OK(preadv(me->fd, parts, 2, at));
}

static int newly_mapped(struct one *me, int at, int size)
{
	int from = at & ~4095, kind = chance(me, 2) ? MAP_SHARED : MAP_PRIVATE;
	char *mapped = mmap(NULL, at + size - from, PROT_READ, kind, me->fd, from);

	IS(mapped != MAP_FAILED);
	memcpy(me->data, mapped + at - from, size);
	OK(munmap(mapped, at + size - from));
	return size;
}

static int mapped_(struct one *me, int at, int size)
{
	if (!lasting)
		return newly_mapped(me, at, size);
	memcpy(me->data, me->mapped + at, size);
	return size;
}

static int sent(struct one *me, int at, int size)
{
	off_t from = at;

	OK(ftruncate(me->memory, 0));
	EQ(lseek(me->memory, 0, SEEK_SET), 0);
	int got = OK(sendfile(me->memory, me->fd, &from, size));
	EQ(from, at + got);
	EQ(pread(me->memory, me->data, size, 0), got);
	return got;
}

static int spliced(struct one *me, int at, int size)
{
	loff_t from = at;
	int got = OK(splice(me->fd, &from, me->pipe[1], NULL, size, 0));

	for (int done = 0; done < got;)
		done += (int)OK(read(me->pipe[0], me->data + done, got - done));
	return got;
}

static int (*const LOOKS[])(struct one *, int, int) = {
	pread_, pread_, pread_, pread_, read_, preadv_, mapped_, mapped_, newly_mapped, sent, spliced,
};
static const char *const LOOK_NAMES[] = {
	"pread", "pread", "pread", "pread", "read", "preadv", "mapped", "mapped", "newly mapped", "sendfile",
	"splice",
};

static int cell_of(int at)
{
	int low = 0, high = count - 1;

	while (low < high) {
		int middle = (low + high + 1) / 2;

		if (cells[middle].at <= at)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

static void look(struct one *me)
{
	int was[CELLS], at = (int)chance(me, total / 4) * 4, size = 4 + (int)chance(me, LONGEST / 2) * 4;
	unsigned how = chance(me, sizeof LOOKS / sizeof *LOOKS);

	if (chance(me, 3))
		at &= ~4095, size = 4096;
	if (size > total - at)
		size = total - at;
	int first = cell_of(at), last = cell_of(at + size - 1);
	for (int i = first; i <= last; i++)
		was[i] = cells[i].done;
	int got = LOOKS[how](me, at, size);
	IS(got > 0 && got <= size);
	for (int i = 0, cell = first; i + 4 <= got; i += 4) {
		uint32_t word;

		while (at + i >= cells[cell].at + cells[cell].size)
			cell++;
		memcpy(&word, me->data + i, 4);
		int written = word & 0xff;
		if (word >> 8 != (uint32_t)(at + i) / 4 || written < was[cell] || written > cells[cell].begun)
			FAIL("%s of %d bytes at %d: at %d is %#x: word %d, written %d times; not word %d, %d to %d times",
			     LOOK_NAMES[how], size, at, at + i, word, word >> 8, written, (at + i) / 4, was[cell],
			     cells[cell].begun);
	}
}

/* -- who does it -- */

static int rounds;

static void *write_all(void *number)
{
	struct one *me = calloc(1, sizeof *me);
	int mine = (int)(intptr_t)number;

	begin(me, mine * 77 + 5);
	for (int i = 0; i < rounds; i++) {
		struct cell *cell = cells + chance(me, (count - mine + WRITERS - 1) / WRITERS) * WRITERS + mine;

		if (cell->begun == MOST)
			continue;
		fill(me->data, cell->at, cell->size, cell->begun + 1);
		cell->begun++;
		WAYS[chance(me, sizeof WAYS / sizeof *WAYS)](me, me->data, cell->at, cell->size);
		cell->done++;
		if (!chance(me, 40))
			OK(fsync(me->fd));
	}
	end(me);
	--*writing;
	return NULL;
}

static void *read_all(void *number)
{
	struct one *me = calloc(1, sizeof *me);

	begin(me, 1000 + (int)(intptr_t)number);
	do
		for (int i = 0; i < 20; i++)
			look(me);
	while (*writing);
	end(me);
	return NULL;
}

static volatile int rings;

static void ring(int number) { rings += number; }

/* Calls are cut short by signals, and made again. */
static void disturbed(void)
{
	struct sigaction action = {.sa_handler = ring, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 1700}, {0, 1700}};

	OK(sigaction(SIGALRM, &action, NULL));
	OK(setitimer(ITIMER_REAL, &often, NULL));
}

static void process(void *(*body)(void *), int first, int last)
{
	pthread_t threads[WRITERS];

	if (OK(fork()))
		return;
	if (signals)
		disturbed();
	for (int i = first; i < last; i++)
		EQ(pthread_create(threads + i, NULL, body, (void *)(intptr_t)i), 0);
	for (int i = first; i < last; i++)
		EQ(pthread_join(threads[i], NULL), 0);
	_exit(0);
}

static void lay_out(struct one *me)
{
	size_t size = sizeof *cells * CELLS + sizeof *writing;

	cells = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	IS(cells != MAP_FAILED);
	writing = (_Atomic int *)(cells + CELLS);
	int fd = OK(open(name, O_RDWR)), room = (int)OK(lseek(fd, 0, SEEK_END));
	while (count < CELLS) {
		int kind = (int)chance(me, 4);
		int longest = kind == 0 ? 16 : kind == 1 ? 600 : kind == 2 ? 5000 : LONGEST;
		int bytes = 4 + (int)chance(me, longest / 4) * 4;

		if (total + bytes > room)
			break;
		cells[count].at = total;
		cells[count++].size = bytes;
		total += bytes;
	}
	IS(count > WRITERS);
	for (int i = 0; i < count; i++) {
		fill(me->data, cells[i].at, cells[i].size, 0);
		EQ(pwrite(fd, me->data, cells[i].size, cells[i].at), cells[i].size);
	}
	OK(close(fd));
}

int main(int argc, char **argv)
{
	static struct one me;
	int n = 5, failed = 0; /* processes */

	IS(argc == 4);
	name = argv[1];
	me.seed = (unsigned)atoi(argv[2]);
	lasting = me.seed & 1;
	signals = me.seed & 2;
	rounds = atoi(argv[3]);
	lay_out(&me);
	*writing = WRITERS;
	process(write_all, 0, 2); /* two threads */
	for (int i = 2; i < WRITERS; i++)
		process(write_all, i, i + 1);
	process(read_all, 0, 2);
	process(read_all, 2, READERS);
	for (int status; n; n--) {
		OK(wait(&status));
		if (status) {
			failed = 1;
			*writing = 0;
		}
	}
	EQ(failed, 0);
	begin(&me, 1);
	for (int i = 0; i < count; i++) {
		char want[LONGEST + 4];

		fill(want, cells[i].at, cells[i].size, cells[i].done);
		EQ(pread(me.fd, me.data, cells[i].size, cells[i].at), cells[i].size);
		if (memcmp(want, me.data, cells[i].size))
			FAIL("cell %d, %d bytes at %d, is not as it was written last", i, cells[i].size, cells[i].at);
	}
	end(&me);
	return 0;
}
