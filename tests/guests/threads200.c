/* SPDX-License-Identifier: GPL-2.0-or-later
 * 200 threads at once, each busy with paths; then 1,000 threads that end at once. */
#include "guest.h"
#include <pthread.h>

static pthread_barrier_t barrier;

static void *works(void *argument)
{
	long number = (long)argument;
	char name[40];
	struct stat s;

	pthread_barrier_wait(&barrier); /* all 200 are alive now */
	snprintf(name, sizeof name, "%s%ld", "t", number);
	for (int n = 0; n < 10; n++) {
		int fd = OK(open(name, O_CREAT | O_RDWR, 0644));
		OK(write(fd, name, strlen(name)));
		OK(fstat(fd, &s));
		close(fd);
		OK(stat(name, &s));
		IS(s.st_size == (long)strlen(name));
	}
	OK(unlink(name));
	pthread_barrier_wait(&barrier);
	return (void *)(number * 3);
}

static void *ends(void *argument) { return argument; }

int main(void)
{
	static pthread_t threads[200];
	pthread_attr_t small;
	void *value;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&barrier, NULL, 200);
	for (long n = 0; n < 200; n++)
		EQ(pthread_create(&threads[n], &small, works, (void *)n), 0);
	for (long n = 0; n < 200; n++) {
		EQ(pthread_join(threads[n], &value), 0);
		EQ(value, n * 3);
	}
	for (int round = 0; round < 5; round++) {
		for (long n = 0; n < 200; n++)
			EQ(pthread_create(&threads[n], &small, ends, (void *)n), 0);
		for (long n = 0; n < 200; n++)
			EQ(pthread_join(threads[n], NULL), 0);
	}
	return 0;
}
