/* SPDX-License-Identifier: GPL-2.0-or-later
 * Random calls on files, a line for each: the same seed prints the same in every world.
 *
 *   fuzz_calls SEED FIRST COUNT [INDEX...]     with the indexes: only these calls of FIRST's round
 *
 * Each ROUND calls have a fresh directory and a process of their own.  What a call's arguments are
 * depends on the seed and its index alone, so a difference can be cut down to the calls it takes.
 * Left out, as nothing of it is the same twice: inode numbers, pids, addresses, blocks, free space,
 * sizes of directories, the present time; calls that block; O_DIRECT. */
/* cc: -Wshadow -Wconversion */
#include "fuzz_arguments.h"
#include "fuzz_moves.h"
#include <ftw.h>

#define ROUND 200
#define MOST_OPEN 12

struct call {
	const char *name;
	long number;
	const char *kinds; /* a letter an argument: fuzz_arguments.h */
	char told;	   /* what of its answer: see tell() */
	unsigned weight;
};

static const struct call calls[] = {
#define C(name, kinds, told, weight) {#name, SYS_##name, kinds, told, weight}
	C(open, "Pom", 'f', 8), C(openat, "DPom", 'f', 8), C(creat, "Pm", 'f', 2), C(openat2, "DPHy", 'f', 4),
	C(close, "F", 'v', 4), C(dup, "F", 'v', 2), C(dup2, "FF", 'v', 2), C(dup3, "FF7", 'v', 2),
	C(read, "FOz", 'd', 5), C(pread64, "FOzl", 'd', 4), C(readv, "Fvc", 'd', 3), C(preadv, "FvclN", 'd', 2),
	C(preadv2, "FvclN8", 'd', 2), C(write, "FIz", 'v', 5), C(pwrite64, "FIzl", 'v', 4), C(writev, "Fwc", 'v', 3),
	C(pwritev, "FwclN", 'v', 2), C(pwritev2, "FwclN8", 'v', 2), C(truncate, "Pl", 'v', 3),
	C(ftruncate, "Fl", 'v', 3), C(fallocate, "F9lL", 'v', 4), C(fsync, "F", 'v', 1), C(fdatasync, "F", 'v', 1),
	C(sync_file_range, "FlLR", 'v', 1), C(readahead, "Fln", 'v', 1), C(fadvise64, "FlLB", 'v', 1),
	C(flock, "FC", 'v', 2), C(stat, "PS", 's', 4), C(lstat, "PS", 's', 4), C(fstat, "FS", 's', 3),
	C(newfstatat, "DPS0", 's', 4), C(statx, "DP1AX", 'x', 4), C(access, "Pa", 'v', 3), C(faccessat, "DPa", 'v', 2),
	C(faccessat2, "DPa2", 'v', 3), C(readlink, "POz", 'n', 3), C(readlinkat, "DPOz", 'n', 3), C(getcwd, "Ez", 'n', 2),
	C(mkdir, "Pk", 'v', 3), C(mkdirat, "DPk", 'v', 3), C(rmdir, "P", 'v', 2), C(unlink, "P", 'v', 3),
	C(unlinkat, "DP3", 'v', 4), C(rename, "PP", 'v', 4), C(renameat, "DPDP", 'v', 2), C(renameat2, "DPDP4", 'v', 4),
	C(link, "PP", 'v', 3), C(linkat, "DPDP5", 'v', 3), C(symlink, "TP", 'v', 3), C(symlinkat, "TDP", 'v', 3),
	C(mknod, "Pjd", 'v', 2), C(mknodat, "DPjd", 'v', 2), C(chmod, "Pq", 'v', 2), C(fchmod, "FQ", 'v', 2),
	C(fchmodat, "DPq", 'v', 2), {"fchmodat2", 452, "DPqK", 'v', 2}, C(chown, "Pii", 'v', 1), C(lchown, "Pii", 'v', 1),
	C(fchown, "Fii", 'v', 1), C(fchownat, "DPii0", 'v', 2), C(utime, "PU", 'v', 1), C(utimes, "Pu", 'v', 1),
	C(futimesat, "DPu", 'v', 2), C(utimensat, "DPt0", 'v', 4), C(statfs, "PY", 'y', 1), C(fstatfs, "FY", 'y', 1),
	C(getxattr, "PxOz", 'd', 2), C(lgetxattr, "PxOz", 'd', 2), C(fgetxattr, "FxOz", 'd', 2),
	C(setxattr, "PxIz6", 'v', 2), C(lsetxattr, "PxIz6", 'v', 2), C(fsetxattr, "FxIz6", 'v', 2),
	C(listxattr, "POz", 'd', 1), C(llistxattr, "POz", 'd', 1), C(flistxattr, "FOz", 'd', 1),
	C(removexattr, "Px", 'v', 1), C(lremovexattr, "Px", 'v', 1), C(fremovexattr, "Fx", 'v', 1),
	C(sendfile, "FFpn", 'v', 4), C(copy_file_range, "FpFpn0", 'v', 4), C(splice, "FpFpnJ", 'v', 3),
	C(umask, "M", 'v', 1), C(chdir, "P", 'v', 3), C(fchdir, "F", 'v', 2),
#undef C
};

