/* SPDX-License-Identifier: GPL-2.0-or-later
 * Unix sockets bound and reached by names of this world: every call that gives a name gives the
 * one that was bound; relative and long names, datagrams, errors. */
#include "guest.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name;
static socklen_t size;

static struct sockaddr *to(const char *path)
{
	memset(&name, 0, sizeof name);
	name.sun_family = AF_UNIX;
	memcpy(name.sun_path, path, strnlen(path, sizeof name.sun_path));
	size = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
	if (size > sizeof name)
		size = sizeof name;
	return (struct sockaddr *)&name;
}

/* bind or connect to a name; the arguments of one call have no order, so not to() within it. */
#define AT(call, fd, path) ({ struct sockaddr *at_ = to(path); call(fd, at_, size); })

/* The name that a call stored, by the length it stored. */
static const char *told(int value, struct sockaddr_un *stored, socklen_t length)
{
	if (value < 0)
		FAIL("no name: %s", strerrorname_np(errno));
	IS(stored->sun_family == AF_UNIX);
	EQ(length, offsetof(struct sockaddr_un, sun_path) + strlen(stored->sun_path) + 1);
	return stored->sun_path;
}
#define NAME(call, fd) \
	({ static struct sockaddr_un n_; memset(&n_, 0, sizeof n_); socklen_t l_ = sizeof n_; \
	   int v_ = call(fd, (struct sockaddr *)&n_, &l_); told(v_, &n_, l_); })

static void stream(const char *path, const char *from)
{
	char byte;
	struct stat s;
	int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), client = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(AT(bind, listener, path));
	OK(lstat(path, &s));
	IS(S_ISSOCK(s.st_mode));
	SAME(NAME(getsockname, listener), path);
	int second = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(AT(bind, second, path), EADDRINUSE);
	ERR(AT(connect, second, path), ECONNREFUSED); /* it does not listen */
	OK(listen(listener, 5));
	OK(AT(bind, client, from));
	OK(AT(connect, client, path));
	SAME(NAME(getpeername, client), path);
	SAME(NAME(getsockname, client), from);
	static struct sockaddr_un peer;
	socklen_t length = sizeof peer;
	int served = OK(accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC));
	SAME(told(0, &peer, length), from);
	SAME(NAME(getsockname, served), path);
	SAME(NAME(getpeername, served), from);
	EQ(write(client, "x", 1), 1);
	EQ(read(served, &byte, 1), 1);
	struct ucred who;
	length = sizeof who;
	OK(getsockopt(served, SOL_SOCKET, SO_PEERCRED, &who, &length));
	EQ(who.pid, getpid());
	char small[4]; /* a buffer too small: cut, with the whole length told */
	length = sizeof small;
	OK(getsockname(listener, (struct sockaddr *)small, &length));
	EQ(length, offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	close(client), close(served), close(listener), close(second);
	OK(unlink(path));
	OK(unlink(from));
}

static void datagram(const char *path, const char *from)
{
	static char text_[10];
	struct sockaddr_un sender;
	socklen_t length = sizeof sender;
	int a = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), b = OK(socket(AF_UNIX, SOCK_DGRAM, 0));

	OK(AT(bind, a, path));
	OK(AT(bind, b, from));
	struct sockaddr *there = to(path);
	EQ(sendto(b, "one", 3, 0, there, size), 3);
	memset(&sender, 0, sizeof sender);
	EQ(recvfrom(a, text_, sizeof text_, 0, (struct sockaddr *)&sender, &length), 3);
	SAME(told(0, &sender, length), from);
	struct iovec vector = {"two", 3};
	struct msghdr message = {.msg_name = there, .msg_namelen = size, .msg_iov = &vector, .msg_iovlen = 1};
	EQ(sendmsg(b, &message, 0), 3);
	vector = (struct iovec){text_, sizeof text_};
	memset(&sender, 0, sizeof sender);
	message = (struct msghdr){.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &vector, .msg_iovlen = 1};
	EQ(recvmsg(a, &message, 0), 3);
	SAME(told(0, &sender, message.msg_namelen), from);
	IS(!memcmp(text_, "two", 3));
	there = to("./nothing");
	ERR(sendto(b, "x", 1, 0, there, size), ENOENT);
	close(a), close(b);
	OK(unlink(path));
	OK(unlink(from));
}

int main(void)
{
	char *where = here(), longest[109] = "";
	int fd;

	alarm(20);
	OK(mkdir("d", 0755));
	stream("a", "b");
	stream("./a", "d/../b");
	datagram("a", "d/b");
	OK(chdir("/tmp")); /* long scratch names do not fit into sun_path: bind in /tmp itself */
	char *near = text("%s/tmp/g%d", prefix(), getpid()), *far = text("%s/tmp/h%d", prefix(), getpid());
	stream(near, far);
	datagram(near, far);
	stream(text("/tmp/g%d", getpid()), far);
	OK(chdir(where));

	for (int k = 0; k < 107; k++)
		longest[k] = 'n';
	if (emulated())
		goto others; /* the kernel is given the whole name, which must fit into sun_path */
	stream(longest, "b");
	longest[107] = 'n'; /* 108 bytes, no NUL in the structure */
	fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(fd, to(longest), sizeof name));
	OK(listen(fd, 1));
	int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, to(longest), sizeof name));
	close(fd);
	ERR(connect(client, to(longest), sizeof name), ECONNREFUSED);
	OK(unlink(longest));

others:
	fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(AT(connect, fd, "nothing"), ENOENT);
	ERR(AT(bind, fd, "nothing/x"), ENOENT);
	put("file", "");
	ERR(AT(bind, fd, "file"), EADDRINUSE);
	ERR(AT(connect, fd, "file"), ECONNREFUSED);
	ERR(AT(bind, fd, "file/x"), ENOTDIR);
	ERR(connect(fd, (void *)8, 20), EFAULT);
	ERR(bind(fd, to("x"), 1), EINVAL);
	ERR(bind(fd, to("x"), sizeof name + 1), EINVAL);
	char *abstract = text("@%d-abstract", getpid());
	to(abstract);
	name.sun_path[0] = 0;
	size--;
	OK(bind(fd, (struct sockaddr *)&name, size));
	OK(listen(fd, 1));
	client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, (struct sockaddr *)&name, size));
	return 0;
}
