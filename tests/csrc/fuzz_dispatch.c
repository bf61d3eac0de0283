// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_dispatch.c - any call with any arguments through the doors of csrc/dispatch.c.
 *
 * The task that is looked at is this process.  What C would do to it by ptrace or through a listener
 * fails, as it does for a task that has just been killed; names, structures and programs are read.
 *
 * An input: the call, how the task is, six arguments, and after them the bytes that arguments may
 * point to.  Built with clang's libFuzzer (tools/fuzz.sh); with -DREPLAY it reads inputs from files. */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u
#define ROOM (4 * PAGE)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MUST(condition) do { if (!(condition)) { perror(#condition); abort(); } } while (0)

static const short calls[] = {
	SYS_open, SYS_openat, SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_access, SYS_faccessat2,
	SYS_readlink, SYS_readlinkat, SYS_getdents64, SYS_execve, SYS_execveat, SYS_bind, SYS_connect, SYS_sendto,
	SYS_rename, SYS_renameat2, SYS_symlink, SYS_linkat, SYS_mkdir, SYS_chdir, SYS_fchdir, SYS_clone3, SYS_read,
	SYS_write, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_munmap, SYS_getcwd, SYS_prctl, SYS_utimensat,
	SYS_name_to_handle_at, SYS_inotify_add_watch, 437 /* openat2 */, 452 /* fchmodat2 */,
};

static struct pv_task task;
static struct pv_fs fs;
static struct pv_mm mm;
static struct pv_view *view;
static unsigned char *room;          /* ROOM bytes, then a page that is not there */
static int descriptors[8];

static void cover(const char *prefix, int domain, const char *root)
{
	MUST(pv_view_cover(view, prefix, domain, root) == 0);
	const char *name = strrchr(prefix, '/');
	MUST(!name || pv_view_name(view, name + 1) == 0);
}

static int emulated(void)
{
	int ends[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	MUST(pv_mark_emulated(ends[1]) == 0);
	return ends[1];
}

static void linear(int fd, int64_t size, int how)
{
	struct stat st;

	MUST(fstat(fd, &st) == 0);
	struct pv_linear *l = pv_linear_new(st.st_ino);
	MUST(l);
	l->fd = memfd_create("bytes", MFD_CLOEXEC);
	MUST(l->fd >= 0 && ftruncate(l->fd, 9000) == 0);
	l->start = 100;
	l->size = size;
	l->how = how;
}

static void begin(void)
{
	room = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(room != MAP_FAILED && mprotect(room + ROOM, PAGE, PROT_NONE) == 0);
	view = pv_view_new();
	MUST(view);
	cover("/v", PV_VIRTUAL, "");
	cover("/b", 3, "/usr");
	cover("/unreal/unreal", 2, "");
	cover("/unreal", 1, "");
	cover("", 0, "");
	pv_use_domains();
	descriptors[0] = emulated();
	linear(descriptors[0], 5000, PV_READS | PV_WRITES);
	descriptors[1] = emulated();
	linear(descriptors[1], PV_ENDLESS, PV_READS);
	descriptors[2] = emulated();
	MUST((descriptors[3] = open("/etc/passwd", O_RDONLY)) >= 0);
	MUST((descriptors[4] = open("/usr", O_RDONLY)) >= 0);
	MUST((descriptors[5] = open("/bin", O_PATH | O_NOFOLLOW)) >= 0);
	descriptors[6] = -1;
	descriptors[7] = 9999;
	task = (struct pv_task){ .tid = getpid(), .pidfd = -1, .view = view, .fs = &fs, .mm = &mm };
	close(pv_getfd(&task, 0));   /* it has its pidfd */
}

static int next_free(void)
{
	int fd = dup(0);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

struct input { const uint8_t *at; size_t left; };

static unsigned byte(struct input *in)
{
	return in->left ? in->left--, *in->at++ : 0;
}

static uint64_t word(struct input *in)
{
	static const uint64_t odd[] = {
		0, 1, (uint64_t)AT_FDCWD, UINT64_MAX, 1ull << 63, INT64_MAX, UINT32_MAX, 0x7ffffffff000u, 0x1000, 0x100,
	};
	unsigned kind = byte(in), more = byte(in);

	switch (kind % 8) {
	case 0:
		return more;
	case 1:                      /* near the page that is not there */
		return (uint64_t)(room + ROOM - more);
	case 2:
		return (uint64_t)(room + more * 16);
	case 3:
		return (uint64_t)descriptors[more % COUNT(descriptors)];
	case 4:
		return odd[more % COUNT(odd)];
	case 5:
		return (uint64_t)more << byte(in) % 64;
	default:
		return (uint64_t)room;
	}
}

/* Nothing is made or cut by what is tried. */
static void tame(struct pv_stop *s)
{
	const uint64_t makes = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

	if (s->nr == SYS_open)
		s->args[1] &= ~makes;
	if (s->nr == SYS_openat)
		s->args[2] &= ~makes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct pv_stop s = { .listener = -1 };

	if (!room)
		begin();
	s.tid = task.tid;
	s.nr = calls[byte(&in) % COUNT(calls)];
	unsigned how = byte(&in), at_end = byte(&in);
	fs = (struct pv_fs){ .refs = 1, .fd = -1, .domain = (int)(how >> 6) - 1, .serial = 1 };
	mm = (struct pv_mm){ .refs = 1 };
	task.descriptors = how & 1;
	task.exec_domain = 0;
	pv_view_sockets(view, how >> 1 & 1);
	pv_view_trace(view, (how >> 2 & 7) == 7);
	for (int i = 0; i < 6; i++)
		s.args[i] = word(&in);
	memset(room, 0, ROOM);
	size_t n = in.left < ROOM ? in.left : ROOM;
	if (n)                       /* up to the page that is not there, or from the start on */
		memcpy(at_end & 1 ? room + ROOM - n : room, in.at, n);
	tame(&s);
	pv_forget();
	int before = next_free();
	if (how >> 5 & 1)
		pv_dispatch_traced(&task, &s);
	else
		pv_dispatch_notice(&task, &s);
	if (fs.fd >= 0)
		close(fs.fd);
	MUST(next_free() == before); /* no descriptor more, no descriptor less */
	return 0;
}

#ifdef REPLAY
static void replay(const char *name)
{
	static uint8_t bytes[1 << 16];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	MUST(n >= 0);
	close(fd);
	LLVMFuzzerTestOneInput(bytes, (size_t)n);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%d inputs\n", argc - 1);
	return 0;
}
#endif
