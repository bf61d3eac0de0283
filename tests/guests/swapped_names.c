/* SPDX-License-Identifier: GPL-2.0-or-later
 * A thread changes the name while another's call reads it: the call finds one file or the other or none,
 * and nothing else comes of it. */
#include "guest.h"
#include <pthread.h>

static char *name;
static volatile int stop;

static void *swaps(void *unused)
{
	char *first = text("%s/one", here()), *second = text("%s/two", here());
	size_t size = strlen(first);

	while (!stop) {
		memcpy(name, first, size);
		memcpy(name, second, size);
		memcpy(name, "/unreal/", 8);
	}
	return unused;
}

int main(void)
{
	char byte;
	pthread_t thread;
	struct stat st;

	put("one", "1");
	put("two", "2");
	name = text("%s/one", here());
	EQ(pthread_create(&thread, NULL, swaps, NULL), 0);
	for (int i = 0; i < 4000; i++) {
		int fd = open(name, O_RDONLY);
		if (fd < 0) {
			EQ(errno, ENOENT);
		} else {
			EQ(read(fd, &byte, 1), 1);
			IS(byte == '1' || byte == '2');
			close(fd);
		}
		if (stat(name, &st))
			EQ(errno, ENOENT);
		else
			EQ(st.st_size, 1);
	}
	stop = 1;
	EQ(pthread_join(thread, NULL), 0);
	return 0;
}
