# SPDX-License-Identifier: GPL-2.0-or-later
# make demo     build pyview into .venv and show a view
# make test     run the tests, as an ordinary user (ARGS='tests/unit -k view' to choose)
# make check    what a reviewer should not have to say: style, types, imports, warnings (-k: all of it)
# make bench    measure against the native system and others' tools (ARGS='--quick', '--write README.md')
# make fuzz     fuzz the C files with clang's libFuzzer, as an ordinary user (ARGS=600: so many seconds)
# make soak     a view that is busy for ten minutes (ARGS=60: one), as an ordinary user
# make docs     write the generated pages again
# make clean    remove what the others made

ARGS =
PY = .venv/bin/python

.PHONY: demo test bench fuzz soak docs venv clean \
	check check-style check-types check-imports check-pages check-warnings

demo:
	@tools/demo.sh

test:
	@tools/test.sh $(ARGS)

venv:
	@tools/debian.sh build
	@tools/venv.sh .venv dev linked

check: check-style check-types check-imports check-pages check-warnings

check-style: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

check-types: venv
	.venv/bin/mypy

check-imports: venv
	.venv/bin/lint-imports

check-pages: venv
	$(PY) tools/syscalls_doc.py --check
	$(PY) tools/man_pages.py --check

# The C files once more, apart from those in use, because here a warning is an error.
check-warnings: venv
	CFLAGS=-Werror $(PY) setup.py --quiet build_ext --force --build-lib build/check --build-temp build/check

bench:
	@tools/bench.sh $(ARGS)

fuzz: venv
	@tools/fuzz.sh $(ARGS)

soak: venv
	@$(PY) tests/soak.py $(ARGS)

docs: venv
	$(PY) tools/syscalls_doc.py
	$(PY) tools/man_pages.py

clean:
	rm -rf .venv build dist *.egg-info pyview/*.so .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
