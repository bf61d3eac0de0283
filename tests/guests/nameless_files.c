/* SPDX-License-Identifier: GPL-2.0-or-later
 * O_TMPFILE: a file without a name, and how it gets one. */
#include "told.h"

static void about(int fd)
{
	struct stat st;
	char link[64], name[PATH_MAX];

	OK(fstat(fd, &st));
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = OK(readlink(link, name, sizeof name - 1));
	name[n] = 0;
	printf("  %lu links, mode %o, %ld bytes, flags %#x, %s\n", (unsigned long)st.st_nlink, st.st_mode,
	       (long)st.st_size, fcntl(fd, F_GETFL), strstr(name, " (deleted)") ? "nameless" : "named");
}

int main(void)
{
	char link[64], byte;
	int file = OK(open(".", O_TMPFILE | O_RDWR, 0644));

	TELL(write(file, "hello", 5));
	about(file);
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	TELL(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	TELL(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	TELL(linkat(file, "", AT_FDCWD, "twice", AT_EMPTY_PATH));
	TELL(access("named", F_OK));
	about(file);
	TELL(pread(OK(open("twice", O_RDONLY)), &byte, 1, 4));
	TELL(open("named", O_TMPFILE | O_RDWR, 0600));
	TELL(open(".", O_TMPFILE | O_RDONLY, 0600));
	TELL(open("nothing", O_TMPFILE | O_RDWR, 0600));
	file = OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0644));
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	TELL(linkat(AT_FDCWD, link, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
	OK(mkdir("closed", 0555));
	TELL(open("closed", O_TMPFILE | O_RDWR, 0600));
	umask(077);
	file = OK(open(".", O_TMPFILE | O_RDWR, 0666));
	about(file);
	file = OK(open("named", O_RDONLY));
	TELL(linkat(file, "", AT_FDCWD, "thrice", AT_EMPTY_PATH));
	TELL(linkat(99, "", AT_FDCWD, "never", AT_EMPTY_PATH));
	TELL(linkat(file, "", AT_FDCWD, "never", 0));
	return 0;
}
