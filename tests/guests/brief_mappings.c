/* SPDX-License-Identifier: GPL-2.0-or-later
 * brief_mappings NAME: threads, and a child, each map a page of the file, count up in it, and unmap
 * it, or map something else in its place.  Every count is there the next time, and in the file. */
#include "guest.h"

#include <pthread.h>
#include <sys/mman.h>

enum { PAGE = 4096, THREADS = 4, TIMES = 60 };

static const char *name;

static void count(int fd, int page, int expected, int how)
{
	char *room = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fixed = how % 3 ? 0 : MAP_FIXED, moves = fixed && how % 2;
	int *number = mmap(room, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, (off_t)page * PAGE);

	IS(number != MAP_FAILED);
	EQ(*number, expected);
	++*number;
	if (!fixed)
		OK(munmap(number, PAGE));
	else if (!moves)
		IS(mmap(number, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == number);
	else /* where it was others may map something */
		IS(mremap(number, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE) == room + PAGE);
	OK(munmap(room + moves * PAGE, (2 - moves) * PAGE));
}

static void *counts(void *argument)
{
	int page = (int)(intptr_t)argument, fd = OK(open(name, O_RDWR)), now;

	for (int i = 0; i < TIMES; i++) {
		count(fd, page, i, i + page);
		EQ(pread(fd, &now, sizeof now, (off_t)page * PAGE), sizeof now);
		EQ(now, i + 1);
		if (i % 10 == 0) {
			OK(close(fd));
			fd = OK(open(name, O_RDWR));
		}
	}
	OK(close(fd));
	return NULL;
}

static void all(int first)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		EQ(pthread_create(threads + i, NULL, counts, (void *)(intptr_t)(first + i)), 0);
	for (int i = 0; i < THREADS; i++)
		EQ(pthread_join(threads[i], NULL), 0);
}

int main(int argc, char **argv)
{
	int status, now, fd;

	IS(argc == 2);
	name = argv[1];
	pid_t pid = OK(fork());
	if (!pid) {
		all(THREADS);
		_exit(0);
	}
	all(0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	fd = OK(open(name, O_RDONLY));
	for (int page = 0; page < 2 * THREADS; page++) {
		EQ(pread(fd, &now, sizeof now, (off_t)page * PAGE), sizeof now);
		EQ(now, TIMES);
	}
	return 0;
}
