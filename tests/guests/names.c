/* SPDX-License-Identifier: GPL-2.0-or-later
 * Names as such: trailing slashes and dots, 255 and 256 bytes, 4095 and 4096 bytes, the empty
 * name, odd bytes, and a tree deeper than any path can name. */
#include "guest.h"
#include <dirent.h>

int main(void)
{
	struct stat s;
	char *where = here(), name[300], path[5000], *raw;

	put("f", "1");
	OK(mkdir("d/", 0755)); /* a directory to be may end so */
	OK(mkdir("d/e///", 0755));
	ERR(mkdir("d/x/.", 0755), ENOENT);
	ERR(mkdir("d/.", 0755), EEXIST);
	ERR(mkdir("d/..", 0755), EEXIST);
	OK(stat("d/", &s));
	OK(stat("d/.", &s));
	OK(stat("./d//e/../", &s));
	ERR(stat("f/", &s), ENOTDIR);
	ERR(stat("f/.", &s), ENOTDIR);
	ERR(stat("f/..", &s), ENOTDIR);
	ERR(open("f/", O_RDONLY), ENOTDIR);
	ERR(open("new/", O_CREAT | O_WRONLY, 0644), EISDIR);
	ERR(open("nothing/", O_RDONLY), ENOENT);
	ERR(open("nothing/..", O_RDONLY), ENOENT);
	ERR(unlink("f/"), ENOTDIR);
	ERR(rename("f", "g/"), ENOTDIR);
	ERR(rename("f/", "g"), ENOTDIR);
	OK(rename("d/e/", "d/g/"));
	ERR(rmdir("d/."), EINVAL);
	ERR(rmdir("d/g/.."), ENOTEMPTY);
	ERR(rmdir("d"), ENOTEMPTY);
	ERR(rename("d", "d/g/h"), EINVAL); /* into itself */
	ERR(rename("d/.", "x"), EBUSY);
	ERR(rename("f", "d/.."), EBUSY);
	ERR(symlink("x", "new/"), ENOENT);
	ERR(link("f", "new/"), ENOENT);
	ERR(unlink("d"), EISDIR);
	OK(symlink("d", "l"));
	OK(lstat("l", &s));
	IS(S_ISLNK(s.st_mode));
	OK(lstat("l/", &s)); /* the slash follows it */
	IS(S_ISDIR(s.st_mode));
	ERR(rmdir("l/"), ENOTDIR);
	ERR(unlink("l/"), ENOTDIR);
	ERR(stat("", &s), ENOENT);
	ERR(open("", O_RDONLY), ENOENT);
	ERR(mkdir("", 0755), ENOENT);
	ERR(unlink(""), ENOENT);
	ERR(rename("", "x"), ENOENT);
	ERR(rmdir("/"), EBUSY);
	ERR(mkdir("/", 0755), EEXIST);
	OK(stat("//", &s));
	OK(stat("///etc///passwd", &s));
	OK(stat(text("%s//etc/./passwd", prefix()), &s));
	OK(stat(text("%s/../../../../../etc", prefix()), &s));

	memset(name, 'n', sizeof name);
	name[255] = 0;
	put(name, "long");
	SAME(get(text("%s/%s", where, name)), "long");
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(chdir(name));
	SAME(here(), text("%s/%s", where, name));
	OK(chdir(".."));
	OK(rmdir(name));
	name[255] = 'n';
	name[256] = 0;
	ERR(stat(name, &s), ENAMETOOLONG);
	ERR(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	ERR(mkdir(name, 0755), ENAMETOOLONG);
	ERR(stat(text("%s/x", name), &s), ENAMETOOLONG);
	ERR(rename("f", name), ENAMETOOLONG);

	memset(path, '/', sizeof path); /* /////f and ./././f of 4095 and of 4096 bytes */
	memcpy(path, "./", 2);
	strcpy(path + 4094, "f");
	EQ(strlen(path), 4095);
	OK(stat(path, &s));
	int fd = OK(open(path, O_RDONLY));
	close(fd);
	strcpy(path + 4094, "/f");
	ERR(stat(path, &s), ENAMETOOLONG);
	ERR(open(path, O_RDONLY), ENAMETOOLONG);
	ERR(access(path, F_OK), ENAMETOOLONG);
	memset(path, '/', sizeof path); /* and absolute */
	memcpy(path, where, strlen(where));
	strcpy(path + 4094, "f");
	OK(stat(path, &s));
	char *odd = "new\nline \x01\xff\xc3\xa9 'q' \"\\";
	put(odd, "odd");
	SAME(get(text("%s/%s", where, odd)), "odd");
	OK(symlink(odd, "to-odd"));
	SAME(target("to-odd"), odd);

	name[200] = 0;
	for (int k = 0; k < 60; k++) { /* 12,000 bytes deep */
		OK(mkdir(name, 0755));
		OK(chdir(name));
		if (k % 20 == 0)
			put("leaf", text("%d", k));
	}
	raw = calloc(1, 20000);
	ERR(syscall(SYS_getcwd, raw, 20000), ENAMETOOLONG);
	put("deep", "deep");
	SAME(get("deep"), "deep");
	OK(stat("../..", &s));
	OK(rename("deep", "deeper"));
	fd = OK(open(".", O_RDONLY | O_DIRECTORY));
	OK(fstatat(fd, "deeper", &s, 0));
	OK(unlinkat(fd, "deeper", 0));
	for (int k = 59; k >= 0; k--) {
		if (k % 20 == 0) {
			SAME(get("leaf"), text("%d", k));
			OK(unlink("leaf"));
		}
		OK(chdir(".."));
		OK(rmdir(name));
	}
	SAME(here(), where);
	return 0;
}
