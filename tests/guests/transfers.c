/* SPDX-License-Identifier: GPL-2.0-or-later
 * How much a call moves, from where and to where, and when it moves nothing: read(2), readv(2), sendfile(2),
 * splice(2), copy_file_range(2), fallocate(2), mmap(2), utimensat(2). */
/* cc: -Wno-stringop-overflow -Wno-stringop-overread */
#include "told.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LARGE (40 << 20)

static int fd, reads, writes, ends[2];
static char *edge; /* the next byte is nobody's */

static void where(void)
{
	struct stat st;

	OK(fstat(fd, &st));
	printf("  at %ld of %ld\n", (long)lseek(fd, 0, SEEK_CUR), (long)st.st_size);
}

static void edges(void)
{
	struct iovec in[3] = {{edge - 10, 10}, {NOWHERE, 5}, {edge - 20, 5}}, odd = {edge - 1, (size_t)-1};

	lseek(fd, 0, SEEK_SET);
	TELL(read(fd, edge - 100, 200));
	where();
	TELL(read(fd, NOWHERE, 10));
	TELL(read(fd, NOWHERE, 0));
	TELL(read(writes, edge - 10, 0));
	TELL(write(fd, edge - 50, 100));
	where();
	TELL(write(fd, NOWHERE, 100));
	TELL(write(reads, NOWHERE, 0));
	TELL(pread(fd, edge - 1, 2, 3));
	TELL(pread(fd, edge - 1, 1, -1));
	TELL(pwrite(fd, edge - 1, 2, 9999));
	where();
	TELL(readv(fd, in, 3));
	where();
	TELL(writev(fd, in, 3));
	where();
	TELL(readv(fd, in, 0));
	TELL(readv(fd, in, -1));
	TELL(readv(fd, in, 1025));
	TELL(readv(fd, &odd, 1));
	TELL(readv(fd, NOWHERE, 1));
	TELL(preadv2(fd, in, 1, 5, 0));
	TELL(preadv2(fd, in, 1, -1, 0));
	TELL(preadv2(fd, in, 1, 0, 1 << 30));
	TELL(pwritev2(fd, in, 1, 0, RWF_APPEND));
	where();
}

static void sizes(void)
{
	char *room = malloc(LARGE);
	unsigned sum = 0;

	for (int i = 0; i < LARGE; i++)
		room[i] = (char)(i * 2654435761u >> 13);
	int big = OK(open("big", O_CREAT | O_RDWR, 0644));
	TELL(write(big, room, LARGE));
	memset(room, 0, LARGE);
	TELL(pread(big, room, LARGE, 0));
	for (int i = 0; i < LARGE; i++)
		sum = sum * 31 + (unsigned char)room[i];
	printf("%x\n", sum);
	TELL(pwrite(big, "far", 3, 5L << 30));
	TELL(pread(big, room, 10, 5L << 30));
	TELL(pread(big, room, 10, (5L << 30) - 5));
	TELL(pread(big, room, 10, 6L << 30));
	TELL(lseek(big, -3, SEEK_END));
	TELL(ftruncate(big, 100));
	TELL(lseek(big, 0, SEEK_CUR));
	close(big);
	free(room);
}

