/* SPDX-License-Identifier: GPL-2.0-or-later
 * O_NOFOLLOW, on links that lead somewhere and on others: open(2). */
#include "told.h"

int main(void)
{
	char *where = here();

	OK(close(OK(open("file", O_CREAT | O_RDWR, 0644))));
	OK(symlink(text("%s/file", where), "link"));
	OK(symlink("nothing", "lost"));
	OK(symlink(".", "dir"));
	TELL(open("link", O_RDONLY));
	TELL(open("link", O_RDONLY | O_NOFOLLOW));
	TELL(open("link", O_WRONLY | O_NOFOLLOW));
	TELL(open("link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
	TELL(open("link", O_RDONLY | O_NOFOLLOW | O_PATH));
	TELL(open("link", O_RDWR | O_CREAT | O_EXCL, 0644));
	OK(chdir("/"));
	puts(open(text("%s/link", where), O_RDONLY) < 0 ? strerrorname_np(errno) : "opened");
	puts(open(text("%s/link", where), O_RDONLY | O_NOFOLLOW) < 0 ? strerrorname_np(errno) : "");
	OK(chdir(where));
	TELL(open("lost", O_RDONLY));
	TELL(open("lost", O_RDONLY | O_NOFOLLOW));
	TELL(open("lost", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
	TELL(open("lost", O_WRONLY | O_NOFOLLOW | O_CREAT, 0644));
	TELL(open("dir", O_RDONLY | O_NOFOLLOW));
	TELL(open("dir/", O_RDONLY | O_NOFOLLOW));
	TELL(open("dir/file", O_RDONLY | O_NOFOLLOW));
	return 0;
}