/* -- what a call is to be told of ---------------------------------------------------------------- */

static void say_data(size_t count)
{
	uint64_t sum = HASH;

	if (buffer)
		sum = hash(sum, buffer, count < size ? count : size);
	for (unsigned i = 0; i < pieces_used && count; i++) {
		size_t part = count < pieces[i].iov_len ? count : pieces[i].iov_len;

		sum = hash(sum, pieces[i].iov_base, part);
		count -= part;
	}
	say(" %016llx", (unsigned long long)sum);
}

static void tell(const struct call *call, long value)
{
	say(" = ");
	if (call->told == 'n' && value >= 0) { /* getcwd's length counts a 0 */
		size_t length = (size_t)value - (value && !strcmp(call->name, "getcwd"));

		if (buffer)
			say_text((char *)buffer, length, size);
		return;
	}
	if (value < 0) {
		say("%s", strerrorname_np(errno));
		return;
	}
	say("%ld", value);
	if (call->told == 'd' && value > 0)
		say_data((size_t)value);
	else if (call->told == 's' && buffer)
		say_stat((struct stat *)buffer);
	else if (call->told == 'x' && buffer)
		say_statx((struct statx *)buffer);
	else if (call->told == 'y' && buffer)
		say_statfs((struct statfs *)buffer);
	if (call->told == 'f')
		keep_inside((int)value);
	if (strstr(call->name, "chdir") || !strncmp(call->name, "rename", 6) || strstr(call->name, "rmdir") ||
	    strstr(call->name, "unlink"))
		come_back(!strncmp(call->name, "rename", 6));
	for (unsigned i = 0; i < offsets_used; i++)
		say(" at %lld", (long long)*offsets[i]);
}

/* -- a call -------------------------------------------------------------------------------------- */

static bool is_fifo(const char *name)
{
	struct stat st;

	return !stat(name, &st) && S_ISFIFO(st.st_mode);
}

static void one_of_the_table(void)
{
	const struct call *call = calls;
	unsigned total = 0;

	for (size_t i = 0; i < COUNT(calls); i++)
		total += calls[i].weight;

	unsigned chosen = below(total);

	while (chosen >= call->weight)
		chosen -= call++->weight;
	say("%s(", call->name);
	memset(word, 0, sizeof word);
	for (unsigned i = 0; call->kinds[i]; i++) {
		say(i ? ", " : "");
		if (strchr("OIE", call->kinds[i]))
			buffer_at = i;
		word[i] = argument(i, call->kinds[i]);
	}
	say(")");
	if (call->number == SYS_creat && is_fifo((const char *)(uintptr_t)word[0])) {
		say(" of a FIFO"); /* it would wait for somebody who reads */
		return;
	}
	tell(call, syscall(call->number, word[0], word[1], word[2], word[3], word[4], word[5]));
}

/* -- a round ------------------------------------------------------------------------------------- */

static volatile sig_atomic_t came;

static void note(int number) { came = number; }

static void broken(int number)
{
	if (guarded)
		siglongjmp(fault, number);
	say(" ended by %s", sigabbrev_np(number));
	end_line();
	flush_output();
	_exit(2);
}

/* What there is at the beginning, and the first descriptors. */
static void furnish(void)
{
	static const char bytes[10000] = "#!/bin/false\n";

	OK(mkdir("d", 0755));
	OK(mkdir("d/e", 0755));
	for (unsigned i = 0; i < 3; i++) {
		int fd = (int)OK(open((const char *[]){"f", "d/f", "x"}[i], O_CREAT | O_WRONLY, 0755));

		OK(write(fd, bytes, sizeof bytes / (i + 1)));
		OK(close(fd));
	}
	OK(link("f", "h"));
	OK(symlink("f", "l"));
	OK(symlink("d", "ld"));
	OK(symlink("nothing", "s"));
	OK(symlink("loop", "loop"));
	if (!emulated)
		OK(mkfifo("p", 0644));
	OK(mknod("g", S_IFREG | 0644, 0));
	(void)setxattr("f", "user.a", "value", 5, 0);
	for (int fd = 0; fd < OUTPUT; fd++)
		close(fd);
	OK(open("f", O_RDWR));
	OK(open("d", O_RDONLY));
	OK(open(".", O_RDONLY));
	OK(pipe2((int[2]){0}, O_NONBLOCK));
	OK(open("d/f", O_RDONLY));
	OK(open("g", O_RDWR | O_APPEND));
	OK(open("x", O_RDONLY));
}

