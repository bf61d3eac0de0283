/* SPDX-License-Identifier: GPL-2.0-or-later
 * Who a task may become: random calls of the set*id family, capset, prctl and exec, a line each with
 * what came of it.  The same seeds make the same calls, whatever these answer:
 *     credentials FIRST LAST [FILES]     seeds; a directory for programs with attributes (root only)
 * A line: call arguments = result errno | Uid | Gid | Groups | CapInh Prm Eff Bnd Amb | secure bits, nnp */
#include "guest.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#define STEPS 24

static uint64_t state;
static char *self;

static unsigned rnd(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static unsigned an_id(void)
{
	static const unsigned ids[] = { 0, 0, 1, 2, 1001, (unsigned)-1, (unsigned)-1 };

	return ids[rnd(sizeof ids / sizeof *ids)];
}

static uint64_t some_caps(void)
{
	uint64_t caps = 0;

	switch (rnd(4)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	default:
		for (int i = 0; i < 41; i++)
			caps |= (uint64_t)(rnd(3) > 0) << i;
		return caps | rnd(2) * 0x1c0u;   /* SETGID, SETUID, SETPCAP */
	}
}

/* A field of /proc/self/status, blanks made single. */
static char *field(const char *status, const char *name)
{
	const char *at = strstr(status, text("\n%s:", name));
	char *out = calloc(1, 4096), *to = out;

	IS(at);
	at += strlen(name) + 2;
	while (*at == '\t' || *at == ' ')
		at++;
	for (; *at && *at != '\n'; at++)
		*to++ = *at == '\t' ? ' ' : *at;
	while (to > out && to[-1] == ' ')
		*--to = 0;
	return out;
}

static void tell(const char *call, long result, int error)
{
	char *s = get("/proc/thread-self/status");
	uid_t r, e, v;
	gid_t g, h, i;

	OK(getresuid(&r, &e, &v));
	OK(getresgid(&g, &h, &i));
	EQ(getuid(), r);
	EQ(geteuid(), e);
	EQ(getgid(), g);
	EQ(getegid(), h);
	SAME(field(s, "Uid"), text("%d %d %d %d", r, e, v, setfsuid(-1)));
	SAME(field(s, "Gid"), text("%d %d %d %d", g, h, i, setfsgid(-1)));
	printf("%s = %ld %s | %s | %s | %s | %s %s %s %s %s | %x %s\n", call, result,
	       error ? strerrorname_np(error) : "0", field(s, "Uid"), field(s, "Gid"),
	       field(s, "Groups"), field(s, "CapInh"), field(s, "CapPrm"), field(s, "CapEff"),
	       field(s, "CapBnd"), field(s, "CapAmb"), prctl(PR_GET_SECUREBITS), field(s, "NoNewPrivs"));
	fflush(stdout);
}

static void ids(int nr, const char *name, int count)
{
	unsigned a = an_id(), b = an_id(), c = an_id();

	errno = 0;
	long r = syscall(nr, a, b, c);
	int error = errno;
	tell(count == 1 ? text("%s %d", name, a) : count == 2 ? text("%s %d %d", name, a, b)
	     : text("%s %d %d %d", name, a, b, c), r, error);
}

static void groups(void)
{
	gid_t list[4];
	int n = (int)rnd(5);
	char *said = text("setgroups");

	for (int i = 0; i < 4; i++)
		list[i] = rnd(5) * 7;
	for (int i = 0; i < n; i++)
		said = text("%s %d", said, list[i]);
	errno = 0;
	long r = syscall(SYS_setgroups, n, list);
	tell(said, r, errno);
}

static void capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2], back[2];
	uint64_t e = some_caps(), p = some_caps(), i = some_caps();

	if (rnd(2))
		p |= e;
	for (int k = 0; k < 2; k++)
		data[k] = (struct __user_cap_data_struct){ (uint32_t)(e >> 32 * k), (uint32_t)(p >> 32 * k),
							   (uint32_t)(i >> 32 * k) };
	errno = 0;
	long r = syscall(SYS_capset, &head, data);
	int error = errno;
	OK(syscall(SYS_capget, &head, back));
	if (!r)
		IS(back[0].effective == data[0].effective && back[0].inheritable == data[0].inheritable);
	tell(text("capset %lx %lx %lx", e, p, i), r, error);
}

