/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the kernel does beside calls: robust futexes, rseq, the end of a thread, the vsyscall page, user
 * dispatch, landlock, a filter with a listener of its own.  A view neither uses nor disturbs it. */
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <ucontext.h>

#define LANDLOCK_READ_FILE 4ull /* linux/landlock.h */

/* Who dies with a lock leaves it to the next. */
static void robust(void)
{
	pthread_mutexattr_t kind;
	pthread_mutex_t *lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(lock, &kind);
	pid_t child = OK(fork());
	if (!child) {
		pthread_mutex_lock(lock);
		OK(access("f", F_OK));
		raise(SIGKILL);
	}
	EQ(waitpid(child, NULL, 0), child);
	EQ(pthread_mutex_lock(lock), EOWNERDEAD);
}

static void *looks(void *unused)
{
	volatile struct rseq *area = (struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	for (int i = 0; i < 100; i++) {
		OK(access("f", F_OK));
		sched_yield();
		IS(area->cpu_id < 4096); /* above: not registered, or failed */
	}
	return unused;
}

static void sequences(void)
{
	pthread_t thread;

	if (!__rseq_size)
		return;
	looks(NULL);
	for (int i = 0; i < 20; i++) {
		EQ(pthread_create(&thread, NULL, looks, NULL), 0);
		EQ(pthread_join(thread, NULL), 0);
	}
}

static void old_page(void)
{
	if (!strstr(get("/proc/self/maps"), "[vsyscall]"))
		return;
	time_t (*old)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400;
	time_t now = old(NULL);
	IS(labs(now - time(NULL)) <= 1);
}

static volatile char selector;
static volatile int dispatched;

static void on_dispatch(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	(void)number;
	selector = 0;
	dispatched = info->si_syscall;
	at->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void dispatch(void)
{
	struct sigaction action = {.sa_sigaction = on_dispatch, .sa_flags = SA_SIGINFO};

	OK(sigaction(SIGSYS, &action, NULL));
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector)) {
		EQ(errno, EINVAL); /* an older kernel */
		return;
	}
	selector = 1;
	long value = syscall(SYS_access, "f", F_OK);
	EQ(value, 1234);
	EQ(dispatched, SYS_access);
	OK(access("f", F_OK));
	OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0));
}

static void confined(void)
{
	uint64_t handled = LANDLOCK_READ_FILE;
	long rules = syscall(444, &handled, sizeof handled, 0);

	if (rules < 0) {
		IS(errno == ENOSYS || errno == EOPNOTSUPP);
		return;
	}
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	OK(syscall(446, rules, 0));
	ERR(open("/etc/passwd", O_RDONLY), EACCES);
	if (emulated()) /* the kernel does not open it */
		OK(open("f", O_RDONLY));
	else
		ERR(open("f", O_RDONLY), EACCES);
	OK(open("f", O_WRONLY));
	OK(access("f", R_OK));
}

/* One listener is the kernel's limit for a tree of tasks. */
static void listens(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};
	struct seccomp_notif asked = {0};

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (loaded()) {
		ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program), EBUSY);
		return;
	}
	int listener = OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
	pid_t child = OK(fork());
	if (!child)
		_exit(getppid() != 77);
	OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked));
	EQ(asked.pid, child);
	struct seccomp_notif_resp answer = {.id = asked.id, .val = 77};
	OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer));
	int status;
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
}

int main(void)
{
	put("f", "");
	robust();
	sequences();
	old_page();
	in_child(dispatch);
	in_child(confined);
	in_child(listens);
	return 0;
}
