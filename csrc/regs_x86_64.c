// SPDX-License-Identifier: GPL-2.0-or-later
/* regs_x86_64.c - this machine's registers: the only C file that knows their names. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <unistd.h>

_Static_assert(sizeof(struct user_regs_struct) == sizeof(((struct pv_regs *)0)->raw), "registers");

int pv_get_regs(int tid, struct pv_regs *regs)
{
	struct user_regs_struct u;

	if (ptrace(PTRACE_GETREGS, tid, 0, &u) < 0)
		return -errno;
	memcpy(regs->raw, &u, sizeof u);
	regs->nr = u.orig_rax;
	regs->value = u.rax;
	regs->args[0] = u.rdi;
	regs->args[1] = u.rsi;
	regs->args[2] = u.rdx;
	regs->args[3] = u.r10;
	regs->args[4] = u.r8;
	regs->args[5] = u.r9;
	regs->ip = u.rip;
	regs->sp = u.rsp;
	return 0;
}

int pv_set_regs(int tid, const struct pv_regs *regs)
{
	struct user_regs_struct u;

	memcpy(&u, regs->raw, sizeof u);
	u.orig_rax = regs->nr;
	u.rax = regs->value;
	u.rdi = regs->args[0];
	u.rsi = regs->args[1];
	u.rdx = regs->args[2];
	u.r10 = regs->args[3];
	u.r8 = regs->args[4];
	u.r9 = regs->args[5];
	u.rip = regs->ip;
	u.rsp = regs->sp;
	return ptrace(PTRACE_SETREGS, tid, 0, &u) < 0 ? -errno : 0;
}

/* Answer the call that a task is stopped at, before it runs: it won't. */
int pv_answer(int tid, int64_t value)
{
	if (ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, orig_rax), -1L) < 0 ||
	    ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax), (long)value) < 0)
		return -errno;
	return 0;
}

int pv_call_length(void)
{
	return 2;
}

/* Where a `syscall` instruction stands in the vDSO, from its start; 0 when there is none.  The
 * vDSO is the one text that every process of this kernel has, and it is the same in the core. */
static uint64_t call_in_vdso(void)
{
	static uint64_t found;
	const uint8_t *text = (const uint8_t *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);

	if (found || !text)
		return found;
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)text;
	const Elf64_Phdr *seg = (const Elf64_Phdr *)(const void *)(text + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++) {
		if (seg[i].p_type != PT_LOAD || !(seg[i].p_flags & PF_X))
			continue;
		for (uint64_t at = seg[i].p_offset; at + 1 < seg[i].p_offset + seg[i].p_filesz; at++)
			if (text[at] == 0x0f && text[at + 1] == 0x05)
				return found = at;
	}
	return 0;
}

/* The address of a `syscall` instruction in the task; 0 when it has no vDSO.  -errno. */
uint64_t pv_call_site(int tid)
{
	uint64_t pair[2], at = call_in_vdso();
	char name[64];
	int fd;

	snprintf(name, sizeof name, "/proc/%d/auxv", tid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (uint64_t)-errno;
	uint64_t base = 0;
	while (read(fd, pair, sizeof pair) == (ssize_t)sizeof pair && pair[0] != AT_NULL)
		if (pair[0] == AT_SYSINFO_EHDR)
			base = pair[1];
	close(fd);
	return base && at ? base + at : 0;
}

/* A call of our own, without a library: syscall(2), errno as in the kernel. */
int64_t pv_raw(int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	int64_t value;

	__asm__ volatile("syscall"
	                 : "=a"(value)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return value;
}

/* Where the object begins that is executed as a program (window.c): nobody has aligned the stack. */
__asm__(".globl pv_window_start\n"
        ".hidden pv_window_start\n"
        ".type pv_window_start, @function\n"
        "pv_window_start:\n"
        "\txor %ebp, %ebp\n"
        "\tand $-16, %rsp\n"
        "\tcall pv_window_serve\n"
        "\thlt\n");
