/* SPDX-License-Identifier: GPL-2.0-or-later
 * Steps of the fuzzer that are more than a call with random arguments: mappings, listings, fcntl,
 * ioctl, poll and epoll, programs. */
#ifndef FUZZ_MOVES_H
#define FUZZ_MOVES_H
#include "fuzz_told.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAPPINGS 5

static uint64_t now_at; /* the index of this call */
static sigjmp_buf fault;
static volatile sig_atomic_t guarded;
static struct {
	unsigned char *start;
	size_t length;
	bool shared;
} mappings[MAPPINGS];

static void say_result(long value)
{
	if (value < 0)
		say(" = %s", strerrorname_np(errno));
	else
		say(" = %ld", value);
}

/* -- mappings ------------------------------------------------------------------------------------ */

/* Read the first bytes of each page, or write one; a signal ends that. */
static void touch(unsigned char *volatile start, size_t length, bool writes)
{
	volatile size_t at = 0;
	volatile uint64_t sum = HASH;
	int number = sigsetjmp(fault, 1);

	guarded = 1;
	written |= writes;
	if (!number) {
		for (; at < length; at += PAGE) {
			if (writes)
				start[at] = (unsigned char)(now_at + at / PAGE);
			else
				sum = hash(sum, start + at, 64);
		}
		say(" %016llx", (unsigned long long)sum);
	} else {
		say(" %s at page %zu", sigabbrev_np(number), (size_t)at / PAGE);
	}
	guarded = 0;
}

/* A private mapping is looked at at once: later the kernel may show what the file has become. */
static void map(void)
{
	static const int protections[] = {PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE, PROT_WRITE};
	static const int ways[] = {MAP_SHARED, MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, 0, MAP_SHARED | MAP_POPULATE};
	static const size_t lengths[] = {1, 4096, 8192, 10000, 65536, 0};
	unsigned slot = below(MAPPINGS);
	int protection = ONE_OF(protections), way = ONE_OF(ways);
	size_t length = ONE_OF(lengths);

	say("mmap(%zu, %d, %#x, ", length, protection, (unsigned)way);
	int fd = (int)a_descriptor(false);
	say(", ");
	long offset = chance(70) ? 0 : chance(70) ? (long)below(4) * 4096 : an_offset();
	if (emulated && llabs(offset) > 1L << 43)
		offset = 4096; /* how far is the file system's */
	say(" %ld) = ", offset);
	long at = syscall(SYS_mmap, 0, length, protection, way, fd, offset);

	if (at == -1) {
		say("%s", strerrorname_np(errno));
		return;
	}
	if (mappings[slot].start)
		munmap(mappings[slot].start, mappings[slot].length);
	mappings[slot].start = (unsigned char *)at;
	mappings[slot].length = length;
	mappings[slot].shared = way != MAP_PRIVATE;
	say("mapping %u", slot);
	touch(mappings[slot].start, length, false);
}

static void on_mapping(void)
{
	unsigned slot = below(MAPPINGS), what = below(10);
	unsigned char *start = mappings[slot].start;
	size_t length = mappings[slot].length;

	say("mapping %u: ", slot);
	if (emulated && !mappings[slot].shared)
		start = NULL; /* docs/limits.md: it was read at once */
	if (!start)
		start = (unsigned char *)1;
	if (what < 2) {
		say("munmap");
		say_result(munmap(start, length));
		mappings[slot].start = NULL;
	} else if (what < 4) {
		say("msync ");
		say_result(syscall(SYS_msync, start, length, a_flag('G')));
	} else if (what < 5) {
		say("mprotect");
		say_result(mprotect(start, length, chance(50) ? PROT_READ : PROT_READ | PROT_WRITE));
	} else if (start == (unsigned char *)1) {
		say("nothing");
	} else if (mappings[slot].start && (what < 7 || !mappings[slot].shared)) {
		say("write");
		touch(start, length, true);
	} else if (mappings[slot].start) {
		say("read");
		touch(start, length, false);
	}
}

/* -- descriptors --------------------------------------------------------------------------------- */

/* A whole listing, in pieces: what a second half shows of changes meanwhile is not said anywhere,
 * nor in which order names come. */
static void list(void)
{
	static const unsigned sizes[] = {24, 100, 300, 600, 4096, 40000};
	static char entries[40000];
	unsigned most = ONE_OF(sizes), count = 0;
	uint64_t sum = 0;
	long n;

	say("getdents64(");
	int fd = (int)a_descriptor(false);
	say(", %u)", most);
	lseek(fd, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, fd, entries, most)) > 0) {
		for (long at = 0; at < n; count++) {
			struct dirent64 *entry = (struct dirent64 *)(entries + at);

			sum += hash(HASH + entry->d_type, (unsigned char *)entry->d_name, strlen(entry->d_name));
			at += entry->d_reclen;
		}
	}
	say_result(n);
	if (!n)
		say(" %u %016llx", count, (unsigned long long)sum);
	lseek(fd, 0, SEEK_SET);
}

/* A directory's offsets are its file system's. */
static void seek(void)
{
	struct stat st;

	say("lseek(");
	uint64_t fd = a_descriptor(false);
	say(", ");
	long offset = an_offset();
	say(", ");
	uint64_t whence = a_flag('h');
	if (!fstat((int)fd, &st) && S_ISDIR(st.st_mode)) {
		say(" directory");
		offset = 0;
		whence = 0;
	}
	if (emulated && llabs((long long)offset) > 1LL << 43) {
		say(" far"); /* how far is the file system's */
		offset = 0;
	}
	say(")");
	say_result(syscall(SYS_lseek, fd, offset, whence));
}

/* The locks of a process and those of a descriptor: a round has one kind, as emulation lets the
 * first kind live longer (docs/limits.md). */
