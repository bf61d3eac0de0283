/* SPDX-License-Identifier: GPL-2.0-or-later
 * /proc tells one story: cwd, exe, root and fd/N of oneself, and of another task of the view, name
 * what was opened by the name that it has in this world, and can be opened again. */
#include "guest.h"
#include <dirent.h>
#include <sys/mman.h>

static char *where;

/* The links of /proc/WHO, of a process whose cwd is `where`/d with `where`/f open as 50. */
static void links(const char *who, const char *exe)
{
	struct stat s, t;
	char *proc = text("/proc/%s", who);

	SAME(target(text("%s/cwd", proc)), text("%s/d", where));
	SAME(target(text("%s/exe", proc)), exe);
	SAME(target(text("%s/root", proc)), "/");
	SAME(target(text("%s/fd/50", proc)), text("%s/f", where));
	SAME(target(text("%s/fd/51", proc)), text("%s/d", where));
	SAME(get(text("%s/fd/50", proc)), "content");
	SAME(get(text("%s/cwd/../f", proc)), "content");
	SAME(get(text("%s/fd/51/../f", proc)), "content");
	OK(stat(text("%s/root%s/f", proc, where), &s));
	OK(stat(text("%s/exe", proc), &s));
	OK(stat(exe, &t));
	IS(s.st_ino == t.st_ino && s.st_dev == t.st_dev);
	OK(lstat(text("%s/exe", proc), &s));
	IS(S_ISLNK(s.st_mode));
	bool seen = false;
	DIR *fds = opendir(text("%s/fd", proc));
	for (struct dirent *e; (e = readdir(fds));)
		seen |= !strcmp(e->d_name, "50");
	closedir(fds);
	IS(seen);
	char *maps = get(text("%s/maps", proc));
	if (!strstr(maps, text(" %s\n", exe)))
		FAIL("no %s in %s/maps", exe, proc);
}

int main(int argc, char **argv)
{
	int to[2], from[2], status;
	char byte, *exe = target("/proc/self/exe");
	struct stat s, t;

	SAME(exe, argv[0]); /* tests name it by its path in the world */
	where = here();
	if (argc > 1) { /* the other task, after its exec */
		write(atoi(argv[1]), "r", 1);
		read(atoi(argv[2]), &byte, 1);
		return 0;
	}
	put("f", "content");
	OK(mkdir("d", 0755));
	OK(dup2(OK(open("f", O_RDONLY)), 50));
	OK(dup2(OK(open("d", O_RDONLY)), 51));
	OK(chdir("d"));
	links("self", exe);
	links("thread-self", exe);
	links(text("%d", getpid()), exe);
	links(text("self/task/%d", gettid()), exe);
	SAME(get("/dev/fd/50"), "content");

	OK(pipe(to));
	OK(pipe(from));
	pid_t child = OK(fork());
	if (!child) {
		execl(exe, exe, text("%d", from[1]), text("%d", to[0]), (char *)NULL);
		FAIL("exec: %s", strerrorname_np(errno));
	}
	EQ(read(from[0], &byte, 1), 1);
	links(text("%d", child), exe);
	OK(chdir(text("/proc/%d/cwd", child))); /* through another's link */
	SAME(here(), text("%s/d", where));
	OK(chdir("/"));
	OK(chdir("/proc/self/fd/51"));
	SAME(here(), text("%s/d", where));
	OK(chdir("/proc/self/cwd/.."));
	SAME(here(), where);
	write(to[1], "x", 1);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);

	int fd = OK(open("/proc/self/fd/50", O_RDONLY)); /* a description of its own */
	EQ(lseek(fd, 3, SEEK_SET), 3);
	EQ(lseek(50, 0, SEEK_CUR), 0);
	OK(unlink("f"));
	OK(fstat(50, &s));
	if (emulated()) {
		ERR(stat("/proc/self/fd/50", &t), ENOENT); /* its name was all that led to it */
	} else {
		SAME(target("/proc/self/fd/50"), text("%s/f (deleted)", where));
		OK(stat("/proc/self/fd/50", &t));
		EQ(s.st_ino, t.st_ino);
		EQ(t.st_nlink, 0);
		SAME(get("/proc/self/fd/50"), "content");
	}

	int memory = OK(memfd_create("name", 0)); /* what has no name in any tree */
	SAME(target(text("/proc/self/fd/%d", memory)), "/memfd:name (deleted)");
	fd = OK(open(text("/proc/self/fd/%d", memory), O_RDWR));
	OK(pipe(to));
	OK(fstat(to[0], &s));
	SAME(target(text("/proc/self/fd/%d", to[0])), text("pipe:[%ld]", (long)s.st_ino));
	ERR(readlink("/proc/self/fd/999", &byte, 1), ENOENT);
	ERR(readlink("/proc/self/nothing", &byte, 1), ENOENT);
	SAME(target("/proc/self"), text("%d", getpid()));
	return 0;
}
