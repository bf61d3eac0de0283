/* SPDX-License-Identifier: GPL-2.0-or-later
 * Names for the fuzzer: of files that are there and are not, of every form.
 * Not "/" itself: elsewhere that is a mount point, which the kernel looks at later.
 * "$" stands for the directory that a round has to itself, "%" for "/" of this world. */
#ifndef FUZZ_NAMES_H
#define FUZZ_NAMES_H
#include "fuzz.h"
#include <limits.h>
#include <sys/stat.h>

#define LONGEST 5000

static char root[PATH_MAX]; /* what "$" means */
static const char *prefix = "";
static bool absolute; /* the last name was */
static bool emulated; /* leave out what docs/limits.md says of virtual trees */

static const char *const bases[] = {
	"f", "f", "g", "h", "d", "d", "e", "l", "ld", "s", "loop", "p", "x", "new", "new2", "\xff\x80", "a b",
};
static const char *const forms[] = { /* 1 and 2: a base each */
	"1", "1", "1", "1", "1", "1", "1", "1", "1/2", "1/2", "1/2", "1/2", "d/1", "d/1", "d/e/1", "ld/1",
	"./1", "1/", "1//", "1/.", "d/../1", "1/..", "1/../2", "d//1", "./d/./1", "d/.", "1/2/", "1/./", "../r/1",
	"$/1", "$/1", "$/d/1", "$/1/2", "$//./1/", "$/d/../1", "%/proc/self/cwd/1", "%/proc/self/cwd",
	"%/proc/self/cwd/d/../1/", "$",
};
static const char *const others[] = {
	"", ".", "..", "./", "../", "%/nonexistent/x", "%/etc/passwd", "%/etc/passwd/", "%/etc",
	"%/etc/passwd/x", "%/dev/null", "%/proc/self/fd", "%/nonexistent",
};

/* The world's own name for one with "$" and "%"; its length. */
static size_t expand(char *to, const char *name)
{
	size_t used = 0;

	for (; *name; name++) {
		const char *part = *name == '$' ? root : *name == '%' ? prefix : NULL;

		if (part)
			used += (size_t)sprintf(to + used, "%s", part);
		else
			to[used++] = *name;
	}
	to[used] = 0;
	return used;
}

static void from_form(char *to, const char *form)
{
	for (; *form; form++) {
		const char *base = ONE_OF(bases);

		if (emulated && *base == 'p')
			base = "f"; /* a FIFO is the kernel's: docs/limits.md */
		if (*form == '1' || *form == '2')
			to += sprintf(to, "%s", base);
		else
			*to++ = *form;
	}
	*to = 0;
}

/* Whether proc's name of a descriptor leads to its file: emulated, only that counts.  Those of FIFOs
 * are the kernel's: docs/limits.md. */
static bool still_named(unsigned fd)
{
	char link[64], name[PATH_MAX];
	struct stat there, here;
	ssize_t length;

	if (!fstat((int)fd, &here) && S_ISFIFO(here.st_mode))
		return false;
	if (!emulated)
		return true;
	snprintf(link, sizeof link, "/proc/self/fd/%u", fd);
	length = readlink(link, name, sizeof name - 1);
	if (length < 0)
		return false;
	name[length] = 0;
	return !stat(name, &there) && !fstat((int)fd, &here) && there.st_ino == here.st_ino;
}

/* A descriptor's name in proc, or one below it. */
static void by_descriptor(char *to)
{
	const char *base = ONE_OF(bases);
	unsigned fd = below(16);

	if (!still_named(fd)) {
		strcpy(to, base);
		return;
	}
	to += sprintf(to, "%%/proc/self/fd/%u", fd);
	if (chance(40))
		sprintf(to, "/%s", base);
}

/* A name of an exact length in this world, or a last word of one. */
static size_t too_long(char *to)
{
	static const unsigned short lengths[] = {4000, 4094, 4095, 4095, 4096, 4200};
	size_t length = ONE_OF(lengths), used;

	if (chance(40)) {
		length = 254 + below(3);
		memset(to, 'n', length);
		to[length] = 0;
		say("n*%zu", length);
		return length;
	}
	used = expand(to, chance(50) ? "$/" : "");
	say("%s.///*%zu", used ? "$/" : "", length);
	memset(to + used, '/', length - used);
	to[used] = '.';
	to[length - 1] = 'f';
	to[length] = 0;
	return length;
}

/* Put a name somewhere in memory: mostly whole, at times such that it can't be read. */
static uint64_t placed(const char *name, size_t length)
{
	char *memory;

	absolute = *name == '/';
	bool at_end = !end_used;

	if (at_end && chance(3)) {
		memory = take_end(length + 1);
		say(" at the end of a page");
		return (uint64_t)memcpy(memory, name, length + 1);
	}
	if (at_end && chance(2) && length) {
		memory = take_end(length);
		say(" without an end");
		return (uint64_t)memcpy(memory, name, length);
	}
	memory = take(length + 1);
	return (uint64_t)memcpy(memory, name, length + 1);
}

/* The address of a name, for any call. */
__attribute__((unused)) static uint64_t a_name(void)
{
	char name[LONGEST], whole[LONGEST];
	unsigned kind = below(100);

	if (kind < 2) {
		say("NULL");
		return 0;
	}
	if (kind < 3)
		return bad_address(false);
	if (kind < 7)
		return placed(whole, too_long(whole));
	if (kind < 13)
		by_descriptor(name);
	else if (kind < 20)
		strcpy(name, ONE_OF(others));
	else
		from_form(name, ONE_OF(forms));
	say_bytes(name, strlen(name));
	return placed(whole, expand(whole, name));
}

/* What a symbolic link shall say: nothing that is longer in one world than in another, nothing that
 * leads far up (".." once: nobody climbs out of the directories above the round's own). */
__attribute__((unused)) static uint64_t a_target(void)
{
	static const char *const targets[] = {
		"1", "1", "1", "d/1", "1/", "1/.", "./1", "../r/1", "1/../2", "/proc/self/cwd/1", "/etc/1", "", ".",
		"/nonexistent", "/proc/self/fd/3", "/proc/self/cwd", "1/2",
	};
	char name[LONGEST];

	if (chance(2))
		return bad_address(false);
	if (chance(4)) {
		size_t length = 4094 + below(4);

		memset(name, 't', length);
		name[length] = 0;
		say("t*%zu", length);
		return placed(name, length);
	}
	from_form(name, ONE_OF(targets));
	say_bytes(name, strlen(name));
	return placed(name, strlen(name));
}

#endif
