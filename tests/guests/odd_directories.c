/* SPDX-License-Identifier: GPL-2.0-or-later
 * Directories read into too little memory, and opened for what they can't be: getdents64(2). */
#include "told.h"
#include <sys/mman.h>

static int entries(int fd, char *room, unsigned size)
{
	int found = 0;
	long n;

	while ((n = syscall(SYS_getdents64, fd, room, size)) > 0)
		for (long at = 0; at < n; at += *(unsigned short *)(room + at + 16))
			found++;
	return n < 0 ? -errno : found;
}

int main(void)
{
	char *room = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct statx stx;
	int fd;

	IS(room != MAP_FAILED);
	OK(mkdir("d", 0755));
	for (int i = 0; i < 100; i++)
		OK(close(OK(open(text("d/%03d", i), O_CREAT | O_WRONLY, 0644))));
	fd = OK(open("d", O_RDONLY));
	printf("%d\n", entries(fd, room, 4096));
	OK(mprotect(room + 4096, 4096, PROT_NONE));
	OK(lseek(fd, 0, SEEK_SET));
	printf("%d where half the memory is\n", entries(fd, room + 4096 - 300, 4096));
	OK(lseek(fd, 0, SEEK_SET));
	printf("%d where none is\n", entries(fd, room + 4096 - 8, 4096));
	printf("%d after that\n", entries(fd, room, 4096));
	OK(lseek(fd, 0, SEEK_SET));
	TELL(syscall(SYS_getdents64, fd, room, 0x80000000u));
	TELL(syscall(SYS_getdents64, fd, room, 0xFFFFFFFFu));
	TELL(syscall(SYS_getdents64, fd, room, 16));
	TELL(open("d", O_RDONLY | O_DIRECT));
	TELL(open("d/000", O_RDONLY | O_DIRECTORY));
	OK(syscall(SYS_statx, AT_FDCWD, "d", 0, 0x17FF, &stx));
	printf("statx: %#x, a mount: %d\n", stx.stx_mask & 0x17FF, stx.stx_mnt_id != 0);
	OK(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0x17FF, &stx));
	printf("statx: %#x, a mount: %d\n", stx.stx_mask & 0x17FF, stx.stx_mnt_id != 0);
	return 0;
}