static void lock(uint64_t fd)
{
	static const short kinds[] = {F_RDLCK, F_WRLCK, F_UNLCK, 3}, whences[] = {0, 0, 1, 2, 3};
	struct stat st;
	bool of_file = now_at / 200 % 2;
	int command = chance(40) ? (of_file ? F_OFD_GETLK : F_GETLK) : of_file ? F_OFD_SETLK : F_SETLK;
	struct flock *wanted = take(sizeof *wanted);

	*wanted = (struct flock){.l_type = ONE_OF(kinds), .l_whence = ONE_OF(whences), .l_pid = chance(5)};
	if (emulated && !fstat((int)fd, &st) && S_ISDIR(st.st_mode))
		wanted->l_whence = 0; /* a directory's end is its file system's */
	say("%d, {%d %d %d ", command, wanted->l_type, wanted->l_whence, wanted->l_pid);
	wanted->l_start = an_offset();
	say(" ");
	wanted->l_len = an_offset();
	say("})");
	say_result(syscall(SYS_fcntl, fd, command, chance(97) ? (uint64_t)wanted : 1));
	if (command == F_GETLK || command == F_OFD_GETLK)
		say(" %d %d %ld %ld %s", wanted->l_type, wanted->l_whence, wanted->l_start, wanted->l_len,
		    wanted->l_pid == getpid() ? "me" : wanted->l_pid < 0 ? "file" : wanted->l_pid ? "set" : "0");
}

/* Not F_SETSIG and F_SETLEASE: docs/limits.md. */
static void control(void)
{
	static const int commands[] = {
		F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_GETFL, F_SETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETOWN,
		F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS, 1027, 1028, 12345, -1,
	};
	static const int flags[] = {0, 0, O_APPEND, O_APPEND, O_NOATIME, O_ASYNC, O_RDWR, O_CREAT};
	int command = ONE_OF(commands), argument = (int)below(12);

	say("fcntl(");
	uint64_t fd = a_descriptor(false);
	say(", ");
	if (emulated && (command < 0 || command == 1028 || command > 2000))
		command = F_GETFL; /* F_CREATED_QUERY; what there is not */
	if (chance(40)) {
		lock(fd);
		return;
	}
	if (command == F_SETFL)
		argument = O_NONBLOCK | ONE_OF(flags);
	else if (command == 1027)
		argument = (int)below(12);
	else if (chance(6))
		argument = chance(50) ? -1 : 1000;
	say("%d, %d)", command, argument);
	say_result(syscall(SYS_fcntl, fd, command, argument));
}

/* Not those of a file system (flags, extents, clones): a virtual tree is another one. */
static void ask(void)
{
	static const unsigned requests[] = {0x541b, 0x5451, 0x5450, 2, 0x5401, 0x5413, 0x1234, 0x5421, 1, 0x5460};
	unsigned request = ONE_OF(requests);
	long *answer = take(sizeof *answer);

	*answer = request == 0x5421; /* FIONBIO: on */
	say("ioctl(");
	uint64_t fd = a_descriptor(false);
	say(", %#x)", request);
	say_result(syscall(SYS_ioctl, fd, request, chance(95) ? (uint64_t)answer : 0));
	if (request == 0x541b || request == 2)
		say(" %#lx", *answer);
}

/* Emulated descriptors are sockets to poll(2), those of O_PATH, too. */
static int watched(void)
{
	int fd = (int)a_descriptor(false), flags = fcntl(fd, F_GETFL);

	return emulated && flags >= 0 && flags & O_PATH ? -1 : fd;
}

static void wait_for_none(void)
{
	struct pollfd *those = take(4 * sizeof *those);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
	int watch;

	if (chance(50)) {
		say("poll(");
		for (int i = 0; i < 4; i++) {
			those[i].fd = watched();
			those[i].events = (short)(below(0x400) & (emulated ? 0x145 : 0xffff)); /* sockets */
			say(":%#x ", (unsigned)those[i].events);
		}
		say(")");
		say_result(syscall(SYS_poll, those, 4, 0));
		for (int i = 0; i < 4; i++)
			say(" %#x", (unsigned)those[i].revents);
		return;
	}
	say("epoll_ctl(");
	watch = epoll_create1(0);
	int fd = watched();
	say(")");
	say_result(epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event));
	say_result(epoll_wait(watch, &event, 1, 0));
	close(watch);
}

static void make_pipe(void)
{
	static const int flags[] = {0, O_CLOEXEC, O_DIRECT, 1 << 30};
	int *ends = take(2 * sizeof *ends), flag = ONE_OF(flags) | O_NONBLOCK;

	say("pipe2(%#x)", (unsigned)flag);
	say_result(syscall(SYS_pipe2, chance(95) ? ends : (int *)1, flag));
	say(" %d %d", ends[0], ends[1]);
}

/* A program, in a child. */
static void execute(void)
{
	char *const argv[] = {(char *)(uintptr_t)"x", NULL};
	int status;

	say("execveat(");
	uint64_t fd = a_descriptor(true), name;
	say(", ");
	name = a_name();
	say(", ");
	uint64_t flags = a_flag('0');
	say(")");
	pid_t child = fork();

	if (!child) {
		syscall(SYS_execveat, fd, name, chance(95) ? (void *)(uintptr_t)argv : (void *)8, NULL, flags);
		_exit(errno);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		give_up("fork");
	if (WIFEXITED(status) && WEXITSTATUS(status) > 1)
		say(" = %s", strerrorname_np(WEXITSTATUS(status)));
	else
		say(" ended %#x", (unsigned)status);
}

static void (*const moves[])(void) = {
	map, map, on_mapping, on_mapping, on_mapping, list, list, seek, seek, control, control, control, ask,
	wait_for_none, make_pipe, execute,
};
#endif
