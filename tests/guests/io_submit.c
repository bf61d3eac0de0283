/* SPDX-License-Identifier: GPL-2.0-or-later
 * Asynchronous I/O: aio(7) as the kernel has it, io_submit(2). */
#include "told.h"
#include <linux/aio_abi.h>
#include <sys/uio.h>

static aio_context_t context;

static struct iocb *request(int code, int fd, const void *buffer, size_t size, long at)
{
	struct iocb *made = calloc(1, sizeof *made);

	made->aio_lio_opcode = code;
	made->aio_fildes = fd;
	made->aio_buf = (uintptr_t)buffer;
	made->aio_nbytes = size;
	made->aio_offset = at;
	made->aio_data = 100 * code + at;
	return made;
}

static void submit(const char *what, int count, struct iocb **requests)
{
	struct iocb before[8];

	for (int i = 0; i < count; i++)
		before[i] = *requests[i];
	errno = 0;
	long begun = syscall(SYS_io_submit, context, (long)count, requests);
	printf("%s: %ld %s\n", what, begun, begun < 0 ? strerrorname_np(errno) : "");
	for (int i = 0; i < count; i++)
		if (before[i].aio_fildes != requests[i]->aio_fildes ||
		    before[i].aio_offset != requests[i]->aio_offset)
			puts("  its request is another now");
	for (long i = 0; i < begun; i++) {
		struct io_event event = { 0 };
		struct timespec soon = { 5, 0 };
		EQ(syscall(SYS_io_getevents, context, 1L, 1L, &event, &soon), 1);
		printf("  %lld: %lld\n", (long long)event.data, (long long)event.res);
	}
}

#define ONE(what, ...) submit(what, 1, (struct iocb *[]){ request(__VA_ARGS__) })

int main(void)
{
	static char large[100000];
	char room[64] = "";
	struct iovec out[2] = { { "ab", 2 }, { "cde", 3 } }, in[2] = { { room, 2 }, { room + 10, 3 } };
	struct stat st;

	memset(large, 'z', sizeof large);
	OK(syscall(SYS_io_setup, 16L, &context));
	int both = OK(open("a", O_CREAT | O_RDWR, 0644)), reads = OK(open("a", O_RDONLY));
	int writes = OK(open("a", O_WRONLY)), appends = OK(open("a", O_RDWR | O_APPEND));
	ONE("write", IOCB_CMD_PWRITE, both, "hello", 5, 3);
	ONE("read", IOCB_CMD_PREAD, both, room, 8, 0);
	printf("%d %s\n", room[0], room + 3);
	ONE("fsync", IOCB_CMD_FSYNC, both, NULL, 0, 0);
	ONE("write, not open for that", IOCB_CMD_PWRITE, reads, "x", 1, 0);
	ONE("read, not open for that", IOCB_CMD_PREAD, writes, room, 1, 0);
	ONE("read before the start", IOCB_CMD_PREAD, both, room, 4, -1);
	ONE("no descriptor", IOCB_CMD_PREAD, 99, room, 4, 0);
	ONE("no memory", IOCB_CMD_PREAD, both, NOWHERE, 4, 0);
	ONE("append", IOCB_CMD_PWRITE, appends, "END", 3, 0);
	ONE("no file", IOCB_CMD_PREAD, OK(open("a", O_PATH)), room, 1, 0);
	ONE("directory", IOCB_CMD_PREAD, OK(open(".", O_RDONLY)), room, 1, 0);
	ONE("much", IOCB_CMD_PWRITE, both, large, sizeof large, 10);
	ONE("much less", IOCB_CMD_PREAD, reads, large, sizeof large, 5000);
	ONE("what", 77, both, NULL, 0, 0);
	ONE("nothing", IOCB_CMD_PREAD, reads, room, 0, 0);
	ONE("too much", IOCB_CMD_PREAD, reads, room, -1, 0);
	ONE("gather", IOCB_CMD_PWRITEV, both, out, 2, 0);
	ONE("scatter", IOCB_CMD_PREADV, reads, in, 2, 0);
	printf("%.2s %.3s\n", room, room + 10);
	ONE("no vector", IOCB_CMD_PREADV, reads, NOWHERE, 2, 0);
	ONE("long vector", IOCB_CMD_PREADV, reads, in, 2000, 0);
	struct iocb *three[3] = { request(IOCB_CMD_PWRITE, both, "1", 1, 0),
		                  request(IOCB_CMD_PWRITE, reads, "2", 1, 0),
		                  request(IOCB_CMD_PWRITE, both, "3", 1, 0) };
	submit("the second is wrong", 3, three);
	three[1]->aio_fildes = appends;
	submit("all three", 3, three);
	three[0] = NOWHERE;
	TELL(syscall(SYS_io_submit, context, 1L, three));
	TELL(syscall(SYS_io_submit, context, 1L, NOWHERE));
	OK(stat("a", &st));
	printf("%ld bytes\n", (long)st.st_size);
	return 0;
}