/* So that no descriptor is refused for want of room: docs/limits.md has what O_TRUNC does then. */
static void close_one(void)
{
	int open_ones = 0;

	for (int fd = 0; fd < OUTPUT; fd++)
		open_ones += fcntl(fd, F_GETFD) >= 0;
	if (open_ones < MOST_OPEN)
		return;
	for (int fd = (int)below(MOST_OPEN);; fd = (fd + 1) % OUTPUT)
		if (!close(fd))
			return;
}

static void one_call(uint64_t seed, uint64_t index)
{
	now_at = index;
	seed_call(seed, index);
	close_one();
	room_used = size = offsets_used = pieces_used = 0;
	end_used = false;
	buffer = NULL;
	came = 0;
	alarm(20);
	say("%llu ", (unsigned long long)index);
	if (chance(20))
		ONE_OF(moves)();
	else
		one_of_the_table();
	if (came)
		say(" %s", sigabbrev_np(came));
	end_line();
}

/* The calls of a round from `first` on, up to `end`; with `only`, those alone. */
static int play(uint64_t seed, uint64_t first, uint64_t end, char **only)
{
	const int caught[] = {SIGSEGV, SIGBUS, SIGALRM, SIGILL, SIGFPE};
	const int noted[] = {SIGPIPE, SIGXFSZ, SIGIO, SIGURG, SIGUSR1};
	pid_t child = fork();
	int status;

	if (child < 0)
		give_up("fork");
	if (child) {
		if (waitpid(child, &status, 0) != child)
			give_up("waitpid");
		return status;
	}
	for (size_t i = 0; i < COUNT(caught); i++)
		signal(caught[i], broken);
	for (size_t i = 0; i < COUNT(noted); i++)
		signal(noted[i], note);
	umask(022);
	furnish();
	for (uint64_t index = first; index < end; index++) {
		bool wanted = !*only;

		for (char **one = only; *one; one++)
			wanted |= strtoull(*one, NULL, 10) == index;
		if (wanted)
			one_call(seed, index);
	}
	for (int fd = 0; fd < OUTPUT; fd++)
		close(fd);
	for (unsigned i = 0; i < MAPPINGS; i++)
		if (mappings[i].start)
			munmap(mappings[i].start, mappings[i].length);
	if (chdir(root))
		say("lost: %s", strerrorname_np(errno));
	else
		say_tree(".");
	flush_output();
	_exit(0);
}

static int allow(const char *name, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	(void)st;
	if (kind == FTW_D || kind == FTW_DNR)
		OK(chmod(name, 0700));
	return kind == FTW_DNR; /* once more: now it can be read */
}

static int discard(const char *name, const struct stat *st, int kind, struct FTW *at)
{
	(void)kind;
	(void)at;
	return S_ISDIR(st->st_mode) ? rmdir(name) : unlink(name);
}

/* Directories above a round's own: a few ".." lead to one of them. */
static void make_root(void)
{
	char *here = getcwd(NULL, 0);

	OK(here ? 0 : -1);
	snprintf(root, sizeof root, "%s/top", here);
	free(here);
	for (unsigned depth = 0; depth < 9; depth++) {
		OK(mkdir(root, 0755));
		strcat(root, depth < 8 ? "/r" : "");
	}
	OK(chdir(root));
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	uint64_t seed = strtoull(argv[1], NULL, 10), first = strtoull(argv[2], NULL, 10);
	uint64_t end = first + strtoull(argv[3], NULL, 10);
	int status = 0, top = (int)OK(open(".", O_RDONLY | O_DIRECTORY));

	prefix = getenv("PREFIX") ?: "";
	emulated = *(getenv("CAREFUL") ?: "");
	OK(dup2(1, OUTPUT));
	top = (int)OK(fcntl(top, F_DUPFD_CLOEXEC, OUTPUT + 1));
	make_room();
	while (first < end) {
		uint64_t next = (first / ROUND + 1) * ROUND;

		make_root();
		status = play(seed, first, next < end ? next : end, argv + 4);
		OK(fchdir(top));
		while (OK(nftw("top", allow, 20, FTW_PHYS)))
			;
		OK(nftw("top", discard, 20, FTW_PHYS | FTW_DEPTH));
		if (status)
			dprintf(OUTPUT, "round %llu: status %#x\n", (unsigned long long)(first / ROUND), (unsigned)status);
		first = next;
	}
	return 0;
}
