/* SPDX-License-Identifier: GPL-2.0-or-later
 * Unix sockets whose names fill an address, which the real ones then may not: unix(7). */
#include "told.h"
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void shown(int (*ask)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_un found = { 0 };
	socklen_t size = sizeof found;

	OK(ask(fd, (struct sockaddr *)&found, &size));
	printf("  %u bytes, %s\n", size, memcmp(&found, &address, sizeof found) ? "another" : "the same");
}

#define AT (struct sockaddr *)&address, sizeof address

int main(void)
{
	char byte;
	int listens = OK(socket(AF_UNIX, SOCK_STREAM, 0)), other = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(mkdir("d", 0755));
	memset(address.sun_path, 's', sizeof address.sun_path);
	memcpy(address.sun_path, "d/", 2);
	TELL(connect(client, AT));
	TELL(bind(listens, AT));
	TELL(connect(client, AT));
	TELL(listen(listens, 3));
	TELL(connect(client, AT));
	TELL(bind(other, AT));
	shown(getsockname, listens);
	shown(getpeername, client);
	int server = OK(accept(listens, NULL, NULL));
	TELL(write(client, "x", 1));
	TELL(read(server, &byte, 1));
	OK(unlink(text("%.108s", address.sun_path)));
	TELL(rmdir("d"));
	TELL(bind(other, AT));
	OK(mkdir("d", 0755));
	int gets = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), sends = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	TELL(sendto(sends, "y", 1, 0, AT));
	TELL(bind(gets, AT));
	TELL(sendto(sends, "y", 1, 0, AT));
	TELL(recv(gets, &byte, 1, 0));
	struct iovec piece = { "z", 1 };
	struct msghdr message = { &address, sizeof address, &piece, 1, NULL, 0, 0 };
	TELL(sendmsg(sends, &message, 0));
	TELL(recv(gets, &byte, 1, 0));
	address.sun_path[20] = 0;
	TELL(sendmsg(sends, &message, 0));
	strcpy(address.sun_path, "d/short");
	int near = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	TELL(bind(near, AT));
	TELL(sendmsg(sends, &message, 0));
	TELL(recv(near, &byte, 1, 0));
	printf("%c\n", byte);
	return 0;
}
