/* SPDX-License-Identifier: GPL-2.0-or-later
 * A static program: no dynamic linker, no vDSO needed. */
/* cc: -static */
#include "guest.h"

int main(int argc, char **argv)
{
	char *said, *self = target("/proc/self/exe");

	if (argc > 1) {
		printf("%s %s\n", argv[1], here());
		return 0;
	}
	SAME(self, argv[0]); /* tests name it by its path in the world */
	put("a", "content");
	SAME(get(text("%s/a", here())), "content");
	OK(mkdir("d", 0755));
	OK(chdir("d"));
	SAME(get("../a"), "content");
	EQ(run((char *[]){self, "again", NULL}, &said), 0);
	SAME(said, text("again %s\n", here()));
	return 0;
}
