/* SPDX-License-Identifier: GPL-2.0-or-later
 * A process in name spaces of its own sees what is there: its own mounts, root and process ids. */
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

static char *place;

static void alone(int flags)
{
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWUSER | flags))
		SKIP("no user name spaces for ordinary users here");
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", text("0 %u 1", uid));
	put("/proc/self/gid_map", text("0 %u 1", gid));
}

static void mounts(void)
{
	char *before = target("/proc/self/ns/mnt");

	alone(CLONE_NEWNS);
	if (mount("none", "m", "tmpfs", 0, NULL)) {
		IS(emulated() && errno == EOPNOTSUPP);
		return;
	}
	put("m/inside", "yes");
	SAME(get(text("%s/m/inside", place)), "yes");
	ERR(access("m/outside", F_OK), ENOENT);
	OK(chdir("m"));
	SAME(here(), text("%s/m", place));
	OK(mount(text("%s/d", place), text("%s/m", place), NULL, MS_BIND, NULL));
	EQ(access(text("%s/m/in", place), F_OK), 0);
	OK(umount(text("%s/m", place)));
	OK(access("inside", F_OK));
	IS(strcmp(target("/proc/self/ns/mnt"), before));
	execl("/bin/cat", "cat", "inside", NULL);
	FAIL("no cat");
}

static void roots(void)
{
	alone(0);
	int outside = OK(open(".", O_RDONLY | O_DIRECTORY));
	if (chroot("d")) {
		IS(emulated() && errno == EPERM);
		return;
	}
	OK(chdir("/"));
	SAME(here(), "/");
	OK(access("/in", F_OK));
	OK(access("../../in", F_OK));
	OK(access("/up/in", F_OK)); /* a link to / */
	ERR(access("/etc", F_OK), ENOENT);
	ERR(access(place, F_OK), ENOENT);
	OK(faccessat(outside, "m/outside", F_OK, 0));
	put("/new", "");
	execl("/no", "no", NULL);
	EQ(errno, ENOENT);
}

static void numbers(void)
{
	int ends[2], status, on = 1;

	alone(CLONE_NEWPID);
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
	OK(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	pid_t child = OK(fork());
	if (!child) {
		EQ(getpid(), 1);
		EQ(getppid(), 0);
		pid_t other = OK(fork());
		if (!other) {
			EQ(getpid(), 2);
			OK(access(text("%s/d/in", place), F_OK));
			EQ(write(ends[1], "x", 1), 1);
			for (;;)
				pause();
		}
		EQ(other, 2);
		char byte, control[CMSG_SPACE(sizeof(struct ucred))];
		struct iovec part = {&byte, 1};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		EQ(recvmsg(ends[0], &message, 0), 1);
		EQ(((struct ucred *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&message)))->pid, 2);
		OK(kill(2, SIGKILL));
		EQ(waitpid(2, &status, 0), 2);
		EQ(status, SIGKILL);
		ERR(kill(2, 0), ESRCH);
		char *const argv[] = {"/bin/sh", "-c", "echo $$; /bin/true", NULL}, *said;
		EQ(run(argv, &said), 0);
		IS(atoi(said) > 2 && atoi(said) < 10);
		_exit(7);
	}
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 7 << 8);
}

int main(void)
{
	place = here();
	OK(mkdir("m", 0755));
	OK(mkdir("d", 0755));
	put("m/outside", "");
	put("d/in", "");
	OK(symlink("/", "d/up"));
	in_child(mounts);
	ERR(access("m/inside", F_OK), ENOENT);
	OK(access("m/outside", F_OK));
	in_child(roots);
	in_child(numbers);
	return 0;
}
