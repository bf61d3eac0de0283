// SPDX-License-Identifier: GPL-2.0-or-later
/* debugging.c - what a debugger in a view asks of ptrace(2), done by the one real tracer; and who
 * may turn out to be a debugger.
 *
 * A program that calls ptrace is told by its ELF file: it imports the function's name.  So nobody
 * else gets a filter for it while nothing is loaded (docs/decisions.md). */
#define _GNU_SOURCE
#include "pyview.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAMS 512u                /* remembered by their inode */
#define HEADERS 64
#define ENTRIES 128                  /* of the dynamic section that are looked at */
#define STATIC_SEARCH (32u << 20)    /* bytes of a static program that are searched */
#define CHUNK 65536u

/* ptrace(2) without libc's own idea of PEEK's result; the value or -errno. */
int64_t pv_ptrace(int request, int tid, uint64_t addr, uint64_t data)
{
	long value = syscall(SYS_ptrace, (long)request, (long)tid, addr, data);

	return value < 0 ? -errno : value;
}

int pv_kill(int tgid, int tid, int signal)
{
	return syscall(SYS_tgkill, tgid, tid, signal) < 0 ? -errno : 0;
}

/* A SIGCHLD about `child` whose si_code is to be `meaning`: only the kernel may give that, so it
 * comes as si_errno, and the code is PV_SECCOMP_OURS negative until it is set right at the signal's stop. */
int pv_tell(int pid, int signal, int meaning, int child, unsigned uid, int status)
{
	siginfo_t info;

	memset(&info, 0, sizeof info);
	info.si_signo = signal;
	info.si_errno = meaning;
	info.si_code = -PV_SECCOMP_OURS;
	info.si_pid = child;
	info.si_uid = uid;
	info.si_status = status;
	return syscall(SYS_rt_sigqueueinfo, pid, signal, &info) < 0 ? -errno : 0;
}

/* A SIGCHLD is about to be delivered: one of pv_tell's gets its si_code. */
void pv_set_right(int tid)
{
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) < 0 || info.si_code != -PV_SECCOMP_OURS)
		return;
	info.si_code = info.si_errno;
	info.si_errno = 0;
	ptrace(PTRACE_SETSIGINFO, tid, 0, &info);
}

/* ---- may this program call ptrace? ---- */

static int read_at(int fd, uint64_t at, void *to, size_t size)
{
	return at < INT64_MAX && pread(fd, to, size, (off_t)at) == (ssize_t)size;
}

/* Do the bytes occur within `size` bytes of a file? */
static int occurs(int fd, uint64_t at, uint64_t size, const char *bytes, size_t length)
{
	static char room[CHUNK];
	uint64_t end = at + size;

	while (at < end && at < INT64_MAX) {
		size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		ssize_t n = pread(fd, room, want, (off_t)at);
		if (n < (ssize_t)length)
			return 0;
		if (memmem(room, (size_t)n, bytes, length))
			return 1;
		if ((size_t)n < want)
			return 0;
		at += (size_t)n - (length - 1);
		if (at + length - 1 >= end)
			return 0;
	}
	return 0;
}

static uint64_t in_file(const Elf64_Phdr *seg, int n, uint64_t address)
{
	for (int i = 0; i < n; i++)
		if (seg[i].p_type == PT_LOAD && address >= seg[i].p_vaddr &&
		    address - seg[i].p_vaddr < seg[i].p_filesz)
			return address - seg[i].p_vaddr + seg[i].p_offset;
	return UINT64_MAX;
}

static int imports_ptrace(int fd)
{
	Elf64_Ehdr elf;
	Elf64_Phdr seg[HEADERS];
	Elf64_Dyn dyn[ENTRIES];
	uint64_t strings = 0, size = 0;
	int dynamic = -1, interpreted = 0;

	if (!read_at(fd, 0, &elf, sizeof elf) || memcmp(elf.e_ident, ELFMAG, SELFMAG) ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof *seg)
		return 0;
	int n = elf.e_phnum < HEADERS ? elf.e_phnum : HEADERS;
	if (!read_at(fd, elf.e_phoff, seg, (size_t)n * sizeof *seg))
		return 0;
	for (int i = 0; i < n; i++) {
		interpreted |= seg[i].p_type == PT_INTERP;
		if (seg[i].p_type == PT_DYNAMIC)
			dynamic = i;
	}
	if (!interpreted)                /* its symbols, if it has any, or a Go program's names */
		return occurs(fd, 0, STATIC_SEARCH, "ptrace", 6);
	if (dynamic < 0)
		return 0;
	uint64_t entries = seg[dynamic].p_filesz / sizeof *dyn;
	if (entries > ENTRIES)
		entries = ENTRIES;
	if (!read_at(fd, seg[dynamic].p_offset, dyn, (size_t)entries * sizeof *dyn))
		return 0;
	for (uint64_t i = 0; i < entries && dyn[i].d_tag != DT_NULL; i++) {
		if (dyn[i].d_tag == DT_STRTAB)
			strings = in_file(seg, n, dyn[i].d_un.d_ptr);
		if (dyn[i].d_tag == DT_STRSZ)
			size = dyn[i].d_un.d_val;
	}
	return size < STATIC_SEARCH && occurs(fd, strings, size, "\0ptrace", 8);
}

/* Does a FUSE server answer for this device?  It may be a task of ours, which the core can't wait for. */
static int is_fuse(int tid, unsigned major, unsigned minor)
{
	char name[32], device[32], line[1024];
	int yes = 0;

	snprintf(name, sizeof name, "/proc/%d/mountinfo", tid);
	snprintf(device, sizeof device, " %u:%u ", major, minor);
	FILE *f = fopen(name, "re");
	if (!f)
		return 1;
	while (!yes && fgets(line, sizeof line, f))
		yes = strstr(line, device) && strstr(line, " - fuse");
	fclose(f);
	return yes;
}

/* May the program that the task executes call ptrace?  No when nobody can tell. */
int pv_may_debug(int tid)
{
	static struct {
		uint64_t ino, size;
		uint32_t major, minor;
		struct statx_timestamp changed;
		int yes;
	} seen[PROGRAMS];
	char name[32];
	struct statx st;

	snprintf(name, sizeof name, "/proc/%d/exe", tid);
	if (statx(AT_FDCWD, name, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
		return 0;
	unsigned i = (unsigned)((st.stx_dev_minor * 31 + st.stx_ino) % PROGRAMS);
	if (seen[i].ino == st.stx_ino && seen[i].size == st.stx_size &&
	    seen[i].major == st.stx_dev_major && seen[i].minor == st.stx_dev_minor &&
	    seen[i].changed.tv_sec == st.stx_ctime.tv_sec &&
	    seen[i].changed.tv_nsec == st.stx_ctime.tv_nsec)
		return seen[i].yes;
	if (!st.stx_dev_major && is_fuse(tid, st.stx_dev_major, st.stx_dev_minor))
		return 0;
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	seen[i].ino = st.stx_ino;
	seen[i].size = st.stx_size;
	seen[i].major = st.stx_dev_major;
	seen[i].minor = st.stx_dev_minor;
	seen[i].changed = st.stx_ctime;
	seen[i].yes = imports_ptrace(fd);
	close(fd);
	return seen[i].yes;
}
