/* SPDX-License-Identifier: GPL-2.0-or-later
 * inotify(7): which events come of what, and what can't be watched. */
#include "told.h"
#include <sys/inotify.h>

static void events(int watch)
{
	char room[4096] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(watch, room, sizeof room)) > 0)
		for (char *at = room; at < room + n;) {
			struct inotify_event *event = (struct inotify_event *)at;
			printf("  watch %d mask %#x %s\n", event->wd, event->mask, event->len ? event->name : "");
			at += sizeof *event + event->len;
		}
}

int main(void)
{
	int watch = OK(inotify_init1(IN_NONBLOCK)), file;

	OK(mkdir("d", 0755));
	TELL(inotify_add_watch(watch, ".", IN_ALL_EVENTS));
	TELL(inotify_add_watch(watch, "d", IN_CREATE | IN_DELETE | IN_MODIFY));
	TELL(inotify_add_watch(watch, "d/../d", IN_CREATE | IN_ONLYDIR));
	TELL(inotify_add_watch(watch, "nothing", IN_CREATE));
	TELL(inotify_add_watch(watch, NOWHERE, IN_CREATE));
	file = OK(open("a", O_CREAT | O_RDWR, 0644));
	OK(write(file, "x", 1));
	events(watch);
	file = OK(open("d/b", O_CREAT | O_RDWR, 0644));
	OK(rename("a", "b"));
	events(watch);
	TELL(inotify_add_watch(watch, "b", IN_ONLYDIR | IN_OPEN));
	TELL(inotify_add_watch(watch, "b/", IN_OPEN));
	OK(chmod("b", 0600));
	OK(unlink("d/b"));
	OK(rmdir("d"));
	events(watch);
	OK(symlink("nothing", "link"));
	TELL(inotify_add_watch(watch, "link", IN_OPEN));
	TELL(inotify_add_watch(watch, "link", IN_OPEN | IN_DONT_FOLLOW));
	OK(close(OK(open("late", O_CREAT | O_WRONLY, 0644)))); /* before it is watched */
	TELL(inotify_add_watch(watch, "late", IN_ALL_EVENTS));
	OK(close(OK(open("late", O_RDONLY))));
	OK(close(OK(open("late", O_WRONLY))));
	OK(rename("late", "later"));
	events(watch);
	OK(mkdir("closed", 0));
	TELL(inotify_add_watch(watch, "closed", IN_OPEN));
	events(watch);
	return 0;
}
