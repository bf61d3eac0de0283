/* SPDX-License-Identifier: GPL-2.0-or-later
 * For guests that tell what each call gave: tests/worlds/test_files.py compares it with native. */
#ifndef TOLD_H
#define TOLD_H
#include "guest.h"

/* Run a call and print its text, its value and its errno; the value. */
#define TELL(call) \
	({ \
		errno = 0; \
		long told_ = (long)(call); \
		printf("%s = %ld %s\n", #call, told_, told_ == -1 ? strerrorname_np(errno) : ""); \
		told_; \
	})
/* An address that no process has. */
#define NOWHERE ((void *)8)
#endif
