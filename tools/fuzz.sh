#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz the C files, guided by what they run: tests/csrc/fuzz_dispatch.c with clang's libFuzzer.
#
#   tools/fuzz.sh [SECONDS [LIBFUZZER ARGUMENT...]]     60 seconds, when nothing is said
#
# Needs clang and its libFuzzer (Debian: clang, libclang-rt-*-dev, libfuzzer-*-dev; or CLANG=clang-14).
# What it finds is in build/fuzz: crash-*, leak-*, timeout-*.  New inputs are kept in build/fuzz/corpus;
# those worth it go to tests/csrc/corpus:  build/fuzz/dispatch -merge=1 tests/csrc/corpus build/fuzz/corpus
#
# An ordinary user's: for root the core serves no calls.

set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
if [ "$(id -u)" = 0 ]; then
	echo "fuzz.sh: run it as an ordinary user" >&2
	exit 1
fi
mkdir -p build/fuzz/corpus
.venv/bin/python -c 'import runpy; print(runpy.run_path("csrc/build_core.py")["table"]())' >build/fuzz/table.c
"${CLANG:-clang}" -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined -Wno-unknown-warning-option -Icsrc \
	-o build/fuzz/dispatch tests/csrc/fuzz_dispatch.c build/fuzz/table.c $(ls csrc/*.c | grep -v _core.c)
exec build/fuzz/dispatch -artifact_prefix=build/fuzz/ -max_total_time="$seconds" -max_len=600 -timeout=10 \
	"$@" build/fuzz/corpus tests/csrc/corpus
