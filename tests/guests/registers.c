/* SPDX-License-Identifier: GPL-2.0-or-later
 * A call changes rax, rcx and r11 and nothing else: not its six arguments, not the other
 * registers, not the red zone below rsp, not the strings that it was given; no flag of rflags. */
#include "guest.h"

struct registers { long rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12, r13, r14, r15; };

/* Makes the call with all registers set from *regs and the 128 bytes below rsp filled; stores what
 * they are afterwards in *regs.  rsp points into `stack`. */
static long call(long number, struct registers *regs, char *stack)
{
	struct { struct registers *regs; char *stack; char *old; long number, value; } box =
		{regs, stack, NULL, number, 0};
	static __thread void *volatile saved; /* the box, where no register can hold it */

	saved = &box;
	__asm__ volatile(
		"push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush %%r15\n\t"
		"mov %%rsp, 16(%0)\n\tmov 24(%0), %%rax\n\tmov 8(%0), %%rsp\n\t"
		"mov %0, 256(%%rsp)\n\t" /* far above the red zone: the way back */
		"mov (%0), %%rcx\n\t"
		"mov 0(%%rcx), %%rdi\n\tmov 8(%%rcx), %%rsi\n\tmov 16(%%rcx), %%rdx\n\tmov 24(%%rcx), %%r10\n\t"
		"mov 32(%%rcx), %%r8\n\tmov 40(%%rcx), %%r9\n\tmov 48(%%rcx), %%rbx\n\tmov 56(%%rcx), %%rbp\n\t"
		"mov 64(%%rcx), %%r12\n\tmov 72(%%rcx), %%r13\n\tmov 80(%%rcx), %%r14\n\tmov 88(%%rcx), %%r15\n\t"
		"syscall\n\t"
		"mov 256(%%rsp), %%rcx\n\tmov %%rax, 32(%%rcx)\n\tmov (%%rcx), %%rcx\n\t"
		"mov %%rdi, 0(%%rcx)\n\tmov %%rsi, 8(%%rcx)\n\tmov %%rdx, 16(%%rcx)\n\tmov %%r10, 24(%%rcx)\n\t"
		"mov %%r8, 32(%%rcx)\n\tmov %%r9, 40(%%rcx)\n\tmov %%rbx, 48(%%rcx)\n\tmov %%rbp, 56(%%rcx)\n\t"
		"mov %%r12, 64(%%rcx)\n\tmov %%r13, 72(%%rcx)\n\tmov %%r14, 80(%%rcx)\n\tmov %%r15, 88(%%rcx)\n\t"
		"mov 256(%%rsp), %%rcx\n\tmov 16(%%rcx), %%rsp\n\t"
		"pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx"
		: : "r"(saved)
		: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return box.value;
}

static char arena[8192] __attribute__((aligned(16)));

static void check(const char *name, long expected, long number, long a, long b, long c, long d, long e, long f)
{
	struct registers before = {a, b, c, d, e, f, 0x1b, 0x1c, 0x12, 0x13, 0x14, 0x15}, after = before;
	char *stack = arena + 4096;

	memset(arena, 0x77, sizeof arena);
	long value = call(number, &after, stack);
	if (expected >= 0 ? value < 0 : value != expected)
		FAIL("%s gives %ld, not %ld", name, value, expected);
	const long *x = (const long *)&before, *y = (const long *)&after;
	static const char *const names[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9", "rbx", "rbp", "r12", "r13", "r14", "r15"};
	for (int k = 0; k < 12; k++)
		if (x[k] != y[k])
			FAIL("%s: %s was %#lx and is %#lx", name, names[k], x[k], y[k]);
	for (int k = 1; k <= 128; k++)
		if (stack[-k] != 0x77)
			FAIL("%s: byte %d of the red zone was changed", name, k);
	for (int k = 0; k < 4096; k++)
		if (stack[k] != 0x77 && (k < 256 || k >= 264))
			FAIL("%s: byte %d above rsp was changed", name, k);
}
#define CALL(expected, name, ...) CALL_(expected, name, __VA_ARGS__, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa)
#define CALL_(expected, name, a, b, c, d, e, f, ...) \
	check(#name, expected, SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

int main(void)
{
	static char buffer[PATH_MAX], away[PATH_MAX];
	struct stat s;
	char *etc = text("%s/etc/passwd", prefix()), *copy = strdup(etc), *where = here();
	char file[] = "f", dir[] = "d", other[] = "e", link[] = "l", gone[] = "nothing";
	char f[2], d[2];

	put("f", "1");
	strcpy(away, text("%s/f", where));
	memcpy(f, file, 2), memcpy(d, dir, 2);
	for (int round = 0; round < 3; round++) { /* also when something was learnt from the first */
		CALL(0, stat, etc, &s);
		CALL(0, lstat, away, &s);
		CALL(-ENOENT, stat, gone, &s);
		CALL(0, open, etc, O_RDONLY, 0);
		CALL(0, open, away, O_RDONLY, 0);
		CALL(-ENOENT, open, gone, O_RDONLY, 0);
		CALL(0, openat, AT_FDCWD, etc, O_RDONLY, 0);
		CALL(0, newfstatat, AT_FDCWD, file, &s, 0);
		CALL(0, access, file, R_OK);
		CALL(0, faccessat, AT_FDCWD, etc, R_OK);
		CALL(0, statx, AT_FDCWD, file, 0, 0x7ff, buffer);
		CALL(0, mkdir, dir, 0755);
		CALL(-EEXIST, mkdir, dir, 0755);
		CALL(0, chdir, dir);
		CALL(0, getcwd, buffer, sizeof buffer);
		CALL(0, chdir, where);
		CALL(0, rename, dir, other);
		CALL(0, rmdir, other);
		CALL(0, symlink, file, link);
		CALL(1, readlink, link, buffer, sizeof buffer);
		CALL(-EINVAL, readlink, file, buffer, sizeof buffer);
		CALL(0, unlink, link);
		CALL(0, linkat, AT_FDCWD, away, AT_FDCWD, other, 0);
		CALL(0, unlinkat, AT_FDCWD, other, 0);
		CALL(0, renameat2, AT_FDCWD, file, AT_FDCWD, other, 1);
		CALL(0, renameat, AT_FDCWD, other, AT_FDCWD, file);
		CALL(0, chmod, away, 0755);
		CALL(0, truncate, away, 1);
		CALL(0, statfs, etc, buffer);
		CALL(-ENOENT, execve, gone, NULL, NULL);
		CALL(0, getpid, 1);
	}
	SAME(etc, copy);
	SAME(away, text("%s/f", where));
	IS(!memcmp(file, f, 2) && !memcmp(dir, d, 2));
	return 0;
}
