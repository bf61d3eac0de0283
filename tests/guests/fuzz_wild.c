/* SPDX-License-Identifier: GPL-2.0-or-later
 * Any call number with any arguments: whatever that does to the caller, its view lives.
 *
 *   fuzz_wild SEED FIRST COUNT
 *
 * Each process makes calls until one of them ends or stops it; the next goes on after that call.
 * What is printed is a summary; status 0 unless a process can't be ended or a call of this program
 * itself fails. */
/* cc: -Wshadow -Wconversion */
#include "fuzz_names.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define LAST_CALL 470
#define PATIENCE 4	/* ms after which a signal interrupts a call that sleeps */
#define STUCK 150	/* ms at one call that keeps it out */
#define UNENDING 10000	/* ms after SIGKILL: it hangs */
#define NOBODY (1 << 23) /* more than any pid */

static volatile uint64_t *at; /* the index of the call under way, in shared memory */

/* What would harm others than the caller, outlast it, or wait for nobody: never made. */
static const short left_out[] = {
	SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal,
	SYS_reboot, SYS_sync, SYS_syncfs, SYS_vhangup, SYS_swapoff, SYS_kexec_load, SYS_kexec_file_load,
	SYS_setpriority, SYS_ioprio_set, SYS_sched_setaffinity, SYS_sched_setscheduler, SYS_sched_setparam,
	SYS_sched_setattr, SYS_prlimit64, SYS_process_vm_writev, SYS_migrate_pages, SYS_move_pages,
	SYS_process_mrelease, SYS_process_madvise, SYS_pidfd_getfd, /* other processes of this user */
	SYS_msgget, SYS_semget, SYS_shmget, SYS_mq_open, SYS_mq_unlink, SYS_msgctl, SYS_semctl, SYS_shmctl,
	SYS_add_key, SYS_request_key, SYS_keyctl, /* they stay */
	SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, /* see multiply() */
};

/* Their first argument is somebody's pid. */
static const short of_processes[] = {
	SYS_ptrace, SYS_setpgid, SYS_getpgid, SYS_getsid, SYS_wait4, SYS_process_vm_readv, SYS_kcmp,
	SYS_pidfd_open, SYS_get_robust_list, SYS_sched_getaffinity, SYS_rseq,
};

static bool is_among(const short *list, size_t count, long number)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return true;
	return false;
}

/* Names of files here, and of the world's that nobody but root can change. */
static uint64_t wild_name(void)
{
	static const char *const names[] = {
		"f", "d", "l", "d/x", "f/", "", ".", "loop", "%/etc/passwd", "%/proc/self/fd/3", "%/nonexistent/x",
		"%/proc/self/maps", "%/dev/null", "%/usr/bin/true",
	};
	char whole[LONGEST];
	size_t length = expand(whole, ONE_OF(names));

	return (uint64_t)memcpy(take(length + 1), whole, length + 1);
}

/* A structure with small numbers, addresses and noise in it. */
static uint64_t wild_struct(void)
{
	uint64_t *words = take(256);

	for (size_t i = 0; i < 32; i++)
		words[i] = chance(40) ? below(64) : chance(30) ? (uint64_t)room + below(ROOM) : chance(50) ? 0 : any();
	return (uint64_t)words;
}

static uint64_t wild_word(void)
{
	static const uint64_t numbers[] = {
		0, 0, 1, 2, 3, 4, 5, 7, 8, 16, 100, 511, 4096, 65536, 1UL << 20, UINT32_MAX, INT32_MAX, UINT64_MAX,
		INT64_MAX, 1UL << 63, (uint64_t)AT_FDCWD,
	};
	unsigned kind = below(100);

	if (kind < 25)
		return wild_name();
	if (kind < 50)
		return wild_struct();
	if (kind < 56)
		return bad_address(true);
	if (kind < 60)
		return any();
	if (kind < 65)
		return 1UL << below(64);
	return ONE_OF(numbers);
}

/* A new process with flags of any kind but those that would share this stack; it ends at once. */
static void multiply(void)
{
	const uint64_t shared = 0x100 | 0x800 | 0x4000 | 0x10000 | 0x80000; /* VM, SIGHAND, VFORK, THREAD, SETTLS */
	uint64_t flags = (any() & any() & 0xffffff00 & ~shared) | (chance(50) ? SIGCHLD : below(65));
	pid_t me = getpid();

	syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (syscall(SYS_getpid) != me)
		_exit(0);
}

