/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the fuzzer tells of what calls have answered and left behind, without what is never the same
 * twice, and how it stays in its own directory. */
#ifndef FUZZ_TOLD_H
#define FUZZ_TOLD_H
#include "fuzz_arguments.h"
#include <dirent.h>
#include <linux/stat.h>
#include <sys/xattr.h>

#define HASH 0xcbf29ce484222325U

static uint64_t hash(uint64_t before, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		before = (before ^ bytes[i]) * 0x100000001b3U;
	return before;
}

/* A name that the kernel gave in at most `most` bytes; what is this world's own in it is taken away.  How much
 * of a name fits depends on that: said only where it is the same in all worlds. */
static void say_text(const char *text, size_t length, size_t most)
{
	size_t own = strlen(root), above = strlen(prefix);

	if (most < 4096 && length && !memcmp(text, root, length < own ? length : own)) {
		say(most < 32 ? "cut" : "here");
		return;
	}
	if (length >= own && !memcmp(text, root, own)) {
		say("$");
		text += own;
		length -= own;
	} else if (above && length >= above && !memcmp(text, prefix, above)) {
		text += above;
		length -= above;
	}
	if (length > 5 && !memcmp(text, "pipe:", 5))
		length = 5; /* then comes its inode */
	say_bytes(text, length);
}

static bool written; /* by mapping: when that changes st_mtime is not the same (docs/limits.md) */

/* A moment that a call has set, or one of this run. */
static void say_time(int64_t seconds, long nanoseconds)
{
	if (emulated && written)
		return;
	if (llabs((long long)(seconds - time(NULL))) < 1000000)
		say(" now");
	else
		say(" %lld.%ld", (long long)seconds, nanoseconds);
}

static void say_owner(unsigned uid, unsigned gid)
{
	say(" %s:%s", uid == getuid() ? "me" : uid ? "other" : "0", gid == getgid() ? "mine" : gid ? "other" : "0");
}

static void say_stat(const struct stat *st)
{
	if (emulated && S_ISLNK(st->st_mode) && st->st_size == 64) {
		say(" a link of proc"); /* whose mode tells what the descriptor is open for: a socket's */
		return;
	}
	say(" %#o %lu", st->st_mode, S_ISDIR(st->st_mode) ? 0 : st->st_nlink);
	say_owner(st->st_uid, st->st_gid);
	say(" %ld %#lx", S_ISDIR(st->st_mode) ? 0 : st->st_size, st->st_rdev);
	if (!S_ISDIR(st->st_mode) && st->st_uid)
		say_time(st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (S_ISREG(st->st_mode) && st->st_blksize != (long)PAGE)
		say(" blocks of %ld", st->st_blksize);
}

/* Of what was not asked for, virtual trees tell what stat(2) does. */
static void say_statx(const struct statx *st)
{
	if (emulated && S_ISLNK(st->stx_mode) && st->stx_size == 64) {
		say(" a link of proc");
		return;
	}
	say(" %#x %#o", st->stx_mask & STATX_BASIC_STATS, st->stx_mode);
	say_owner(st->stx_uid, st->stx_gid);
	say(" %llu %u:%u", S_ISDIR(st->stx_mode) ? 0 : st->stx_size, st->stx_rdev_major, st->stx_rdev_minor);
	if (!S_ISDIR(st->stx_mode) && st->stx_uid)
		say_time(st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec);
}

static void say_statfs(const struct statfs *fs)
{
	say(" %ld %ld", fs->f_bsize, fs->f_namelen);
	if (!emulated) /* docs/limits.md: a virtual tree has no type */
		say(" %#lx", fs->f_type);
}

/* -- staying inside ------------------------------------------------------------------------------ */

static bool inside(const char *link)
{
	char name[PATH_MAX];
	ssize_t length = readlink(link, name, sizeof name - 1);
	size_t own = strlen(root);

	return length >= (ssize_t)own && !memcmp(name, root, own) && (length == (ssize_t)own || name[own] == '/');
}

/* What leads to other directories is closed: "..", tried again and again, would come to the top. */
static void keep_inside(int fd)
{
	char link[64];
	struct stat st;

	if (fstat(fd, &st) || !S_ISDIR(st.st_mode))
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (inside(link))
		return;
	say(" outside");
	close(fd);
}

/* What is removed has no name: where its ".." leads is lost in some worlds.  `replaced`: a name may be
 * another's now, and to a virtual tree an open directory is its name. */
static void come_back(bool replaced)
{
	struct stat st;

	for (int fd = 0; fd < OUTPUT; fd++)
		if (!fstat(fd, &st) && S_ISDIR(st.st_mode) && (!st.st_nlink || (emulated && replaced))) {
			say(" closed %d", fd);
			close(fd);
		}
	if (!stat(".", &st) && st.st_nlink && inside("/proc/self/cwd"))
		return;
	say(" outside");
	if (chdir(root))
		say(" %s", strerrorname_np(errno));
}

/* -- what is left -------------------------------------------------------------------------------- */

static void say_content(const char *name, const struct stat *st)
{
	static char bytes[1 << 16];
	uint64_t sum = HASH;
	ssize_t n = 0;
	int fd = -1;

	if (S_ISLNK(st->st_mode)) {
		n = readlink(name, bytes, sizeof bytes);
	} else if (S_ISREG(st->st_mode)) {
		fd = open(name, O_RDONLY);
		n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	}
	if (n < 0)
		say(" %s", strerrorname_np(errno));
	else
		sum = hash(sum, (unsigned char *)bytes, (size_t)n);
	if (fd >= 0)
		close(fd);
	n = S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode) ? 0 : listxattr(name, bytes, sizeof bytes);
	if (n > 0)
		sum = hash(sum, (unsigned char *)bytes, (size_t)n);
	say(" %016llx", (unsigned long long)sum);
}

/* All that is below a directory, in the order of names; a line each. */
static void say_tree(const char *name)
{
	struct dirent **entries;
	struct stat st;
	int count = scandir(name, &entries, NULL, alphasort);

	if (count < 0) {
		say("    ");
		say_bytes(name, strlen(name));
		say(": %s", strerrorname_np(errno));
		end_line();
		return;
	}
	for (int i = 0; i < count; i++) {
		char below_it[PATH_MAX];

		snprintf(below_it, sizeof below_it, "%s/%s", name, entries[i]->d_name);
		if (!strcmp(entries[i]->d_name, ".") || !strcmp(entries[i]->d_name, ".."))
			continue;
		say("    ");
		say_bytes(below_it, strlen(below_it));
		if (lstat(below_it, &st)) {
			say(" %s", strerrorname_np(errno));
		} else {
			say_stat(&st);
			if (!S_ISDIR(st.st_mode))
				say_content(below_it, &st);
		}
		end_line();
		if (S_ISDIR(st.st_mode))
			say_tree(below_it);
		free(entries[i]);
	}
	free(entries);
}
#endif
