/* SPDX-License-Identifier: GPL-2.0-or-later
 * What is written to a shared mapping is in the file once its part is unmapped, moved or synced. */
#include "told.h"
#include <sys/mman.h>

#define PAGES 16
#define SIZE 4096

static int file, outside;

/* What is in the file itself, for who knows nothing of a view. */
static void page(int index)
{
	char byte = '?';

	OK(pread(outside, &byte, 1, index * SIZE));
	printf("  page %d: %c\n", index, byte);
}

static char *map(int first, int count)
{
	void *at = mmap(NULL, (size_t)count * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, first * SIZE);

	IS(at != MAP_FAILED);
	return at;
}

int main(void)
{
	file = OK(open("a", O_CREAT | O_RDWR, 0644));
	OK(ftruncate(file, PAGES * SIZE));
	outside = OK(open(text("%s/a", here() + strlen(prefix())), O_RDONLY));
	char *at = map(0, PAGES), *other = map(4, 4);

	for (int i = 0; i < PAGES; i++)
		at[i * SIZE] = (char)('a' + i);
	IS(other[0] == 'e');
	TELL(munmap(at + 2 * SIZE, 2 * SIZE));
	page(2);
	page(3);
	TELL(msync(at + 5 * SIZE, SIZE, MS_SYNC));
	page(5);
	TELL(munmap(other, 4 * SIZE));
	page(7);
	/* Memory that is no file's may take the place of what was unmapped. */
	IS(mmap(at + 2 * SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	   at + 2 * SIZE);
	at[2 * SIZE] = '!';
	TELL(munmap(at + 2 * SIZE, SIZE));
	page(2);
	char *moved = mremap(at + 8 * SIZE, 2 * SIZE, 4 * SIZE, MREMAP_MAYMOVE);
	IS(moved != MAP_FAILED);
	printf("%c %c\n", moved[0], moved[SIZE]);
	printf("%c %c\n", moved[2 * SIZE], moved[3 * SIZE]);
	moved[0] = 'M';
	TELL(munmap(moved, 4 * SIZE));
	page(8);
	TELL(munmap(at + 12 * SIZE, SIZE + 1));
	page(13);
	ERR(munmap(at + 1, SIZE), EINVAL);
	TELL(munmap(at + 14 * SIZE, 0));
	fflush(stdout);
	pid_t child = OK(fork());
	if (!child) {
		at[0] = 'C';
		OK(munmap(at, SIZE));
		page(0);
		fflush(stdout);
		_exit(0);
	}
	OK(waitpid(child, NULL, 0));
	printf("%c\n", at[0]);
	at[SIZE] = 'P';
	TELL(munmap(at, PAGES * SIZE));
	page(1);
	page(15);
	return 0;
}
