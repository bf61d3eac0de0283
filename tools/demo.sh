#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build pyview into .venv and show its first jobs: a view in which the file tree appears again, where
# a project comes out as it does outside; a file that is a disk; and what a command would change.

set -eu
cd "$(dirname "$0")/.."
tools/debian.sh build
tools/venv.sh .venv dev linked

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/project"
cat >"$work/project/hello.c" <<'C'
#include <stdio.h>

int main(void)
{
	puts("hello from " __FILE__);
	return 0;
}
C
printf 'hello: hello.c\n\tcc -o $@ $<\n' >"$work/project/Makefile"

cat >"$work/story" <<'SH'
say() {
	printf '\n$ %s\n' "$*"
	eval "$*"
}
say vu_insmod unreal
say vu_lsmod
say ls -d /unreal /unreal/etc /unreal/unreal
say head -n 1 /unreal/unreal/etc/os-release
say 'ls /unreal/unreal/unreal || true' 2>&1
say cd "/unreal/unreal$PROJECT"
say pwd
say make
say ./hello
if [ -x /sbin/sfdisk ] && [ -x /sbin/mkfs.ext2 ]; then
	say cd "$WORK" '&&' truncate -s 64M mydisk
	say vu_insmod vudev
	say mount -t vudevmbr mydisk /dev/hda
	say "echo start=2048 | /sbin/sfdisk -q /dev/hda"
	say ls -l /dev/hda /dev/hda1
	say '/sbin/mkfs.ext2 -q /dev/hda1 && /sbin/fsck.ext2 -fp /dev/hda1'
fi
SH

unset MAKEFLAGS MAKELEVEL # the project's make is no part of ours
export PATH="$PWD/.venv/bin:$PATH" WORK="$work" PROJECT="$work/project" LC_ALL=C.UTF-8
echo "$ pyview bash"
pyview bash "$work/story"
printf '\n$ %s   # outside again\n' "$work/project/hello"
"$work/project/hello"

say() {
	printf '\n$ %s\n' "$*"
	eval "$*"
}
say "vutry -D \$WORK/tried sh -c 'echo new >/etc/new; rm /etc/services' </dev/null"
say 'ls /etc/new || ls /etc/services   # nothing has changed' 2>&1
say "vutry discard \$WORK/tried"
