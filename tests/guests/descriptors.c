/* SPDX-License-Identifier: GPL-2.0-or-later
 * Descriptors of files of this world are like any: shared, passed, duplicated, closed in ranges and by
 * exec, waited for beside others, and closed while another thread uses them. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void holds(int fd, long at, const char *said)
{
	char room[64] = "";

	EQ(pread(fd, room, sizeof room - 1, at), strlen(said));
	SAME(room, said);
}

/* Before exec, what is shared by CLONE_FILES ceases to be. */
static void executes(char *self)
{
	int flags = CLONE_FILES | SIGCHLD, kept = OK(open("f", O_RDONLY)), status;
	int closes = OK(open("f", O_RDONLY | O_CLOEXEC));
	pid_t child = OK(syscall(SYS_clone, flags, 0, 0, 0, 0));

	if (!child) {
		execl(self, self, text("%d", kept), text("%d", closes), NULL);
		_exit(1);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	holds(kept, 0, "content");
	holds(closes, 0, "content");
	EQ(fcntl(closes, F_GETFD), FD_CLOEXEC);
	close(kept);
	close(closes);
}

static void ranges(void)
{
	int fd = OK(open("f", O_RDONLY)), ends[2];
	char room[10] = "";

	OK(close_range(fd, fd, 0));
	ERR(read(fd, room, 1), EBADF);
	OK(pipe(ends));
	EQ(ends[0], fd);
	EQ(write(ends[1], "pipe", 4), 4);
	EQ(read(ends[0], room, sizeof room), 4);
	SAME(room, "pipe");
	int again = OK(open("f", O_RDONLY));
	OK(close_range(ends[0], ends[1], CLOSE_RANGE_CLOEXEC));
	EQ(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	EQ(fcntl(again, F_GETFD), 0);
	OK(close_range(ends[0], again, 0));
	EQ(OK(open("f", O_RDONLY)), fd);
	close(fd);
}

static void duplicates(void)
{
	int fd = OK(open("f", O_RDWR)), status;
	char room[10] = "";

	int copy = OK(dup(fd)), high = OK(fcntl(fd, F_DUPFD_CLOEXEC, 100));
	EQ(high, 100);
	EQ(fcntl(high, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(copy, F_GETFD), 0);
	EQ(OK(dup3(fd, 90, O_CLOEXEC)), 90);
	EQ(fcntl(90, F_GETFD), FD_CLOEXEC);
	ERR(dup3(fd, fd, 0), EINVAL);
	EQ(read(copy, room, 3), 3);
	EQ(lseek(high, 0, SEEK_CUR), 3);
	pid_t child = OK(fork());
	if (!child)
		_exit(lseek(90, 1, SEEK_CUR) != 4);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	EQ(lseek(fd, 0, SEEK_CUR), 4);
	EQ(pread(fd, room, 2, 0), 2);
	EQ(pwrite(fd, "c", 1, 0), 1);
	EQ(lseek(fd, 0, SEEK_CUR), 4);
	EQ(lseek(fd, 100, SEEK_SET), 100);
	EQ(read(fd, room, 1), 0);
	ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	ERR(lseek(fd, 100, SEEK_DATA), ENXIO);
	EQ(lseek(fd, 0, SEEK_DATA), 0);
	EQ(lseek(fd, 0, SEEK_HOLE), 7);
	close(fd);
	close(copy);
	EQ(lseek(high, 0, SEEK_CUR), 7);
	close(high);
	close(90);
}

static void appends(void)
{
	int one = OK(open("log", O_CREAT | O_WRONLY | O_APPEND, 0644));
	int other = OK(open("log", O_RDWR | O_APPEND));

	EQ(write(one, "ab", 2), 2);
	EQ(write(other, "cd", 2), 2);
	EQ(lseek(one, 0, SEEK_SET), 0);
	EQ(write(one, "ef", 2), 2);
	EQ(lseek(one, 0, SEEK_CUR), 6);
	holds(other, 0, "abcdef");
	OK(fcntl(other, F_SETFL, 0));
	EQ(fcntl(other, F_GETFL) & O_APPEND, 0);
	EQ(fcntl(one, F_GETFL) & (O_APPEND | O_ACCMODE), O_APPEND | O_WRONLY);
	EQ(pwrite(other, "A", 1, 0), 1);
	holds(other, 0, "Abcdef");
	close(one);
	close(other);
}

static void flags(void)
{
	int fd = OK(open("f", O_RDONLY)), on = 1, off = 0;

	OK(ioctl(fd, FIOCLEX));
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(ioctl(fd, FIONCLEX));
	EQ(fcntl(fd, F_GETFD), 0);
	OK(ioctl(fd, FIONBIO, &on));
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	OK(ioctl(fd, FIONBIO, &off));
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	holds(fd, 0, "content");
	close(fd);
}

/* Files are always ready; what is beside them need not be. */
static void waits(void)
{
	int fd = OK(open("f", O_RDWR)), ends[2], poller = OK(epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN};

	OK(pipe(ends));
	struct pollfd asked[] = {{fd, POLLIN | POLLOUT, 0}, {ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {-1, POLLIN, 0}};
	EQ(poll(asked, 4, -1), 2);
	EQ(asked[0].revents, POLLIN | POLLOUT);
	EQ(asked[1].revents, 0);
	EQ(asked[2].revents, POLLOUT);
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(ends[0], &in);
	FD_SET(fd, &out);
	EQ(select(20, &in, &out, NULL, NULL), 2);
	IS(FD_ISSET(fd, &in) && FD_ISSET(fd, &out) && !FD_ISSET(ends[0], &in));
	ERR(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), EPERM);
	OK(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event));
	EQ(epoll_wait(poller, &event, 1, 0), 0);
	EQ(write(ends[1], "x", 1), 1);
	EQ(epoll_wait(poller, &event, 1, -1), 1);
	asked[1].revents = 0;
	EQ(poll(asked, 2, -1), 2);
	EQ(asked[1].revents, POLLIN);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	close(poller);
}

static int received(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

	EQ(recvmsg(from, &message, MSG_CMSG_CLOEXEC), 1);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	IS(head && head->cmsg_type == SCM_RIGHTS);
	return *(int *)(void *)CMSG_DATA(head);
}

static void sent(int to, int fd)
{
	char byte = 'x';
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	EQ(sendmsg(to, &message, 0), 1);
}

/* A child that has never opened a file gets ones: by a message, by its parent's pidfd, from proc. */
static void passes(void)
{
	int ends[2], status, fd = OK(open("f", O_RDWR));

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	EQ(lseek(fd, 2, SEEK_SET), 2);
	pid_t child = OK(fork());
	if (!child) {
		char room[10] = "";
		close(fd);
		close(ends[0]);
		int got = received(ends[1]);
		EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
		EQ(read(got, room, 3), 3);
		SAME(room, "nte");
		SAME(target(text("/proc/self/fd/%d", got)), text("%s/f", here()));
		struct stat given, named;
		OK(fstat(got, &given));
		OK(stat("f", &named));
		EQ(given.st_ino, named.st_ino);
		int mine = OK(open("child's", O_CREAT | O_RDWR, 0644));
		EQ(write(mine, "mine", 4), 4);
		EQ(write(ends[1], &mine, sizeof mine), sizeof mine);
		EQ(read(ends[1], room, 1), 1);
		_exit(0);
	}
	close(ends[1]);
	sent(ends[0], fd);
	int theirs;
	EQ(read(ends[0], &theirs, sizeof theirs), sizeof theirs);
	EQ(lseek(fd, 0, SEEK_CUR), 5);
	int handle = OK(syscall(SYS_pidfd_open, child, 0));
	int taken = (int)syscall(SYS_pidfd_getfd, handle, theirs, 0);
	if (taken < 0)
		EQ(errno, EPERM); /* yama's ptrace_scope */
	else
		holds(taken, 0, "mine");
	holds(OK(open(text("/proc/%d/fd/%d", child, theirs), O_RDONLY)), 0, "mine");
	EQ(write(ends[0], "x", 1), 1);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
	if (taken >= 0)
		holds(taken, 0, "mine");
	close(fd);
}

/* Objects that are no files, made while one is open. */
static void others(void)
{
	int fd = OK(open("f", O_RDONLY)), memory = OK(memfd_create("m", 0)), event = OK(eventfd(3, 0));
	uint64_t count = 0;
	sigset_t set;

	EQ(write(memory, "memory", 6), 6);
	holds(OK(open(text("/proc/self/fd/%d", memory), O_RDONLY)), 0, "memory");
	IS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, 0) != MAP_FAILED);
	EQ(read(event, &count, 8), 8);
	EQ(count, 3);
	int timer = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	OK(timerfd_settime(timer, 0, &(struct itimerspec){.it_value = {0, 1000000}}, NULL));
	EQ(read(timer, &count, 8), 8);
	EQ(count, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	int signals = OK(signalfd(-1, &set, 0));
	OK(raise(SIGUSR1));
	struct signalfd_siginfo about;
	EQ(read(signals, &about, sizeof about), sizeof about);
	EQ(about.ssi_signo, SIGUSR1);
	pid_t child = OK(fork());
	if (!child)
		_exit(0);
	struct pollfd ends = {OK(syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
	EQ(poll(&ends, 1, -1), 1);
	EQ(waitpid(child, NULL, 0), child);
	holds(fd, 0, "content");
	close(fd);
}

static int used;
static volatile pid_t reader;

static void *reads(void *got)
{
	reader = gettid();
	EQ(read(used, got, 4), 4);
	return NULL;
}

/* Who reads goes on with the file that he had, when another thread closes its descriptor. */
static void closed_in_use(void)
{
	pthread_t thread;
	char got[5] = "";

	OK(mkfifo("p", 0600));
	used = OK(open("p", O_RDWR));
	int other = OK(open("p", O_WRONLY));
	EQ(pthread_create(&thread, NULL, reads, got), 0);
	while (!reader || !strstr(get(text("/proc/self/task/%d/status", reader)), "State:\tS"))
		pause_ms(1);
	close(used);
	EQ(OK(open("f", O_RDONLY)), used);
	EQ(write(other, "late", 4), 4);
	EQ(pthread_join(thread, NULL), 0);
	SAME(got, "late");
	holds(used, 0, "content");
	close(used);
	close(other);
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		holds(atoi(argv[1]), 0, "content");
		ERR(fcntl(atoi(argv[2]), F_GETFD), EBADF);
		return 0;
	}
	put("f", "content");
	int next = OK(dup(0));
	close(next);
	executes(argv[0]);
	ranges();
	duplicates();
	put("f", "content");
	appends();
	flags();
	waits();
	EQ(dup(0), next);
	close(next);
	closed_in_use();
	EQ(dup(0), next);
	passes();
	others();
	return 0;
}
