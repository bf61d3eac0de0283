/* SPDX-License-Identifier: GPL-2.0-or-later
 * Every way to execute: absolute, relative, by a chain of #!, execveat, fexecve, through links;
 * argv[0], AT_EXECFN and comm as the kernel makes them; and every way to fail. */
#include "guest.h"
#include <linux/limits.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static char *self, *said, *where;

#define RUN(...) run((char *[]){__VA_ARGS__, NULL}, &said)

/* Run `path` relative to a descriptor; its status. */
static int at(int fd, const char *path, int flags, char *const argv[])
{
	int ends[2], status;

	said = calloc(1, 65537);
	OK(pipe2(ends, O_CLOEXEC));
	pid_t child = OK(fork());
	if (!child) {
		dup2(ends[1], 1);
		syscall(SYS_execveat, fd, path, argv, environ, flags);
		_exit(errno);
	}
	close(ends[1]);
	for (int n, used = 0; (n = read(ends[0], said + used, 65536 - used)) > 0; used += n)
		;
	close(ends[0]);
	EQ(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void copy_self(const char *to, mode_t mode)
{
	static char buffer[1 << 20];
	int in = OK(open(self, O_RDONLY)), out = OK(open(to, O_CREAT | O_WRONLY, 0755));
	ssize_t n;

	while ((n = OK(read(in, buffer, sizeof buffer))) > 0)
		EQ(write(out, buffer, n), n);
	OK(fchmod(out, mode));
	close(in);
	close(out);
}

int main(int argc, char **argv)
{
	char comm[17] = "";

	self = target("/proc/self/exe");
	where = here();
	if (argc > 1 && !strcmp(argv[1], "tell")) {
		prctl(PR_GET_NAME, comm);
		printf("%s|%s|%s|%s", argv[0], (char *)getauxval(AT_EXECFN), comm, self);
		return 0;
	}
	if (argc > 1) { /* an interpreter: tell the arguments */
		for (int k = 0; k < argc; k++)
			printf("[%s]", argv[k]);
		return 0;
	}
	copy_self("prog", 0755);
	char *full = text("%s/prog", where);

	EQ(RUN("./prog", "tell"), 0);
	SAME(said, text("./prog|./prog|prog|%s", full));
	EQ(RUN(full, "tell"), 0);
	SAME(said, text("%s|%s|prog|%s", full, full, full));
	OK(symlink("prog", "link"));
	EQ(RUN("./link", "tell"), 0);
	SAME(said, text("./link|./link|link|%s", full));
	EQ(RUN(text("%s/bin/true", prefix())), 0);

	put("s1", text("#!%s/prog one two\n", where)); /* one argument, blanks kept within */
	EQ(RUN("./s1", "arg"), 0);
	SAME(said, text("[%s][one two][./s1][arg]", full));
	put("s2", "#! ./s1  \n");
	EQ(RUN("./s2", "x"), 0);
	SAME(said, text("[%s][one two][./s1][./s2][x]", full));
	put("s3", "#!./s2\n");
	put("s4", "#!./s3\n");
	EQ(RUN("./s4"), 0);
	SAME(said, text("[%s][one two][./s1][./s2][./s3][./s4]", full));
	put("s5", "#!./s4\n");
	put("s6", "#!./s5\n");
	ERR(execv("./s6", (char *[]){"s6", NULL}), ELOOP);
	put("loop", "#!./loop\n");
	ERR(execv("./loop", (char *[]){"loop", NULL}), ELOOP);
	put("lost", "#!/nowhere/interpreter\n");
	ERR(execv("./lost", (char *[]){"lost", NULL}), ENOENT);
	put("empty", "#!\n");
	ERR(execv("./empty", (char *[]){"empty", NULL}), ENOEXEC);
	char *outside = where + strlen(prefix()); /* there the interpreter is a link that leads back */
	OK(symlink(full, "through"));
	put("outer", text("#!%s/through one\n", outside));
	EQ(RUN(text("%s/outer", outside), "x"), 0);
	SAME(said, text("[%s/through][one][%s/outer][x]", outside, outside));
	put("teller", text("#!%s/through tell\n", outside));
	EQ(RUN(text("%s/teller", outside)), 0);
	SAME(said, text("%s/through|%s/teller|teller|%s", outside, outside, full));
	EQ(RUN("./teller"), 0);
	SAME(said, text("%s/through|./teller|teller|%s", outside, full));
	put("sh", text("#!%s/bin/sh\necho \"$0 $1\"; pwd\n", prefix()));
	EQ(RUN("./sh", "q"), 0);
	SAME(said, text("./sh q\n%s\n", where));
	put("env", "#!/usr/bin/env perl\nprint \"$0\";\n");
	if (!access("/usr/bin/perl", X_OK)) {
		EQ(RUN(text("%s/env", where)), 0);
		SAME(said, text("%s/env", where));
	}
	EQ(RUN(text("%s/sh", where), "z"), 0);
	SAME(said, text("%s/sh z\n%s\n", where, where));

	char *tell[] = {"zero", "tell", NULL}, *plain[] = {"zero", "a", NULL};
	int dir = OK(open(".", O_RDONLY | O_CLOEXEC)), prog = OK(open("prog", O_RDONLY | O_CLOEXEC));
	int opath = OK(open("prog", O_PATH)), script = OK(open("s1", O_RDONLY));
	EQ(at(dir, "prog", 0, tell), 0);
	SAME(said, text("zero|/dev/fd/%d/prog|prog|%s", dir, full));
	EQ(at(prog, "", AT_EMPTY_PATH, tell), 0);
	IS(strstr(said, text("zero|/dev/fd/%d|", prog)) && strstr(said, text("|%s", full)));
	EQ(at(opath, "", AT_EMPTY_PATH, tell), 0);
	EQ(at(script, "", AT_EMPTY_PATH, plain), 0);
	SAME(said, text("[%s][one two][/dev/fd/%d][a]", full, script));
	EQ(at(AT_FDCWD, "s1", 0, plain), 0);
	SAME(said, text("[%s][one two][s1][a]", full));
	EQ(at(dir, full, 0, tell), 0);
	SAME(said, text("zero|%s|prog|%s", full, full));
	EQ(at(dir, "link", AT_SYMLINK_NOFOLLOW, tell), ELOOP);
	EQ(at(dir, "nothing", 0, tell), ENOENT);
	EQ(at(prog, "x", 0, tell), ENOTDIR);
	EQ(at(999, "prog", 0, tell), EBADF);
	EQ(at(dir, "", 0, tell), ENOENT);
	EQ(at(dir, "s1", 0, plain), ENOENT); /* a script by a descriptor that closes */
	EQ(RUN(text("/proc/self/fd/%d", opath), "tell"), 0);

	OK(mkdir("dir", 0755));
	copy_self("closed", 0644);
	copy_self("sealed", 0111);
	put("text", "not a program\n");
	ERR(execv("./nothing", tell), ENOENT);
	ERR(execv("./closed", tell), EACCES);
	ERR(execv("./dir", tell), EACCES);
	ERR(execv("./text", tell), ENOEXEC);
	ERR(execv("./prog/x", tell), ENOTDIR);
	ERR(execv("", tell), ENOENT);
	SAME(here(), where); /* a failed exec has changed nothing */
	if (!emulated()) /* where the core must read what it shows */
		EQ(RUN("./sealed", "tell"), 0); /* may be executed, not read */
	int busy = OK(open("prog", O_RDONLY));
	copy_self("busy", 0755);
	int writing = OK(open("busy", O_WRONLY));
	ERR(execv("./busy", tell), ETXTBSY);
	close(writing);
	close(busy);
	EQ(RUN("./busy", "tell"), 0);
	return 0;
}
