/* SPDX-License-Identifier: GPL-2.0-or-later
 * What every guest uses: a check that says where and why, and where in the world it runs.
 * A guest's status: 0 as it should be, 1 not (stderr says why), 77 this machine cannot try it. */
#ifndef GUEST_H
#define GUEST_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 3, 4), unused)) static void fail(const char *file, int line,
									  const char *format, ...)
{
	char text[6000];
	int n = snprintf(text, sizeof text, "%s:%d: ", file, line);
	va_list args;

	va_start(args, format);
	vsnprintf(text + n, sizeof text - n, format, args);
	va_end(args);
	dprintf(2, "%s\n", text);
	_exit(1);
}

#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
/* True, or the guest has failed. */
#define IS(condition) \
	do { if (!(condition)) FAIL("not so: %s (errno %s)", #condition, strerrorname_np(errno)); } while (0)
/* A call that must not fail; its value. */
#define OK(call) \
	({ \
		errno = 0; \
		long value_ = (long)(call); \
		if (value_ == -1) \
			FAIL("%s: %s (%d)", #call, strerrorname_np(errno), errno); \
		value_; \
	})
/* Two integers that must be the same. */
#define EQ(left, right) \
	do { long l_ = (long)(left), r_ = (long)(right); \
	     if (l_ != r_) FAIL("%s is %ld, not %ld (%s)", #left, l_, r_, #right); } while (0)
/* A call that must fail with this errno. */
#define ERR(call, number) \
	do { errno = 0; long v_ = (long)(call); \
	     if (v_ != -1) FAIL("%s gives %ld, not %s", #call, v_, #number); \
	     if (errno != (number)) FAIL("%s: %s (%d), not %s", #call, strerrorname_np(errno), errno, #number); \
	} while (0)
/* Two strings that must be the same. */
#define SAME(left, right) \
	do { const char *l_ = (left), *r_ = (right); \
	     if (!l_ || strcmp(l_, r_)) FAIL("%s is '%s', not '%s'", #left, l_ ? l_ : "(null)", r_); } while (0)
#define SKIP(why) do { dprintf(2, "%s\n", why); _exit(77); } while (0)

/* Where "/" appears again in this world: "", "/unreal", "/unreal/unreal". */
__attribute__((unused)) static const char *prefix(void) { return getenv("PREFIX") ?: ""; }
/* True when unreal is loaded: this world has /unreal, whatever its prefix. */
__attribute__((unused)) static bool loaded(void) { return *(getenv("LOADED") ?: ""); }
/* True when the core answers for the files here itself: no inotify, no socket of 108 bytes. */
__attribute__((unused)) static bool emulated(void) { return *(getenv("EMULATED") ?: ""); }

/* printf into fresh memory that nobody frees. */
__attribute__((unused, format(printf, 1, 2))) static char *text(const char *format, ...)
{
	char *made;
	va_list args;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		FAIL("no memory");
	va_end(args);
	return made;
}

/* The cwd's name, from the kernel or the view. */
__attribute__((unused)) static char *here(void)
{
	char *name = getcwd(NULL, 0);

	if (!name)
		FAIL("getcwd: %s", strerrorname_np(errno));
	return name;
}

/* A file with this content; mode 0755, so that it can be a script. */
__attribute__((unused)) static void put(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) || close(fd))
		FAIL("writing %s: %s", path, strerrorname_np(errno));
}

/* A file's content (up to 64 KiB). */
__attribute__((unused)) static char *get(const char *path)
{
	char *content = calloc(1, 65537);
	int fd = open(path, O_RDONLY), n;

	if (fd < 0)
		FAIL("reading %s: %s", path, strerrorname_np(errno));
	for (int used = 0; (n = read(fd, content + used, 65536 - used)) > 0; used += n)
		;
	close(fd);
	return content;
}

/* A symbolic link's target. */
__attribute__((unused)) static char *target(const char *path)
{
	char *content = calloc(1, PATH_MAX + 1);

	if (readlink(path, content, PATH_MAX) < 0)
		FAIL("readlink %s: %s", path, strerrorname_np(errno));
	return content;
}

/* Run argv to its end; its status as a shell tells it, its standard output in *said. */
__attribute__((unused)) static int run(char *const argv[], char **said)
{
	int ends[2], status, used = 0, n;
	char *content = calloc(1, 65537);

	OK(pipe2(ends, O_CLOEXEC));
	pid_t child = OK(fork());
	if (!child) {
		dup2(ends[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], content + used, 65536 - used)) > 0)
		used += n;
	close(ends[0]);
	EQ(waitpid(child, &status, 0), child);
	if (said)
		*said = content;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Run a function in a child; it must succeed (a FAIL in it is one here). */
__attribute__((unused)) static void in_child(void (*body)(void))
{
	int status;
	pid_t child = OK(fork());

	if (!child) {
		body();
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		_exit(77);
	if (status)
		FAIL("a child ended with wait status %#x", status);
}

/* Milliseconds of the monotonic clock. */
__attribute__((unused)) static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

__attribute__((unused)) static void pause_ms(int wait)
{
	struct timespec t = {wait / 1000, wait % 1000 * 1000000L};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}
#endif