static void option(void)
{
	static const int options[] = { PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP,
		PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT, PR_CAP_AMBIENT, PR_SET_NO_NEW_PRIVS };
	int o = options[rnd(sizeof options / sizeof *options)];
	unsigned a = rnd(43), b = 0;

	if (o == PR_SET_KEEPCAPS)
		a = rnd(3);
	if (o == PR_SET_NO_NEW_PRIVS)
		a = rnd(3) ? 0 : 1;
	if (o == PR_SET_SECUREBITS)
		a = rnd(3) ? 1u << rnd(9) : rnd(4096) & 0x155;
	if (o == PR_CAP_AMBIENT) {
		b = rnd(10) ? rnd(41) : 99;
		a = 1 + rnd(4);
		if (a == 4)
			b = rnd(4) == 0;
	}
	errno = 0;
	long r = prctl(o, a, b, 0, 0);
	tell(text("prctl %d %u %u", o, a, b), r, errno);
}

/* Become another program: this one again, or a copy of it with attributes. */
static void execute(int step, const char *files)
{
	char *program = self, *about = text("-");
	unsigned which = rnd(6);

	if (files && which) {
		program = text("%s/%u", files, which);
		about = get(text("%s.about", program));
	}
	fflush(stdout);
	errno = 0;
	execl(program, self, "-", text("%lx", state), text("%d", step), about, files ?: "", self, NULL);
	tell(text("exec %s", about), -1, errno);
}

static void steps(int from, const char *files)
{
	for (int step = from; step < STEPS; step++) {
		switch (rnd(13)) {
		case 0: ids(SYS_setuid, "setuid", 1); break;
		case 1: ids(SYS_setreuid, "setreuid", 2); break;
		case 2:
		case 3: ids(SYS_setresuid, "setresuid", 3); break;
		case 4: ids(SYS_setfsuid, "setfsuid", 1); break;
		case 5: ids(SYS_setgid, "setgid", 1); break;
		case 6: ids(SYS_setregid, "setregid", 2); break;
		case 7: ids(SYS_setresgid, "setresgid", 3); break;
		case 8: ids(SYS_setfsgid, "setfsgid", 1); break;
		case 9: groups(); break;
		case 10: capabilities(); break;
		case 11: option(); break;
		case 12: execute(step + 1, files);
		}
	}
}

static void copy(const char *to)
{
	char buffer[65536];
	int in = OK(open(self, O_RDONLY)), out = OK(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	long n;

	while ((n = OK(read(in, buffer, sizeof buffer))) > 0)
		EQ(write(out, buffer, (size_t)n), n);
	close(in);
	close(out);
}

/* Programs with attributes, and what these are: mode, user, group, capabilities. */
static void prepare(const char *files)
{
	static const struct { unsigned mode, uid, gid; const char *caps; } all[] = {
		{ 04755, 0, 0, NULL }, { 04755, 1, 1, NULL }, { 06755, 1001, 2, NULL }, { 02745, 0, 1, NULL },
		{ 0755, 0, 0, "0100000200200000000000000000000000000000" },      /* net_raw+ep */
	};

	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		char *name = text("%s/%u", files, i + 1);
		unsigned char caps[20];
		copy(name);
		OK(chown(name, all[i].uid, all[i].gid));
		OK(chmod(name, all[i].mode));
		for (int k = 0; all[i].caps && k < 20; k++)
			sscanf(all[i].caps + 2 * k, "%2hhx", &caps[k]);
		if (all[i].caps)
			OK(setxattr(name, "security.capability", caps, sizeof caps, 0));
		put(text("%s.about", name), text("%o %u %u %s", all[i].mode, all[i].uid, all[i].gid,
						 all[i].caps ?: "-"));
	}
}

int main(int argc, char **argv)
{
	char room[PATH_MAX];

	if (argc == 7 && !strcmp(argv[1], "-")) {
		self = argv[6];
		state = strtoull(argv[2], NULL, 16);
		EQ(getauxval(AT_UID), getuid());
		EQ(getauxval(AT_EUID), geteuid());
		EQ(getauxval(AT_GID), getgid());
		EQ(getauxval(AT_EGID), getegid());
		tell(text("exec %s", argv[4]), (long)getauxval(AT_SECURE), 0);
		steps(atoi(argv[3]), *argv[5] ? argv[5] : NULL);
		return 0;
	}
	IS(argc > 2);
	room[OK(readlink("/proc/self/exe", room, sizeof room - 1))] = 0;
	self = room;
	if (argc > 3)
		prepare(argv[3]);
	for (int seed = atoi(argv[1]); seed <= atoi(argv[2]); seed++) {
		int status;
		fflush(stdout);
		pid_t child = OK(fork());
		if (!child) {
			state = (uint64_t)seed * 77777777777777u + 1;
			tell(text("seed %d", seed), 0, 0);
			steps(0, argc > 3 ? argv[3] : NULL);
			exit(0);
		}
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
	}
	return 0;
}
