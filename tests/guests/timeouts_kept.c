/* SPDX-License-Identifier: GPL-2.0-or-later
 * A sleep that is stopped and continued, once and often, lasts as long as it was to; so do poll,
 * select and a futex, which restart with what is left of their time. */
#include "guest.h"
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/select.h>

static int word = 7;

static long nap(void) { struct timespec t = {0, 400000000}; return nanosleep(&t, NULL); }
static long wait_poll(void) { struct pollfd none = {-1, 0, 0}; return poll(&none, 1, 400); }
static long wait_futex(void)
{
	struct timespec t = {0, 400000000};
	long value = syscall(SYS_futex, &word, FUTEX_WAIT, 7, &t, NULL, 0);

	return value == -1 && errno == ETIMEDOUT ? 0 : value;
}
static long wait_select(void) { struct timeval t = {0, 400000}; return select(0, NULL, NULL, NULL, &t); }
static long wait_pselect(void)
{
	struct timespec t = {0, 400000000};
	sigset_t none;

	sigemptyset(&none);
	return pselect(0, NULL, NULL, NULL, &t, &none);
}
static long wait_ppoll(void)
{
	struct pollfd none = {-1, 0, 0};
	struct timespec t = {0, 400000000};

	return ppoll(&none, 1, &t, NULL);
}
static long wait_sem(void)
{
	struct timespec t;
	sem_t sem;

	OK(sem_init(&sem, 0, 0));
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 400000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	long value;
	while ((value = sem_timedwait(&sem, &t)) == -1 && errno == EINTR)
		;
	return value == -1 && errno == ETIMEDOUT ? 0 : value;
}
static long wait_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 400000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(void)
{
	static const struct { const char *name; long (*call)(void); } all[] = {
		{"nanosleep", nap}, {"poll", wait_poll}, {"futex", wait_futex}, {"clock_nanosleep", wait_clock},
		{"select", wait_select}, {"pselect", wait_pselect}, {"ppoll", wait_ppoll},
		{"sem_timedwait", wait_sem}};
	int status;

	alarm(30);
	for (unsigned k = 0; k < sizeof all / sizeof *all; k++) {
		int ends[2];
		OK(pipe(ends));
		pid_t child = OK(fork());
		if (!child) {
			write(ends[1], "r", 1);
			double start = ms();
			long value = all[k].call();
			double took = ms() - start;
			if (value || took < 398 || took > 1500)
				FAIL("%s of 400 ms: %ld (errno %d) after %.0f ms", all[k].name, value, errno, took);
			_exit(0);
		}
		char byte;
		EQ(read(ends[0], &byte, 1), 1);
		for (int n = 0; n < 3; n++) {
			pause_ms(40);
			OK(kill(child, SIGSTOP));
			EQ(waitpid(child, &status, WUNTRACED), child);
			if (!WIFSTOPPED(status))
				FAIL("%s ended with wait status %#x", all[k].name, status);
			pause_ms(30);
			OK(kill(child, SIGCONT));
		}
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
	}
	return 0;
}
