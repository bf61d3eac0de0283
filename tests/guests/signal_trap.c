/* SPDX-License-Identifier: GPL-2.0-or-later
 * A program's own SIGTRAP, by int3 and by raise, and its SIGSEGV reach its handler with their
 * siginfo and registers; a queued signal keeps its value. */
#include "guest.h"
#include <setjmp.h>
#include <ucontext.h>

static volatile sig_atomic_t seen, code, value;
static volatile long at, rbx;
static sigjmp_buf back;

static void on_signal(int number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	seen = number;
	code = info->si_code;
	value = info->si_value.sival_int;
	if (number == SIGSEGV) {
		at = (long)info->si_addr;
		rbx = user->uc_mcontext.gregs[REG_RBX];
		siglongjmp(back, 1);
	}
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	OK(sigaction(SIGTRAP, &action, NULL));
	OK(sigaction(SIGSEGV, &action, NULL));
	OK(sigaction(SIGRTMIN, &action, NULL));
	__asm__ volatile("int3");
	EQ(seen, SIGTRAP);
	EQ(code, SI_KERNEL);
	seen = 0;
	raise(SIGTRAP);
	EQ(seen, SIGTRAP);
	EQ(code, SI_TKILL);
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4711}));
	EQ(seen, SIGRTMIN);
	EQ(value, 4711);
	struct stat s;
	OK(stat("/etc", &s));
	if (!sigsetjmp(back, 1))
		__asm__ volatile("movl $1234, %%ebx; movq $64, %%rax; movb $1, (%%rax)" ::: "rax", "rbx", "memory");
	EQ(seen, SIGSEGV);
	EQ(at, 64);
	EQ(rbx, 1234);
	return 0;
}
