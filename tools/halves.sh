#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run pytest; all tests in two halves at once, since most of them wait more than they compute.
#
#   tools/halves.sh PYTEST [ARGUMENT...]

set -eu
pytest=$1
shift
if [ $# -gt 0 ]; then
	exec "$pytest" "$@"
fi

set -m # else the half in the background would ignore ^C, and its guests with it
room=$(mktemp -d)
"$pytest" --basetemp="$room/others" --ignore=tests/worlds >"$room/log" 2>&1 &
others=$!
trap 'kill "$others" 2>/dev/null || :; chmod -R u+rwx "$room" || :; rm -rf "$room" || :' EXIT
trap 'exit 130' INT TERM
status=0
"$pytest" --basetemp="$room/worlds" tests/worlds || status=$?
wait "$others" || status=$?
cat "$room/log"
exit "$status"
