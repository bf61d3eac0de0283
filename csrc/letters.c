// SPDX-License-Identifier: GPL-2.0-or-later
/* letters.c - what a name's letters tell, before anybody looks where it leads. */
#include "pyview.h"
#include <string.h>

static int is_mount_name(const struct pv_view *v, const char *name, size_t length)
{
	for (size_t i = 0; i < v->nnames; i++)
		if (!strncmp(v->names[i], name, length) && !v->names[i][length])
			return 1;
	return 0;
}

int pv_names_mount(const struct pv_view *v, const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n && is_mount_name(v, p, n))
			return 1;
		p += n + strspn(p + n, "/");
	}
	return 0;
}

/* The letters of a name, in a view. */
struct pv_shape pv_look(const struct pv_view *v, const char *path)
{
	struct pv_shape s = { .absolute = *path == '/', .dots = 1 };
	int depth = 0;
	const char *p = path;

	while (*p) {
		size_t slashes = strspn(p, "/");
		if (slashes > 1)
			s.unclean = 1;
		p += slashes;
		size_t n = strcspn(p, "/");
		if (!n) {
			s.slash = p > path;
			break;
		}
		s.components++;
		s.dots = 0;
		if (p[0] == '.' && n == 1) {
			s.unclean = s.dots = 1;
		} else if (p[0] == '.' && p[1] == '.' && n == 2) {
			s.up = s.unclean = s.dots = 1;
			if (--depth < -s.climb)
				s.climb = -depth;
		} else {
			depth++;
			if (!s.hit)
				s.hit = is_mount_name(v, p, n);
		}
		p += n;
	}
	return s;
}
