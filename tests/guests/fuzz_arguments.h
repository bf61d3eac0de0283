/* SPDX-License-Identifier: GPL-2.0-or-later
 * Arguments for the fuzzer's calls, each kind a letter; what a call stored, as text. */
#ifndef FUZZ_ARGUMENTS_H
#define FUZZ_ARGUMENTS_H
#include "fuzz_names.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <time.h>

#define PIECES 4
#define WHITEOUT 4

static uint64_t word[WORDS];
static size_t size;	      /* of the buffer that this call was given */
static unsigned char *buffer; /* where a good one is */
static unsigned buffer_at;    /* which argument it is */
static struct iovec pieces[PIECES];
static unsigned pieces_used;
static int64_t *offsets[2]; /* those that are passed by address */
static unsigned offsets_used;

/* An int: the other half of its register is nobody's business. */
static uint64_t as_int(int value)
{
	return chance(4) ? (uint32_t)value | 0xabcdef1200000000U : (uint64_t)(int64_t)value;
}

static uint64_t a_descriptor(bool directory)
{
	static const int odd[] = {-1, 17, 99, 1 << 20, INT_MIN};
	int fd = chance(92) ? (int)below(12) : ONE_OF(odd);

	if (directory && chance(50)) /* to fgetxattr(2) and its like, too, since Linux 6.13 */
		fd = AT_FDCWD;
	say("%d", fd);
	return as_int(fd);
}

/* -- numbers ------------------------------------------------------------------------------------- */

/* Which a call knows; any other is tried, too.  What would block, or depends on what the machine has
 * in its caches, is masked: RWF_NOWAIT, RESOLVE_CACHED.  So is
 * what a file system can or can't, and what younger kernels know: RWF_ATOMIC, RWF_NOSIGNAL... */
static const struct {
	char letter;
	unsigned always, never;
	unsigned known[10];
} flags_of[] = {
	{'0', 0, 0, {0, 0x100, 0x100, 0x1000, 0x1100, 0x800}},			      /* fstatat */
	{'1', 0, 0, {0, 0x100, 0x1000, 0x1100, 0x800, 0x2000, 0x4000, 0x6000}},	      /* statx */
	{'2', 0, 0, {0, 0x100, 0x200, 0x300, 0x1000}},				      /* faccessat2 */
	{'3', 0, 0, {0, 0, 0x200, 0x200}},					      /* unlinkat */
	{'4', 0, 0, {0, 0, 0, 1, 2, 2, 3, WHITEOUT, 6}},			      /* renameat2 */
	{'5', 0, 0, {0, 0, 0x400, 0x400, 0x1000}},				      /* linkat */
	{'6', 0, 0, {0, 0, 0, 1, 2, 3}},					      /* setxattr */
	{'7', 0, 0, {0, O_CLOEXEC, O_CLOEXEC, O_NONBLOCK}},			      /* dup3 */
	{'8', 0, ~0x37U, {0, 0, 0, 1, 2, 4, 0x10, 0x20}},				      /* preadv2 */
	{'9', 0, 0, {0, 0, 1, 3, 3, 0x10, 0x11, 8, 0x20, 2}},			      /* fallocate */
	{'A', 0x7ff, 0, {0, 0, 0xfff, 0x80000000}},				      /* statx's mask */
	{'B', 0, 0, {0, 1, 2, 3, 4, 5, 6}},					      /* fadvise */
	{'C', 4, 0, {1, 2, 1, 2, 8, 8, 3}},					      /* flock, LOCK_NB */
	{'R', 0, 0, {0, 1, 2, 4, 7}},						      /* sync_file_range */
	{'G', 0, 0, {1, 2, 4, 4, 5, 6}},					      /* msync */
	{'J', 2, 0, {0, 1, 4, 8}},						      /* splice, NONBLOCK */
	{'K', 0, 0, {0, 0, 0x100, 0x1000, 0x1100}},				      /* fchmodat2 */
	{'a', 0, 0, {0, 1, 2, 4, 6, 7, 3}},					      /* access's mode */
	{'h', 0, 0, {0, 0, 0, 1, 1, 2, 2, 3, 4, 5}},				      /* whence */
};

