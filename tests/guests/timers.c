/* SPDX-License-Identifier: GPL-2.0-or-later
 * Timers fire as often and as late as they were set to, while their process makes calls that stop:
 * alarm, setitimer, timer_create (also for one thread), timerfd; clocks of the processor count. */
#include "guest.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static volatile sig_atomic_t fired, value;

static void on_fire(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	fired++;
	value = info->si_value.sival_int;
}

static void busy(void)
{
	struct stat s;

	OK(stat("f", &s));
	int fd = OK(open("f", O_RDONLY));
	close(fd);
	for (volatile int n = 0; n < 200000; n++) /* work of its own, whoever answers its calls */
		;
}

/* Make calls until the signal has come `wanted` times; how long that took, in ms. */
static double until(int wanted)
{
	double start = ms();

	for (fired = 0; fired < wanted; busy())
		if (ms() - start > 20000)
			FAIL("%d signals of %d", (int)fired, wanted);
	return ms() - start;
}

static void took(const char *what, double least, double most, double found)
{
	if (found < least || found > most)
		FAIL("%s: %.1f ms, not %.0f to %.0f", what, found, least, most);
}

static void interval(int which, const char *name)
{
	struct itimerval every = {{0, 20000}, {0, 20000}}, left, none = {};

	OK(setitimer(which, &every, NULL));
	double found = until(10);
	OK(getitimer(which, &left));
	IS(left.it_interval.tv_usec >= 20000 && left.it_value.tv_usec <= 40000);
	OK(setitimer(which, &none, NULL));
	took(name, 195, 20000, found);
}

static void posix(int how, const char *name)
{
	struct sigevent event = {.sigev_notify = how, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec every = {{0, 10000000}, {0, 30000000}};
	timer_t timer;

	event.sigev_value.sival_int = 42;
	event._sigev_un._tid = gettid();
	OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	OK(timer_settime(timer, 0, &every, NULL));
	took(name, 69, 5000, until(5));
	EQ(value, 42);
	OK(timer_delete(timer));
}

static void descriptor(void)
{
	struct itimerspec every = {{0, 20000000}, {0, 20000000}};
	uint64_t sum = 0, times;
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));

	OK(timerfd_settime(fd, 0, &every, NULL));
	double start = ms();
	while (sum < 10) {
		busy();
		EQ(read(fd, &times, sizeof times), sizeof times);
		sum += times;
	}
	took("timerfd", 199, 5000, ms() - start);
	close(fd);
}

/* An interrupted sleep tells what is left of it. */
static void sleeps(void)
{
	struct timespec wish = {1, 0}, left;
	struct itimerval once = {{0, 0}, {0, 100000}};

	OK(setitimer(ITIMER_REAL, &once, NULL));
	double start = ms();
	ERR(nanosleep(&wish, &left), EINTR);
	took("an interrupted sleep", 99, 900, ms() - start);
	double rest = left.tv_sec * 1e3 + left.tv_nsec / 1e6;
	took("what is left of it", 100, 901, rest);
	start = ms();
	pause_ms(50);
	took("a sleep", 50, 500, ms() - start);
	alarm(2);
	EQ(alarm(0), 2);
}

static void processor(void)
{
	struct rusage before, after;
	struct timespec t;

	OK(getrusage(RUSAGE_SELF, &before));
	for (double end = ms() + 150; ms() < end;)
		;
	OK(getrusage(RUSAGE_SELF, &after));
	double used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1e3 +
		      (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e3;
	if (used < 10)
		FAIL("150 ms of work are counted as %.1f", used);
	OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
	IS(t.tv_sec * 1e3 + t.tv_nsec / 1e6 >= used);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fire, .sa_flags = SA_SIGINFO};

	put("f", "1");
	OK(sigaction(SIGALRM, &action, NULL));
	OK(sigaction(SIGVTALRM, &action, NULL));
	OK(sigaction(SIGPROF, &action, NULL));
	OK(sigaction(SIGRTMIN + 3, &action, NULL));
	interval(ITIMER_REAL, "ITIMER_REAL");
	interval(ITIMER_PROF, "ITIMER_PROF");
	posix(SIGEV_SIGNAL, "a timer");
	posix(SIGEV_THREAD_ID, "a thread's timer");
	descriptor();
	sleeps();
	processor();
	return 0;
}
