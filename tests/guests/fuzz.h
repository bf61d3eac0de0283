/* SPDX-License-Identifier: GPL-2.0-or-later
 * What both fuzzers use: numbers from a seed, memory of every kind, the line that tells of a call. */
#ifndef FUZZ_H
#define FUZZ_H
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define ROOM (256UL << 10) /* bytes that calls read and write */
#define WORDS 6		   /* arguments of a call */
#define OUTPUT 63	   /* where lines go: no generated descriptor reaches it */
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

__attribute__((noreturn, unused)) static void give_up(const char *what)
{
	dprintf(2, "%s: %s\n", what, strerrorname_np(errno));
	_exit(1);
}

/* A call of the fuzzer's own that must not fail; its value. */
#define OK(call) ({ long value_ = (long)(call); if (value_ < 0) give_up(#call); value_; })

/* -- numbers: the same for a seed and a call's index, whatever was called before ---------------- */

static uint64_t state;

static void seed_call(uint64_t seed, uint64_t index)
{
	state = seed * 0xd1342543de82ef95U + index * 0xda942042e4dd58b5U;
}

static uint64_t any(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

static unsigned below(size_t end) { return (unsigned)(any() % end); }

static bool chance(unsigned percent) { return below(100) < percent; }

#define ONE_OF(array) ((array)[below(COUNT(array))])

/* -- the line ------------------------------------------------------------------------------------ */

static char line[16384], output[1 << 16];
static size_t line_used, output_used;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line + line_used, sizeof line - line_used, format, args);
	va_end(args);
	line_used += (size_t)n;
	if (line_used >= sizeof line)
		line_used = sizeof line - 1;
}

/* Bytes in quotes; of many the first, and how many they are. */
__attribute__((unused)) static void say_bytes(const char *bytes, size_t count)
{
	size_t shown = count > 80 ? 40 : count;

	say("\"");
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			say("\\x%02x", c);
		else
			say("%c", c);
	}
	say(count > shown ? "\"...%zu" : "\"", count);
}

static void flush_output(void)
{
	for (size_t done = 0; done < output_used;) {
		ssize_t n = write(OUTPUT, output + done, output_used - done);

		if (n < 0 && errno != EINTR)
			_exit(3);
		done += n > 0 ? (size_t)n : 0;
	}
	output_used = 0;
}

__attribute__((unused)) static void end_line(void)
{
	say("\n");
	if (output_used + line_used > sizeof output)
		flush_output();
	memcpy(output + output_used, line, line_used);
	output_used += line_used;
	line_used = 0;
}

/* -- memory -------------------------------------------------------------------------------------- */

static unsigned char *room; /* ROOM bytes, then a page that is not there */
static unsigned char *fixed; /* a page that can only be read */
static size_t room_used;
static bool end_used; /* the last bytes of the room are a call's already */

static void make_room(void)
{
	void *both = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (both == MAP_FAILED || page == MAP_FAILED)
		give_up("mmap");
	room = both;
	fixed = page;
	memset(fixed, 'r', PAGE);
	if (mprotect(room + ROOM, PAGE, PROT_NONE) || mprotect(fixed, PAGE, PROT_READ))
		give_up("mprotect");
}

/* Fresh memory of this call, filled with a byte that is nobody's. */
static void *take(size_t size)
{
	unsigned char *start = room + room_used;

	room_used += (size + 63) & ~63UL;
	if (room_used > ROOM)
		give_up("room");
	memset(start, 0xaa, size);
	return start;
}

/* The last `size` bytes before the page that is not there. */
__attribute__((unused)) static void *take_end(size_t size)
{
	end_used = true;
	memset(room + ROOM - size, 0xaa, size);
	return room + ROOM - size;
}

/* An address where nothing can be stored; but for the first, nothing can be read there either. */
static uint64_t bad_address(bool readable)
{
	const uint64_t places[] = {
		(uint64_t)fixed, 1, UINT64_MAX, 0xffff800000000000U, 0x800000000000U, (uint64_t)(room + ROOM),
	};
	const char *const names[] = {"read-only", "1", "-1", "kernel", "no-address", "no-page"};
	unsigned which = readable ? below(COUNT(places)) : 1 + below(COUNT(places) - 1);

	say("%s", names[which]);
	return places[which];
}
#endif