static uint64_t a_flag(char letter)
{
	size_t row = 0, count = 0;

	while (flags_of[row].letter != letter)
		if (++row == COUNT(flags_of))
			give_up("flags");
	for (size_t i = 0; i < COUNT(flags_of[row].known); i++)
		if (flags_of[row].known[i])
			count = i + 1;

	unsigned flags = flags_of[row].known[below(count)];

	if (chance(5))
		flags ^= 1U << below(32);
	flags = (flags | flags_of[row].always) & ~flags_of[row].never;
	if (emulated && letter == '2')
		flags &= ~(unsigned)AT_SYMLINK_NOFOLLOW; /* what proc's link to a socket lets one do */
	if (emulated && letter == '4')
		flags &= ~(unsigned)WHITEOUT; /* that is a device, which is the kernel's */
	if (letter == '5') /* only for who has opened the descriptor itself: here the core did */
		flags &= ~(unsigned)AT_EMPTY_PATH;
	say("%#x", flags);
	return as_int((int)flags);
}

/* O_NONBLOCK: nobody is at the other end of a FIFO.  No O_DIRECT: what it wants aligned is the
 * disk's affair. */
static uint64_t open_flags(void)
{
	static const int ways[] = {0, 0, 0, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, O_ACCMODE};
	static const int extras[] = {
		O_CREAT, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY,
		O_NOFOLLOW, O_PATH, O_CLOEXEC, O_SYNC, O_DSYNC, O_NOATIME, O_NOCTTY, O_TMPFILE,
	};
	int flags = ONE_OF(ways) | O_NONBLOCK;

	for (unsigned n = below(4); n--;)
		flags |= ONE_OF(extras);
	if (chance(3))
		flags ^= 1 << below(31);
	flags = (flags | O_NONBLOCK) & ~O_DIRECT;
	if (emulated && (flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_TMPFILE | O_DIRECTORY; /* docs/limits.md: EOPNOTSUPP */
	if (emulated && flags & O_PATH)
		flags |= O_DIRECTORY; /* docs/limits.md: of others it is a name, which may go */
	say("%#o", (unsigned)flags);
	return (uint64_t)flags;
}

/* Who may execute a file may read it: docs/limits.md has what emulation makes of the others. */
static uint64_t a_mode(void)
{
	static const unsigned modes[] = {0644, 0755, 0600, 0700, 0444, 0, 0200, 0400, 01777, 04755, 02775, 0666, 0777};
	unsigned mode = ONE_OF(modes);

	if (chance(8))
		mode ^= 1U << below(16);
	if (mode & 0111)
		mode |= 0400;
	say("%#o", mode);
	return as_int((int)mode);
}

/* A mode for what the arguments before it name.  Directories stay such that their owner can search
 * them: a name that is relative to one is absolute to the kernel once it lies behind a prefix, and
 * then those above are searched, too.  Those made by mkdir without that right are tried. */
static uint64_t a_new_mode(unsigned at, bool descriptor)
{
	uint64_t mode = a_mode();
	struct stat st;
	int dirfd = at > 1 ? (int)word[at - 2] : AT_FDCWD;
	int wrong = descriptor ? fstat((int)word[at - 1], &st)
			       : fstatat(dirfd, (char *)(uintptr_t)word[at - 1], &st, AT_EMPTY_PATH);

	if (wrong || !S_ISDIR(st.st_mode))
		return mode;
	say("|0700");
	return mode | 0700;
}

/* Where a file is read or written: near its start, sparse, or nowhere. */
static int64_t an_offset(void)
{
	static const int64_t far[] = {
		-1, -4096, 1 << 20, 1LL << 31, (1LL << 32) + 5, 1LL << 44, INT64_MAX, INT64_MAX - 4095, INT64_MIN,
	};
	static const int64_t near[] = {0, 0, 0, 1, 2, 100, 511, 4095, 4096, 4096, 4097, 8192, 10000, 65536};
	int64_t offset = chance(90) ? ONE_OF(near) : ONE_OF(far);

	if (emulated && offset == 1LL << 44)
		offset >>= 4; /* how long a file may be is its file system's */
	say("%lld", (long long)offset);
	return offset;
}

/* How many bytes to reserve: few, or more than there can be.  What lies between fills the disk. */
static int64_t an_extent(void)
{
	static const int64_t lengths[] = {0, -1, 1, 100, 4096, 4096, 8192, 12288, 65536, INT64_MAX, INT64_MIN};
	int64_t length = ONE_OF(lengths);

	say("%lld", (long long)length);
	return length;
}

/* Whatever is made with it and can be executed can be read, too: see a_mode(). */
static uint64_t a_umask(void)
{
	static const unsigned masks[] = {022, 0, 077, 027, 0777, 0133, 0100};
	unsigned mask = ONE_OF(masks);

	if (emulated)
		mask &= ~0511U; /* docs/limits.md: who may search a directory is the tree's to check */

	say("%#o", mask);
	return as_int((int)mask);
}

static size_t a_size(void)
{
	static const unsigned sizes[] = {0, 1, 2, 7, 100, 511, 512, 513, 4095, 4096, 4097, 10000, 40000};

	return ONE_OF(sizes);
}

static uint64_t an_id(void)
{
	/* tester's own, nobody's change, root, and one that is nobody's */
	const unsigned ids[] = {getuid(), getgid(), UINT32_MAX, UINT32_MAX, 0, 54321};
	const char *const names[] = {"uid", "gid", "-1", "-1", "0", "54321"};
	unsigned which = below(COUNT(ids));

	say("%s", names[which]);
	return as_int((int)ids[which]);
}

/* -- memory -------------------------------------------------------------------------------------- */

static uint64_t a_buffer(bool input)
{
	size = a_size();
	unsigned kind = below(100);
	size_t filled = size;

	if (kind < 3 && !(input && emulated)) {
		say("NULL");
		return 0;
	}
	if (kind < 7 && input && emulated) { /* others change st_mtime before they are EFAULT */
		say("kernel");
		return 0xffff800000000000U;
	}
	if (kind < 7) /* what lies behind the page that can be read is nobody's business */
		return bad_address(input && size <= PAGE);
	if (kind < 10 && !end_used && !(input && emulated && size < 2)) { /* some of it is there */
		size_t there = size / 2;

		buffer = take_end(there);
		say("%zu bytes", there);
		filled = there;
	} else {
		buffer = take(size);
		say("buffer");
	}
	if (input)
		for (size_t i = 0; i < filled; i++)
			buffer[i] = (unsigned char)(state + i / 7);
	return (uint64_t)buffer;
}

/* For getcwd(2): too little, or enough for a name that is longer in some worlds. */
static uint64_t room_for_a_place(void)
{
	static const unsigned sizes[] = {0, 1, 2, 4096, 4096, 8192};

	size = ONE_OF(sizes);
	if (chance(5))
		return bad_address(false);
	say("buffer");
	buffer = take(size);
	return (uint64_t)buffer;
}

static uint64_t a_size_of(void)
{
	static const uint64_t wild[] = {UINT64_MAX, 1UL << 63, 1UL << 31, 1UL << 47};
	uint64_t said = size;

	if (chance(3)) {
		said = ONE_OF(wild);
		/* how far a call gets before a buffer ends that is not as long is not looked at here */
		buffer = NULL;
		word[buffer_at] = emulated ? UINT64_MAX : (uint64_t)(room + ROOM);
	}
	say("%#llx", (unsigned long long)said);
	return said;
}

static uint64_t a_vector(bool input)
{
	struct iovec *vector = take(sizeof *vector * PIECES);

	if (chance(4))
		return bad_address(false);
	pieces_used = 1 + below(PIECES);
	say("{");
	for (unsigned i = 0; i < pieces_used; i++) {
		size_t bytes = a_size() / (chance(70) ? 10 : 1);
		unsigned char *start = take(bytes);

		if (input)
			memset(start, (int)('a' + i), bytes);
		pieces[i] = vector[i] = (struct iovec){start, bytes};
		if (chance(2))
			vector[i].iov_len = UINT64_MAX - below(2) * (1UL << 62);
		if (chance(2) && !(input && emulated))
			vector[i].iov_base = NULL;
		if (vector[i].iov_base != start)
			say("NULL:");
		say("%#zx ", vector[i].iov_len);
	}
	say("}");
	return (uint64_t)vector;
}

static uint64_t a_vectors_count(void)
{
	static const int wild[] = {-1, 1025, 0, INT_MAX};
	int count = chance(94) ? (int)pieces_used : ONE_OF(wild);

	say("%d", count);
	return (uint64_t)(int64_t)count;
}

static uint64_t an_offset_at(void)
{
	if (chance(40)) {
		say("NULL");
		return 0;
	}
	if (chance(5)) /* where it can't be stored again the work has been done, and EFAULT is said */
		return bad_address(false);
	int64_t *at = take(sizeof *at);

	say("&");
	*at = an_offset();
	if (emulated && *at > 1LL << 43) {
		say(" less");
		*at = 1LL << 40; /* EOVERFLOW where a file of this file system ends */
	}
	offsets[offsets_used++] = at;
	return (uint64_t)at;
}

static uint64_t a_struct(size_t bytes)
{
	if (chance(3)) {
		say("NULL");
		return 0;
	}
	if (chance(4))
		return bad_address(true);
	if (chance(2) && !end_used) {
		say("half a buffer");
		return (uint64_t)take_end(bytes / 2);
	}
	say("buffer");
	buffer = take(bytes);
	return (uint64_t)buffer;
}

/* Two moments: struct timespec, timeval (letter u) or seconds alone (U). */
static uint64_t two_times(char letter)
{
	static const long seconds[] = {0, 1, 100000, 1000000000, -1, 1L << 31, 1L << 33};
	static const long parts[] = {0, 1, 5000, 999999, 1000000, 999999999, 1000000000, -1, (1 << 30) - 1, (1 << 30) - 2};
	unsigned kind = below(100);

	if (kind < 15) {
		say("NULL");
		return 0;
	}
	if (kind < 18)
		return bad_address(false);
	long *times = take(4 * sizeof *times);

	for (int i = 0; i < 4; i++)
		times[i] = i % 2 && letter != 'U' ? parts[below(chance(70) ? 4 : COUNT(parts))] : ONE_OF(seconds);
	say("{%ld %ld %ld %ld}", times[0], times[1], times[2], times[3]);
	return (uint64_t)times;
}

static uint64_t an_attribute(void)
{
	static const char *const names[] = {
		"user.a", "user.a", "user.b", "user.c", "user.", "trusted.a", "security.a", "a", "", "system.posix_acl_access",
		"user.\xff",
	};
	char name[300];

	if (chance(3))
		return bad_address(false);
	if (chance(4)) {
		size_t length = 254 + below(3);

		memset(name, 'k', length);
		memcpy(name, "user.", 5);
		name[length] = 0;
		say("user.k*%zu", length);
		return placed(name, length);
	}
	strcpy(name, ONE_OF(names));
	if (emulated && !strcmp(name, "a"))
		strcat(name, ".b"); /* what one may do with it depends on the mode of proc's links */
	say_bytes(name, strlen(name));
	return placed(name, strlen(name));
}

/* struct open_how, and its size, which it may grow by zeros. */
static uint64_t how_to_open(void)
{
	static const uint64_t resolves[] = {0, 0, 0, 1, 2, 4, 8, 8, 16, 16, 24, 0x1000};
	struct open_how *how = take(64);

	if (chance(4))
		return bad_address(false);
	memset(how, 0, 64);
	how->flags = open_flags();
	if (chance(85)) /* those that open(2) would not mind are EINVAL */
		how->flags &= 037777777;
	if (how->flags & (O_CREAT | 020000000) || chance(10)) {
		say(" ");
		how->mode = a_mode() & (chance(90) ? 07777 : UINT64_MAX);
	}
	how->resolve = ONE_OF(resolves);
	if (absolute)
		how->resolve &= ~16U; /* RESOLVE_IN_ROOT: then this world's prefix is searched for, too */
	say(" %#llx", (unsigned long long)how->resolve);
	if (chance(5))
		((char *)how)[24 + below(40)] = 1;
	return (uint64_t)how;
}

static uint64_t hows_size(void)
{
	static const unsigned sizes[] = {0, 8, 23, 25, 32, 64, 4097};
	unsigned how = chance(85) ? (unsigned)sizeof(struct open_how) : ONE_OF(sizes);

	say("%u", how);
	return how;
}

static uint64_t argument(unsigned at, char letter)
{
	switch (letter) {
	case 'F': return a_descriptor(false);
	case 'D': return a_descriptor(true);
	case 'P': return a_name();
	case 'T': return a_target();
	case 'o': return open_flags();
	case 'm': return a_mode();
	case 'j': return a_mode() & (emulated ? 0107777 : UINT64_MAX); /* FIFOs and sockets: docs/limits.md */
	case 'k': return a_mode() | (emulated ? 0100 : 0);
	case 'M': return a_umask();
	case 'q': return a_new_mode(at, false);
	case 'Q': return a_new_mode(at, true);
	case 'O': return a_buffer(false);
	case 'E': return room_for_a_place();
	case 'I': return a_buffer(true);
	case 'z': return a_size_of();
	case 'v': return a_vector(false);
	case 'w': return a_vector(true);
	case 'c': return a_vectors_count();
	case 'l': return (uint64_t)an_offset();
	case 'L': return (uint64_t)an_extent();
	case 'p': return an_offset_at();
	case 'n': size = a_size(); say("%zu", size); return size;
	case 'N': say("0"); return 0; /* the half of an offset that x86-64 has no use for */
	case 'S': return a_struct(sizeof(struct stat));
	case 'X': return a_struct(sizeof(struct statx));
	case 'Y': return a_struct(sizeof(struct statfs));
	case 't': case 'u': case 'U': return two_times(letter);
	case 'x': return an_attribute();
	case 'i': return an_id();
	case 'd': say("0"); return 0; /* a device: only a whiteout's is an ordinary user's to make */
	case 'H': return how_to_open();
	case 'y': return hows_size();
	default: return a_flag(letter);
	}
}
#endif
