/* SPDX-License-Identifier: GPL-2.0-or-later
 * The working directory: its name in this world, shared by threads, kept over fchdir, rename and
 * removal, inherited by children. */
#include "guest.h"
#include <pthread.h>

static void *moves(void *to) { OK(chdir(to)); return NULL; }

static void in_a_thread(const char *where)
{
	pthread_t thread;

	pthread_create(&thread, NULL, moves, (void *)where);
	pthread_join(thread, NULL);
}

static void deleted(void)
{
	char buffer[PATH_MAX];
	struct stat s;

	OK(mkdir("gone", 0755));
	OK(chdir("gone"));
	OK(rmdir(text("%s", here())));
	ERR(syscall(SYS_getcwd, buffer, sizeof buffer), ENOENT);
	ERR(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
	ERR(mkdir("x", 0755), ENOENT);
	if (emulated()) {
		ERR(stat(".", &s), ENOENT); /* a virtual tree knows its files by their names */
	} else {
		OK(stat(".", &s));
		EQ(s.st_nlink, 0);
	}
	OK(stat("/etc", &s));
	if (emulated()) {
		ERR(chdir(".."), ENOENT);
		return;
	}
	OK(stat("..", &s)); /* the kernel still knows its parent */
	OK(chdir(".."));
	OK(access("a", F_OK));
}

static void unshared(void)
{
	OK(chdir("b"));
	OK(stat("../a", &(struct stat){}));
}

int main(void)
{
	char buffer[PATH_MAX], *where = here(), *real;

	if (strncmp(where, prefix(), strlen(prefix())))
		FAIL("here is %s, without %s", where, prefix());
	real = where + strlen(prefix());
	IS(*real == '/');
	SAME(target("/proc/self/cwd"), where);
	OK(mkdir("a", 0755));
	OK(mkdir("a/deep", 0755));
	OK(mkdir("b", 0755));

	in_a_thread("a"); /* seen by all threads */
	SAME(here(), text("%s/a", where));
	in_a_thread("..");
	SAME(here(), where);
	in_child(unshared);
	SAME(here(), where);

	int fd = OK(open("a/deep", O_RDONLY | O_DIRECTORY)), path = OK(open("b", O_PATH));
	OK(fchdir(fd));
	SAME(here(), text("%s/a/deep", where));
	OK(chdir("../.."));
	OK(fchdir(path));
	SAME(here(), text("%s/b", where));
	OK(chdir(".."));
	put("file", "");
	int file = OK(open("file", O_RDONLY));
	ERR(fchdir(file), ENOTDIR);
	ERR(fchdir(999), EBADF);
	ERR(chdir("file"), ENOTDIR);
	ERR(chdir("nothing"), ENOENT);
	ERR(chdir(""), ENOENT);
	OK(mkdir("closed", 0));
	ERR(chdir("closed"), EACCES);
	SAME(here(), where);

	int size = strlen(where) + 1;
	EQ(syscall(SYS_getcwd, buffer, size), size); /* the call counts the NUL */
	ERR(syscall(SYS_getcwd, buffer, size - 1), ERANGE);
	ERR(syscall(SYS_getcwd, buffer, 0), ERANGE);
	memset(buffer, '#', sizeof buffer);
	EQ(syscall(SYS_getcwd, buffer + 1, sizeof buffer - 1), size);
	IS(buffer[0] == '#' && buffer[size] == 0 && buffer[size + 1] == '#');

	OK(chdir("a/deep"));
	OK(rename("../../a", "../../renamed")); /* below us */
	SAME(here(), text("%s/renamed/deep", where));
	SAME(target("/proc/self/cwd"), here());
	OK(rename("../../renamed", "../../a"));
	OK(chdir("../.."));
	in_child(deleted);
	SAME(here(), where);

	OK(chdir(real)); /* the same place by its name without prefix, and back */
	SAME(here(), real);
	put("from-real", "1");
	OK(chdir(where));
	SAME(here(), where);
	SAME(get("from-real"), "1");
	OK(chdir("//"));
	SAME(here(), "/");
	OK(chdir(*prefix() ? prefix() : "/"));
	SAME(here(), *prefix() ? prefix() : "/");
	OK(chdir(text("%s/./a/../b//", where)));
	SAME(here(), text("%s/b", where));
	return 0;
}
