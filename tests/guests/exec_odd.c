/* SPDX-License-Identifier: GPL-2.0-or-later
 * Programs that are unlike others: with an argument list as long as it may be, and longer; in memory; scripts
 * that close with the exec; and of another kind of machine, whose calls have other numbers. */
/* cc: -Wno-stringop-overread */
#include "guest.h"
#include <sys/mman.h>

/* exit(42) by int 0x80, as 32 bits have it. */
static const unsigned char other[] = {
	0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0,
	0x54, 0x80, 0x04, 0x08, 52, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0,
	1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, 100, 0, 0, 0, 100, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
	0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80, 0xf4, 0, 0, 0};

static int ends(pid_t child)
{
	int status;

	EQ(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Where a module is loaded its calls are ENOSYS, and it runs into the hlt after them. */
static void machines(void)
{
	int fd = OK(open("other", O_CREAT | O_WRONLY, 0755));
	EQ(write(fd, other, sizeof other), sizeof other);
	close(fd);
	pid_t child = OK(fork());
	if (!child) {
		execl("./other", "other", NULL);
		_exit(errno == ENOEXEC ? 126 : 1);
	}
	int end = ends(child);
	if (end != 126)
		EQ(end, loaded() ? -SIGSEGV : 42);
	OK(access("other", X_OK));
}

static void long_lists(char *self)
{
	enum { COUNT = 10, EACH = 100000 };
	char *argv[COUNT + 3] = {self, "count"}, *large = malloc(200000);

	for (int i = 2; i < COUNT + 2; i++)
		memset(argv[i] = calloc(1, EACH + 1), 'a' + i, EACH);
	pid_t child = OK(fork());
	if (!child) {
		execv(self, argv);
		FAIL("execv: %s", strerrorname_np(errno));
	}
	EQ(ends(child), COUNT + 2);
	memset(large, 'x', 199999);
	large[199999] = 0;
	argv[2] = large; /* one alone may have 128 KiB */
	ERR(execv(self, argv), E2BIG);
	char **many = calloc(2000002, sizeof *many);
	for (int i = 0; i < 2000000; i++)
		many[i] = "12345678";
	ERR(execv(self, many), E2BIG);
	ERR(execv(self, (char *const *)8), EFAULT);
	free(many);
}

static void in_memory(void)
{
	int program = OK(memfd_create("program", MFD_CLOEXEC)), from = OK(open("/bin/true", O_RDONLY)), n;
	char room[65536], *const argv[] = {"t", NULL};

	while ((n = read(from, room, sizeof room)) > 0)
		EQ(write(program, room, (size_t)n), n);
	pid_t child = OK(fork());
	if (!child) {
		fexecve(program, argv, environ);
		_exit(1);
	}
	EQ(ends(child), 0);
	put("script", "#!/bin/sh\nexit 5\n");
	int script = OK(open("script", O_RDONLY)), closes = OK(open("script", O_RDONLY | O_CLOEXEC));
	child = OK(fork());
	if (!child) {
		fexecve(closes, argv, environ);
		if (errno != ENOENT)
			_exit(1);
		fexecve(script, argv, environ);
		_exit(2);
	}
	EQ(ends(child), 5);
	int text_ = OK(memfd_create("script", 0));
	EQ(write(text_, "#!/bin/sh\nexit 6\n", 17), 17);
	child = OK(fork());
	if (!child) {
		fexecve(text_, argv, environ);
		_exit(1);
	}
	EQ(ends(child), 6);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return strlen(argv[argc - 1]) == 100000 ? argc : 1;
	machines();
	long_lists(argv[0]);
	in_memory();
	return 0;
}
