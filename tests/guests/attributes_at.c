/* SPDX-License-Identifier: GPL-2.0-or-later
 * setxattrat(2) and its kin, which take a struct xattr_args. */
#include "told.h"
#include <sys/xattr.h>

struct words {
	uint64_t value;
	uint32_t size, flags;
};

static struct words words(const char *value, uint32_t size, uint32_t flags)
{
	return (struct words){ (uintptr_t)value, size, flags };
}

#define SET(...) syscall(463, __VA_ARGS__)
#define GET(...) syscall(464, __VA_ARGS__)
#define LIST(...) syscall(465, __VA_ARGS__)
#define REMOVE(...) syscall(466, __VA_ARGS__)
#define HERE AT_FDCWD, "a", 0, "user.t"

int main(void)
{
	char room[64] = "", longer[32] = "";
	struct words put = words("val", 3, 0), get = words(room, sizeof room, 0);
	struct words makes = words("val", 3, 1), replaces = words("val", 3, 2), odd = words("val", 3, 4);
	struct words little = words(room, 1, 0), none = words(NULL, 0, 0), flagged = words(room, 64, 1);
	struct words huge = words("v", 70000, 0);
	int file = OK(open("a", O_CREAT | O_RDWR, 0644)), path = OK(open("a", O_PATH));

	memcpy(longer, &put, sizeof put);
	TELL(SET(HERE, &put, sizeof put));
	TELL(GET(HERE, &get, sizeof get));
	puts(room);
	TELL(GET(file, "", AT_EMPTY_PATH, "user.t", &get, sizeof get));
	TELL(GET(file, NULL, AT_EMPTY_PATH, "user.t", &get, sizeof get));
	TELL(GET(file, "", 0, "user.t", &get, sizeof get));
	TELL(GET(path, "", AT_EMPTY_PATH, "user.t", &get, sizeof get));
	TELL(GET(99, "", AT_EMPTY_PATH, "user.t", &get, sizeof get));
	TELL(SET(AT_FDCWD, "a", 0x200, "user.t", &put, sizeof put));
	TELL(SET(HERE, &put, 15));
	TELL(SET(HERE, &put, 5000));
	TELL(SET(HERE, longer, 24));
	longer[20] = 1;
	TELL(SET(HERE, longer, 24));
	TELL(SET(HERE, NOWHERE, sizeof put));
	TELL(SET(HERE, &makes, sizeof put));
	TELL(SET(AT_FDCWD, "a", 0, "user.u", &replaces, sizeof put));
	TELL(SET(HERE, &odd, sizeof put));
	TELL(SET(HERE, &huge, sizeof put));
	TELL(GET(HERE, &flagged, sizeof get));
	TELL(GET(HERE, &little, sizeof get));
	TELL(GET(HERE, &none, sizeof get));
	TELL(GET(AT_FDCWD, "nothing", 0, "user.t", &get, sizeof get));
	TELL(GET(AT_FDCWD, "nothing", 0, "", &get, sizeof get));
	TELL(LIST(AT_FDCWD, "a", 0, room, sizeof room));
	TELL(LIST(AT_FDCWD, "a", 0, room, 2));
	TELL(LIST(file, "", AT_EMPTY_PATH, room, sizeof room));
	TELL(REMOVE(file, "", AT_EMPTY_PATH, "user.t"));
	TELL(REMOVE(AT_FDCWD, "a", 0, "user.t"));
	TELL(REMOVE(AT_FDCWD, "a", 1, "user.t"));
	OK(symlink("a", "link"));
	TELL(SET(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, "user.t", &put, sizeof put));
	TELL(SET(AT_FDCWD, "link", 0, "user.t", &put, sizeof put));
	TELL(getxattr("a", "user.t", room, sizeof room));
	return 0;
}
