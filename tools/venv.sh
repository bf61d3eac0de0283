#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build this tree and install it into a virtual environment.
#
#   tools/venv.sh DIR EXTRA linked    for development: Python files are used where they are
#   tools/venv.sh DIR EXTRA           as a user gets it: a copy
#
# EXTRA is one of pyproject.toml's optional dependencies.  DIR is left alone while nothing that
# goes into it has changed, so that a second run costs a fraction of a second.

set -eu
cd "$(dirname "$0")/.."
dir=$1 extra=$2 how=${3-}
pip="$dir/bin/pip --quiet --disable-pip-version-check install --no-build-isolation"

# Print the Python to use: the system's own by preference, since one under /root serves nobody else.
find_python() {
	local python
	for python in /usr/bin/python3 /usr/bin/python3.1[1-9] "$(command -v python3 || true)"; do
		if [ -x "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
			echo "$python"
			return
		fi
	done
	echo "missing: Python 3.11 or newer" >&2
	return 1
}

# Print a number that changes when the files below the given names do.
fingerprint() {
	find "$@" -type f ! -name '*.so' ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum
}

python=$(find_python)
needs="$python $extra $how $(fingerprint pyproject.toml)"
if [ -n "$how" ]; then
	built="$needs $(fingerprint csrc setup.py pyview/syscalls.py)"
else
	built="$needs $(fingerprint csrc setup.py pyview)"
fi
[ "$built" != "$(cat "$dir/pyview-built" 2>/dev/null)" ] || exit 0

rm -rf build/lib* # setuptools would install what an earlier build left there
rm -f "$dir/pyview-built"
if [ "$needs" != "$(cat "$dir/pyview-needs" 2>/dev/null)" ]; then
	"$python" -m venv "$dir"
	# wheel: without it Debian's pip installs fusepy in a deprecated way, and says so.
	$pip "setuptools>=77" "cffi>=1.17" wheel
	$pip ${how:+--editable} ".[$extra]"
	echo "$needs" >"$dir/pyview-needs"
else
	$pip --no-deps --force-reinstall ${how:+--editable} .
fi
echo "$built" >"$dir/pyview-built"