static void one_call(uint64_t seed, uint64_t index)
{
	uint64_t word[WORDS];
	long number;

	seed_call(seed, index);
	room_used = 0;
	end_used = false;
	line_used = 0;
	number = below(LAST_CALL + 1);
	for (unsigned i = 0; i < WORDS; i++)
		word[i] = wild_word();
	if (number == SYS_clone) {
		multiply();
		return;
	}
	if (is_among(left_out, COUNT(left_out), number))
		return;
	if (is_among(of_processes, COUNT(of_processes), number))
		word[number == SYS_ptrace] = chance(50) ? 0 : (uint64_t)(chance(50) ? getpid() : NOBODY);
	if (number == SYS_fallocate)
		word[3] &= 0xfffff; /* the disk is everybody's */
	if (number == SYS_fcntl && (word[1] & 0xffffffff) == F_SETOWN)
		return; /* somebody's SIGIO */
	syscall(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}

static void ring(int number) { (void)number; }

/* Signals go on, and the alarm, whatever the last call has made of them. */
static void rearm(void)
{
	const struct itimerval soon = {{0, PATIENCE * 1000}, {0, PATIENCE * 1000}};
	struct sigaction interrupts = {.sa_handler = ring};
	sigset_t none;

	sigemptyset(&none);
	sigaction(SIGALRM, &interrupts, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

static void limit(__rlimit_resource_t what, rlim_t most) { setrlimit(what, &(struct rlimit){most, most}); }

/* Calls from `first` on, until one ends this process. */
__attribute__((noreturn)) static void go_wild(uint64_t seed, uint64_t first, uint64_t end)
{
	limit(RLIMIT_CPU, 2);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_AS, 1 << 28);
	limit(RLIMIT_NOFILE, 100);
	limit(RLIMIT_CORE, 0);
	signal(SIGXFSZ, SIG_IGN);
	make_room();
	for (int fd = 0; fd < 3; fd++)
		dup2(open("/dev/null", O_RDWR), fd);
	chmod("f", 0644);
	chmod("d", 0755);
	open("f", O_RDWR | O_CREAT, 0644);
	open(".", O_RDONLY);
	for (uint64_t index = first; index < end; index++) {
		*at = index;
		rearm();
		one_call(seed, index);
	}
	*at = end;
	_exit(0);
}

/* Wait for the process to end, or to stay at one call; in that case it is killed. */
static bool watch(pid_t child)
{
	int ends = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd ended = {.fd = ends, .events = POLLIN};
	uint64_t before = UINT64_MAX;
	bool killed = false;

	if (ends < 0)
		give_up("pidfd_open");
	while (!poll(&ended, 1, STUCK)) {
		if (*at == before)
			break;
		before = *at;
	}
	if (!(ended.revents & POLLIN)) {
		killed = true;
		kill(child, SIGKILL);
		if (poll(&ended, 1, UNENDING) != 1) {
			dprintf(2, "process %d hangs at call %llu\n", child, (unsigned long long)*at);
			_exit(1);
		}
	}
	close(ends);
	return killed;
}

static void furnish(void)
{
	OK(mkdir("d", 0755));
	close((int)OK(creat("f", 0755)));
	OK(symlink("f", "l"));
	OK(symlink("loop", "loop"));
}

int main(int argc, char **argv)
{
	unsigned processes = 0, killed = 0, crashed = 0;
	char *here;

	if (argc != 4)
		return 2;
	uint64_t seed = strtoull(argv[1], NULL, 10), next = strtoull(argv[2], NULL, 10);
	uint64_t end = next + strtoull(argv[3], NULL, 10);

	prefix = getenv("PREFIX") ?: "";
	here = getcwd(NULL, 0);
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	furnish();
	while (next < end) {
		int status;

		*at = next;
		pid_t child = (pid_t)OK(fork());

		if (!child)
			go_wild(seed, next, end);
		killed += watch(child);
		if (waitpid(child, &status, 0) != child)
			give_up("waitpid");
		crashed += WIFSIGNALED(status);
		processes++;
		next = *at == end ? end : *at >= next && *at < end ? *at + 1 : next + 1;
		OK(chmod(here, 0755)); /* this process is answered still */
		OK(chdir(here));
	}
	printf("%u processes, %u killed at a call that sleeps, %u ended by a signal\n", processes, killed, crashed);
	return 0;
}
