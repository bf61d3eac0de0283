/* SPDX-License-Identifier: GPL-2.0-or-later
 * inotify on a directory named in this world tells what is done there by any of its names. */
#include "guest.h"
#include <poll.h>
#include <sys/inotify.h>

static int fd;

/* The next event; its name must be this one. */
static void expect(uint32_t mask, const char *name)
{
	static char buffer[4096] __attribute__((aligned(8)));
	static int at, end;
	struct pollfd ready = {fd, POLLIN, 0};

	if (at == end) {
		EQ(poll(&ready, 1, 5000), 1);
		at = 0;
		end = OK(read(fd, buffer, sizeof buffer));
	}
	struct inotify_event *event = (void *)(buffer + at);
	at += sizeof *event + event->len;
	if (event->mask != mask || strcmp(event->len ? event->name : "", name))
		FAIL("event %#x '%s', not %#x '%s'", event->mask, event->len ? event->name : "", mask, name);
}

int main(void)
{
	char *where = here(), *real = where + strlen(prefix());
	struct pollfd ready;

	OK(mkdir("d", 0755));
	fd = OK(inotify_init1(IN_CLOEXEC));
	int watch = OK(inotify_add_watch(fd, text("%s/d", where), IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE));
	EQ(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE), watch);
	put("d/a", "1");
	expect(IN_CREATE, "a");
	expect(IN_CLOSE_WRITE, "a");
	put(text("%s/d/b", where), "1");
	expect(IN_CREATE, "b");
	expect(IN_CLOSE_WRITE, "b");
	put(text("%s/d/c", real), "1");
	expect(IN_CREATE, "c");
	expect(IN_CLOSE_WRITE, "c");
	OK(rename("d/a", "d/z"));
	expect(IN_MOVED_FROM, "a");
	expect(IN_MOVED_TO, "z");
	OK(unlink(text("%s/d/z", real)));
	expect(IN_DELETE, "z");
	OK(inotify_rm_watch(fd, watch));
	expect(IN_IGNORED, "");
	ready = (struct pollfd){fd, POLLIN, 0};
	EQ(poll(&ready, 1, 0), 0);
	ERR(inotify_add_watch(fd, "nothing", IN_CREATE), ENOENT);
	return 0;
}
