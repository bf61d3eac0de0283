#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Install the Debian packages of the named sections of debian-packages.txt (without names: of all).
#
#   tools/debian.sh [build] [test] [bench]
#
# Does nothing when they are there already, and on other systems.  When they are not and it is not
# run by root, it says in one line what is missing; status 1.

set -eu
cd "$(dirname "$0")/.."

# Print the package names of one section.
section() {
	awk -v wanted="[$1]" '
		/^\[/ { inside = ($1 == wanted); next }
		inside && NF && $1 !~ /^#/ { print $1 }
	' debian-packages.txt
}

command -v dpkg-query >/dev/null || exit 0
[ $# -gt 0 ] || set -- build test bench
missing=
for name in $(for part; do section "$part"; done); do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
		missing="$missing $name"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing Debian packages: sudo apt-get install$missing" >&2
	exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # names are words
apt-get -qq install --yes --no-install-recommends $missing >/dev/null </dev/null
