/* SPDX-License-Identifier: GPL-2.0-or-later
 * What proc says of a task of the view is what it would say outside: nobody traces it, a stopped
 * job is stopped, files have the names they were opened by.  However one gets to the file of proc. */
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

struct query { /* struct procmap_query, linux/fs.h */
	uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_size;
	uint64_t name, build;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct query)

static bool hides(void) { return loaded() || !strcmp(getenv("WORLD"), "native"); }

/* A file's content, opened relative to a directory. */
static char *get_at(int dir, const char *name)
{
	char *content = calloc(1, 65537);
	int fd = OK(openat(dir, name, O_RDONLY)), n;

	for (int used = 0; (n = read(fd, content + used, 65536 - used)) > 0; used += n)
		;
	close(fd);
	return content;
}

static void nobody_traces(const char *status)
{
	if (hides() && !strstr(status, "\nTracerPid:\t0\n"))
		FAIL("traced: %s", status);
}

static void states(void)
{
	int status;
	pid_t child = OK(fork());

	if (!child)
		for (;;)
			pause();
	OK(kill(child, SIGSTOP));
	EQ(waitpid(child, &status, WUNTRACED), child);
	char state = hides() ? 'T' : 't';
	char *said = strrchr(get(text("/proc/%d/stat", child)), ')');
	EQ(said[2], state);
	said = strrchr(get(text("/proc/%d/task/%d/stat", child, child)), ')');
	EQ(said[2], state);
	said = get(text("/proc/%d/status", child));
	IS(strstr(said, hides() ? "State:\tT (stopped)\n" : "State:\tt (tracing stop)\n"));
	nobody_traces(said);
	int dir = OK(open(text("/proc/%d", child), O_RDONLY | O_DIRECTORY));
	EQ(strrchr(get_at(dir, "stat"), ')')[2], state);
	nobody_traces(get_at(dir, "status"));
	OK(kill(child, SIGCONT));
	for (double end = ms() + 5000; strrchr(get_at(dir, "stat"), ')')[2] != 'S';)
		if (ms() > end)
			FAIL("it does not run on: %s", get_at(dir, "stat"));
	OK(kill(child, SIGKILL));
	EQ(waitpid(child, &status, 0), child);
}

static void traced(void)
{
	nobody_traces(get("/proc/self/status"));
	IS(strstr(get("/proc/self/status"), "\nState:\tR (running)\n"));  /* who looks, runs */
	nobody_traces(get("/proc/thread-self/status"));
	nobody_traces(get(text("/proc/%d/task/%d/status", getpid(), gettid())));
	IS(strstr(get("/proc/self/status"), text("\nPid:\t%d\n", getpid())));
	char *before = here();
	OK(chdir("/proc/self"));
	nobody_traces(get("status"));
	nobody_traces(get("./status"));
	nobody_traces(get("../self/status"));
	nobody_traces(get("task/../status"));
	OK(chdir(before));
	ERR(open("/proc/self/status", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void mounts(void)
{
	static const char *const names[] = {"mounts", "mountinfo", "mountstats"};
	int dir = OK(open("/proc/self", O_RDONLY | O_DIRECTORY));
	char line[64];

	snprintf(line, sizeof line, " %s", loaded() ? "/unreal " : "/proc ");
	for (int n = 0; n < 3; n++) {
		char *said = get(text("/proc/self/%s", names[n]));
		IS(strstr(said, line));
		SAME(get_at(dir, names[n]), said);
		SAME(get(text("/proc/%d/%s", getpid(), names[n])), said);
		if (n < 2)
			SAME(get(text("/proc/thread-self/%s", names[n])), said);
	}
	SAME(get("/proc/mounts"), get("/proc/self/mounts"));
	int fd = OK(open("/proc/self/mountinfo", O_RDONLY));
	struct pollfd changed = {fd, POLLPRI, 0};
	IS(OK(poll(&changed, 1, 0)) >= 0);
	SAME(target(text("/proc/self/fd/%d", fd)), text("/proc/%d/mountinfo", getpid()));
	SAME(get(text("/proc/self/fd/%d", fd)), get("/proc/self/mountinfo"));
	struct epoll_event event = {.events = EPOLLPRI | EPOLLET}, got; /* as libmount watches it */
	int poller = OK(epoll_create1(0)), kept = OK(dup(fd));
	OK(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event));
	ERR(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), EEXIST);
	EQ(fcntl(fd, F_GETFD), 0);
	IS(OK(epoll_wait(poller, &got, 1, 0)) >= 0);
	OK(epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event));
	IS(strstr(get(text("/proc/self/fd/%d", kept)), loaded() ? "/unreal " : "/proc "));
	close(kept);
	close(poller);
	close(fd);
	fd = OK(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
	poller = OK(epoll_create1(0));
	OK(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event));
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	int status = OK(open("/proc/self/status", O_RDONLY));
	ERR(epoll_ctl(poller, EPOLL_CTL_ADD, status, &event), EPERM);
	close(status);
	close(poller);
	close(fd);
}

