#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run the benchmark.  Root's runs what it measures as the user pyview-test.
#
#   tools/bench.sh [ARGUMENT OF bench/run.py...]     --write README.md puts the table there

set -eu -o pipefail
cd "$(dirname "$0")/.."
tools/debian.sh build test bench

if [ "$(id -u)" != 0 ]; then
	tools/venv.sh .venv dev linked
	exec .venv/bin/python bench/run.py "$@"
fi

# shellcheck source=tools/ordinary.sh
. tools/ordinary.sh
install_for_user
PATH="$home/venv/bin:$PATH" /usr/bin/python3 bench/run.py --user "$user" "$@" 9>&-
