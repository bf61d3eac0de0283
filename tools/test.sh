#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run the tests, as an ordinary user: root's run as the user pyview-test, in a copy of the tree.
#
#   tools/test.sh [PYTEST ARGUMENT...]

set -eu -o pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	tools/debian.sh build
	tools/debian.sh test || echo "tests that need them are skipped" >&2
	tools/venv.sh .venv dev linked
	exec tools/halves.sh .venv/bin/pytest "$@"
fi

tools/debian.sh build test
# shellcheck source=tools/ordinary.sh
. tools/ordinary.sh
install_for_user
as_user sh -c 'cd pyview && exec tools/halves.sh "$@"' - "$home/venv/bin/pytest" "$@" </dev/null