static void between(void)
{
	int other = OK(open("other", O_CREAT | O_RDWR, 0644)), pair[2];
	off_t at = 10;
	loff_t from = 20, to = 30;
	char room[5000];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	lseek(fd, 0, SEEK_SET);
	TELL(sendfile(other, fd, &at, 3000));
	printf("  %ld\n", (long)at);
	where();
	TELL(sendfile(pair[0], fd, NULL, 1000));
	where();
	TELL(read(pair[1], room, sizeof room));
	TELL(sendfile(ends[1], other, NULL, 100));
	TELL(sendfile(other, pair[1], NULL, 1));
	TELL(sendfile(reads, fd, NULL, 1));
	TELL(sendfile(other, writes, NULL, 1));
	TELL(splice(fd, &from, ends[1], NULL, 100, 0));
	TELL(splice(ends[0], NULL, other, &to, 50, 0));
	TELL(splice(ends[0], NULL, pair[0], NULL, 4000, SPLICE_F_NONBLOCK));
	TELL(splice(fd, NULL, other, NULL, 10, 0));
	TELL(tee(fd, ends[1], 10, 0));
	TELL(vmsplice(ends[1], &(struct iovec){room, 10}, 1, 0));
	TELL(vmsplice(fd, &(struct iovec){room, 10}, 1, 0));
	TELL(read(ends[0], room, sizeof room));
	from = 0, to = 5000;
	TELL(copy_file_range(fd, &from, other, &to, 2000, 0));
	TELL(copy_file_range(fd, &from, fd, &from, 10, 0));
	TELL(copy_file_range(fd, &from, ends[1], NULL, 10, 0));
	TELL(copy_file_range(fd, &from, reads, NULL, 10, 0));
	printf("  %ld %ld\n", (long)from, (long)to);
	TELL(lseek(other, 0, SEEK_END));
	IS(ioctl(other, FICLONE, fd) == 0 || errno == EOPNOTSUPP || errno == ENOTTY); /* as its file system can */
	IS(ioctl(other, FICLONERANGE, &(struct file_clone_range){.src_fd = fd}) == 0 || errno == EOPNOTSUPP);
	close(other);
}

static void whole_files(void)
{
	struct stat st;

	TELL(posix_fallocate(fd, 0, 20000));
	where();
	TELL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 30000));
	where();
	TELL(fallocate(reads, 0, 0, 10));
	TELL(fallocate(fd, 0, -1, 10));
	TELL(fsync(fd));
	TELL(fdatasync(reads));
	TELL(fsync(ends[0]));
	TELL(sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE));
	TELL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	TELL(posix_fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL));
	TELL(readahead(fd, 0, 4096));
	TELL(ftruncate(fd, 10000));
	TELL(ftruncate(reads, 0));
	TELL(ftruncate(fd, -1));
	where();
	OK(futimens(fd, (struct timespec[]){{1000, 5}, {2000, 6}}));
	TELL(futimens(fd, (struct timespec[]){{0, UTIME_OMIT}, {0, UTIME_NOW}}));
	OK(stat("f", &st));
	printf("%ld %ld, now: %d\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, labs(st.st_mtim.tv_sec - time(NULL)) < 60);
	TELL(utimensat(AT_FDCWD, "f", (struct timespec[]){{0, 2000000000}, {0, 0}}, 0));
	TELL(syscall(SYS_utimensat, fd, NULL, (struct timespec[]){{3000, 0}, {0, UTIME_OMIT}}, 0));
	OK(stat("f", &st));
	printf("%ld\n", (long)st.st_atim.tv_sec);
	TELL(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0));
}

static void mappings(void)
{
	char byte = 0;

	char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	IS(own != MAP_FAILED);
	OK(pwrite(fd, "file", 4, 0));
	own[100] = 'm';
	OK(pread(fd, &byte, 1, 100));
	printf("%d\n", byte);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	IS(shared != MAP_FAILED);
	shared[100] = 's';
	OK(msync(shared, 8192, MS_SYNC));
	OK(pread(fd, &byte, 1, 100));
	printf("%d %d\n", byte, own[100]);
	TELL(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reads, 0) == MAP_FAILED);
	TELL(mmap(NULL, 4096, PROT_READ, MAP_SHARED, writes, 0) == MAP_FAILED);
	TELL(mmap(NULL, 0, PROT_READ, MAP_SHARED, reads, 0) == MAP_FAILED);
	TELL(mprotect(mmap(NULL, 4096, PROT_READ, MAP_SHARED, reads, 0), 4096, PROT_READ | PROT_WRITE));
	TELL(munmap(shared, 8192));
}

int main(void)
{
	char content[10000];

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof content; i++)
		content[i] = (char)(i * 7);
	fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	EQ(write(fd, content, sizeof content), sizeof content);
	reads = OK(open("f", O_RDONLY));
	writes = OK(open("f", O_WRONLY));
	OK(pipe(ends));
	edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	IS(edge != MAP_FAILED);
	edge += 4096;
	OK(mprotect(edge, 4096, PROT_NONE));
	edges();
	OK(ftruncate(fd, sizeof content));
	OK(pwrite(fd, content, sizeof content, 0));
	between();
	whole_files();
	mappings();
	sizes();
	return 0;
}
