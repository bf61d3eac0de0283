/* SPDX-License-Identifier: GPL-2.0-or-later
 * cc: -Wshadow -Wconversion
 * Random calls on files, a line for each: the same seed prints the same in every world.
 *
 *   fuzz_calls SEED FIRST COUNT [INDEX...]     with the indexes: only these calls of FIRST's round
 *
 * Each ROUND calls have a fresh directory and a process of their own.  What a call's arguments are
 * depends on the seed and its index alone, so a difference can be cut down to the calls it takes.
 * Left out, as nothing of it is the same twice: inode numbers, pids, addresses, blocks, free space,
 * sizes of directories, the present time; calls that block; O_DIRECT. */
#include "fuzz_arguments.h"
#include "fuzz_moves.h"
#include <sys/syscall.h>
#include <sys/wait.h>

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
	C(sync_file_range, "FlLE", 'v', 1), C(readahead, "Fln", 'v', 1), C(fadvise64, "FlLB", 'v', 1),
	C(flock, "FC", 'v', 2), C(stat, "PS", 's', 4), C(lstat, "PS", 's', 4), C(fstat, "FS", 's', 3),
	C(newfstatat, "DPS0", 's', 4), C(statx, "DP1AX", 'x', 4), C(access, "Pa", 'v', 3), C(faccessat, "DPa", 'v', 2),
	C(faccessat2, "DPa2", 'v', 3), C(readlink, "POz", 'n', 3), C(readlinkat, "DPOz", 'n', 3), C(getcwd, "Oz", 'n', 2),
	C(mkdir, "Pm", 'v', 3), C(mkdirat, "DPm", 'v', 3), C(rmdir, "P", 'v', 2), C(unlink, "P", 'v', 3),
	C(unlinkat, "DP3", 'v', 4), C(rename, "PP", 'v', 4), C(renameat, "DPDP", 'v', 2), C(renameat2, "DPDP4", 'v', 4),
	C(link, "PP", 'v', 3), C(linkat, "DPDP5", 'v', 3), C(symlink, "TP", 'v', 3), C(symlinkat, "TDP", 'v', 3),
	C(mknod, "Pmd", 'v', 2), C(mknodat, "DPmd", 'v', 2), C(chmod, "Pm", 'v', 2), C(fchmod, "Fm", 'v', 2),
	C(fchmodat, "DPm", 'v', 2), {"fchmodat2", 452, "DPmK", 'v', 2}, C(chown, "Pii", 'v', 1), C(lchown, "Pii", 'v', 1),
	C(fchown, "Fii", 'v', 1), C(fchownat, "DPii0", 'v', 2), C(utime, "PU", 'v', 1), C(utimes, "Pu", 'v', 1),
	C(futimesat, "DPu", 'v', 2), C(utimensat, "DPt0", 'v', 4), C(statfs, "PY", 'y', 1), C(fstatfs, "FY", 'y', 1),
	C(getxattr, "PxOz", 'd', 2), C(lgetxattr, "PxOz", 'd', 2), C(fgetxattr, "FxOz", 'd', 2),
	C(setxattr, "PxIz6", 'v', 2), C(lsetxattr, "PxIz6", 'v', 2), C(fsetxattr, "FxIz6", 'v', 2),
	C(listxattr, "POz", 'd', 1), C(llistxattr, "POz", 'd', 1), C(flistxattr, "FOz", 'd', 1),
	C(removexattr, "Px", 'v', 1), C(lremovexattr, "Px", 'v', 1), C(fremovexattr, "Fx", 'v', 1),
	C(sendfile, "FFpn", 'v', 4), C(copy_file_range, "FpFpn0", 'v', 4), C(splice, "FpFpnJ", 'v', 3),
	C(umask, "m", 'v', 1), C(chdir, "P", 'v', 3), C(fchdir, "F", 'v', 2),
#undef C
};

/* -- what a call is to be told of ---------------------------------------------------------------- */

static uint64_t hash(uint64_t before, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		before = (before ^ bytes[i]) * 0x100000001b3U;
	return before;
}

static void say_data(size_t count)
{
	uint64_t sum = 0xcbf29ce484222325U;

	if (buffer)
		sum = hash(sum, buffer, count < size ? count : size);
	for (unsigned i = 0; i < pieces_used && count; i++) {
		size_t part = count < pieces[i].iov_len ? count : pieces[i].iov_len;

		sum = hash(sum, pieces[i].iov_base, part);
		count -= part;
	}
	say(" %016llx", (unsigned long long)sum);
}

/* A name that the kernel gave; its length is this world's own. */
static void say_text(long length)
{
	const char *text = (const char *)buffer;

	if (!text || length > (long)size)
		return;
	if (length && !text[length - 1])
		length--; /* getcwd's counts */
	say_name(text, (size_t)length);
}

/* Calls that change a task's place, or open a directory, may have led out: back, and closed. */
static void stay_inside(const struct call *call, long value)
{
	char link[64] = "/proc/self/cwd", name[PATH_MAX];
	struct stat st;

	if (call->told == 'f') {
		if (fstat((int)value, &st) || !S_ISDIR(st.st_mode))
			return;
		snprintf(link, sizeof link, "/proc/self/fd/%ld", value);
	} else if (strcmp(call->name, "chdir") && strcmp(call->name, "fchdir") && strncmp(call->name, "rename", 6)) {
		return;
	}
	ssize_t length = readlink(link, name, sizeof name - 1);
	size_t own = strlen(root);

	if (length >= (ssize_t)own && !memcmp(name, root, own) && (length == (ssize_t)own || name[own] == '/'))
		return;
	say(" outside");
	if (call->told == 'f')
		close((int)value);
	else if (chdir(root))
		say(" lost %s", strerrorname_np(errno));
}

static void tell(const struct call *call, long value)
{
	say(" = ");
	if (call->told == 'n' && value >= 0) {
		say_text(value);
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
	stay_inside(call, value);
	for (unsigned i = 0; i < offsets_used; i++)
		say(" at %lld", (long long)*offsets[i]);
}

/* -- a call -------------------------------------------------------------------------------------- */

static void one_of_the_table(void)
{
	static unsigned total;
	const struct call *call = calls;

	for (size_t i = 0; !total || i < COUNT(calls); i++) {
		if (i == COUNT(calls))
			break;
		total += total && !i ? 0 : 0;
		if (!i)
			total = 0;
		total += calls[i].weight;
		if (i + 1 == COUNT(calls))
			break;
	}
	unsigned chosen = below(total);

	while (chosen >= call->weight)
		chosen -= call++->weight;
	say("%s(", call->name);
	memset(word, 0, sizeof word);
	for (unsigned i = 0; call->kinds[i]; i++) {
		say(i ? ", " : "");
		if (strchr("OI", call->kinds[i]))
			buffer_at = i;
		word[i] = argument(call->kinds[i]);
	}
	say(")");
	tell(call, syscall(call->number, word[0], word[1], word[2], word[3], word[4], word[5]));
}