static void maps(void)
{
	char *where = here(), name[PATH_MAX];

	put("mapped", "some bytes");
	int fd = OK(open("mapped", O_RDONLY));
	char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	IS(at != MAP_FAILED);
	char *range = text("%lx-%lx", (long)at, (long)at + 4096);
	char *said = strstr(get("/proc/self/maps"), range);
	IS(said && strstr(said, text("%s/mapped\n", where)));
	SAME(target(text("/proc/self/map_files/%s", range)), text("%s/mapped", where));

	int maps = OK(open("/proc/self/maps", O_RDONLY));
	struct query q = {.size = sizeof q, .address = (uint64_t)at, .name = (uint64_t)name,
			  .name_size = sizeof name};
	if (ioctl(maps, PROCMAP_QUERY, &q) < 0) {
		EQ(errno, ENOTTY); /* Linux < 6.11 */
		return;
	}
	SAME(name, text("%s/mapped", where));
	EQ(q.start, at);
	EQ(q.end, at + 4096);
	EQ(q.name_size, strlen(name) + 1);
	q.name_size = 3;
	ERR(ioctl(maps, PROCMAP_QUERY, &q), ENAMETOOLONG);
	q.name_size = q.name = 0;
	OK(ioctl(maps, PROCMAP_QUERY, &q));
	q.address = 0;
	ERR(ioctl(maps, PROCMAP_QUERY, &q), ENOENT);
	ERR(ioctl(maps, PROCMAP_QUERY, NULL), EFAULT);
	ERR(ioctl(fd, PROCMAP_QUERY, &q), ENOTTY);
	close(maps);
}

static void descriptors(void)
{
	int fd = OK(open("mapped", O_RDWR | O_APPEND | O_CLOEXEC));

	EQ(lseek(fd, 5, SEEK_SET), 5);
	char *said = get(text("/proc/self/fdinfo/%d", fd));
	IS(strstr(said, "pos:\t5\n"));
	IS(strstr(said, text("flags:\t0%o\n", O_RDWR | O_APPEND | O_CLOEXEC | 0100000)));
	IS(strstr(said, "mnt_id:\t"));
	static const struct { int flags, bits; } ways[] = {
		{O_RDONLY, 0500}, {O_WRONLY, 0300}, {O_RDWR, 0700}, {O_PATH, 0}};
	for (int n = 0; n < 4; n++) {
		struct stat s;
		fd = OK(open("mapped", ways[n].flags));
		OK(lstat(text("/proc/self/fd/%d", fd), &s));
		EQ(s.st_mode, S_IFLNK | ways[n].bits);
		OK(fstatat(AT_FDCWD, text("/proc/thread-self/fd/%d", fd), &s, AT_SYMLINK_NOFOLLOW));
		EQ(s.st_mode, S_IFLNK | ways[n].bits);
		close(fd);
	}
}

int main(void)
{
	alarm(30);
	traced();
	states();
	mounts();
	maps();
	descriptors();
	return 0;
}
