# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that people run all day do in every world what they do natively."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

#: Where the slow ones run: what the issue asks of them, and the oracle.
ASKED = ("native", "view", "unreal", "unreal2")

slow = pytest.mark.parametrize("world", ASKED, indirect=True)

pytestmark = pytest.mark.limit(130)


def tree_of(root: Path) -> dict[str, tuple[object, ...]]:
    """All that tar keeps: type, mode, size, mtime, links, content, by relative name."""
    found: dict[str, tuple[object, ...]] = {}
    twins: dict[int, str] = {}
    for folder, dirs, files in os.walk(root):
        for name in sorted([*dirs, *files, "."]):
            path = Path(folder, name)
            info = path.lstat()
            relative = str(path.relative_to(root))
            what: object = None
            if stat.S_ISLNK(info.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            size = info.st_size if stat.S_ISREG(info.st_mode) else 0
            twin = (
                relative if stat.S_ISDIR(info.st_mode) else twins.setdefault(info.st_ino, relative)
            )
            found[relative] = (oct(info.st_mode), size, info.st_mtime_ns, what, twin)
    return found


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of 2,000 files in 40 directories."""
    root = tmp_path_factory.mktemp("repository")
    for folder in range(40):
        (root / f"d{folder}").mkdir()
        for number in range(50):
            (root / f"d{folder}/f{number}.txt").write_text(f"{folder} {number}\n" * 5)
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=root, check=True, env={**os.environ, "HOME": "/"})
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A C project of ten files, with a Makefile that keeps track of its headers."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src/all.h").write_text(
        "#include <stdio.h>\n" + "".join(f"int f{n}(void);\n" for n in range(9))
    )
    for n in range(9):
        (root / f"src/f{n}.c").write_text(f'#include "all.h"\nint f{n}(void) {{ return {n}; }}\n')
    total = " + ".join(f"f{n}()" for n in range(9))
    (root / "src/main.c").write_text(
        f'#include "all.h"\nint main(void) {{ printf("%d\\n", {total}); return 0; }}\n'
    )
    (root / "Makefile").write_text(
        "sources := $(sort $(wildcard src/*.c))\n"
        "objects := $(sources:src/%.c=out/%.o)\n"
        "out/sum: $(objects)\n\t$(CC) -o $@ $^\n"
        "out/%.o: src/%.c | out\n\t$(CC) -O1 -MMD -c -o $@ $<\n"
        "out:\n\tmkdir -p $@\n"
        "-include $(objects:.o=.d)\n"
    )
    return root


@pytest.mark.needs("git")
def test_git_clones_a_repository_of_2000_files_and_finds_it_clean(world, repository, tmp_path):
    world.run(["git", "clone", "-q", world.path(repository), "copy"], cwd=tmp_path, timeout=120)
    assert len(list((tmp_path / "copy").rglob("*.txt"))) == 2000
    where = tmp_path / "copy"
    assert world.run(
        "git status --porcelain && git rev-parse --show-toplevel", cwd=where
    ).stdout == (world.path(where) + "\n")
    (where / "d7/f3.txt").write_text("changed\n")
    (where / "d9/new").write_text("new\n")
    (where / "d1/f1.txt").unlink()
    assert world.run("git status --porcelain", cwd=where).stdout == (
        " D d1/f1.txt\n M d7/f3.txt\n?? d9/new\n"
    )
    world.run("git add -A && git commit -qm more && git gc -q && git fsck --full", cwd=where)


def test_gcc_makes_a_program_that_runs(world, native, tmp_path):
    (tmp_path / "hello.c").write_text(
        '#include <stdio.h>\nint main(void) { printf("%s\\n", __FILE__); return 3; }\n'
    )
    done = world.run("gcc -Wall -o hello hello.c && ./hello", cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("hello.c\n", "", 3)
    made = (tmp_path / "hello").read_bytes()
    native.run("gcc -Wall -o hello hello.c", cwd=tmp_path)
    assert (tmp_path / "hello").read_bytes() == made


def test_make_j2_builds_what_it_builds_outside_and_then_has_nothing_to_do(world, native, project):
    printed = world.run("make -j2 -Otarget", cwd=project).stdout
    built = {path.name: path.read_bytes() for path in (project / "out").iterdir()}
    assert world.run(["out/sum"], cwd=project).stdout == "36\n"
    assert "up to date" in world.run("make", cwd=project).stdout
    assert "up to date" in native.run("make", cwd=project).stdout
    again = native.run("rm -r out; make -j2 -Otarget", cwd=project).stdout
    assert sorted(again.splitlines()) == sorted(printed.splitlines())
    assert {path.name: path.read_bytes() for path in (project / "out").iterdir()} == built
    (project / "src/all.h").touch()
    remade = world.run("make -j2", cwd=project).stdout
    assert remade.count("-c -o") == 10


def test_make_in_another_directory_says_where_it_is(world, project):
    printed = world.run(["make", "-C", world.path(project), "-w", "-n"]).stdout
    assert f"make: Entering directory '{world.path(project)}'" in printed


def test_tar_out_and_in_again_gives_the_identical_tree(world, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for folder in range(12):
        (source / f"d{folder}").mkdir(mode=0o755)
        for number in range(25):
            file = source / f"d{folder}/f{number}"
            file.write_bytes(bytes([folder, number]) * (number * 97))
            file.chmod(0o400 + 0o40 * (number % 6))
            os.utime(file, ns=(10**18, 10**18 + number * 10**9 + number))
    (source / ("n" * 255)).write_text("long\n")
    (source / "space \n\x01é").write_text("odd\n")
    os.link(source / "d1/f1", source / "d2/twin")
    os.symlink("../d1/f1", source / "d3/link")
    os.symlink("/nowhere", source / "d3/dangling")
    os.mkfifo(source / "d4/fifo")
    (source / "d5").chmod(0o1777)
    os.utime(source / "d5", ns=(10**18, 10**18))
    script = "mkdir copy && tar -C source --posix -cf - . | tar -C copy -xpf -"
    world.run(script, cwd=tmp_path)
    assert tree_of(tmp_path / "copy") == tree_of(source)
    world.run("cp -a source again && diff -r source/d1 again/d1 && rm -rf again", cwd=tmp_path)
    assert not (tmp_path / "again").exists()


@slow
def test_find_counts_the_same_files_in_usr(world, native):
    def count(where):
        command = f"find {shlex.quote(where.path('/usr'))} 2>/dev/null | wc -l"
        return int(where.run(command, timeout=120).stdout)

    before, counted, after = count(native), count(world), count(native)
    assert min(before, after) <= counted <= max(before, after)


def test_find_prints_the_same_names_types_sizes_and_inodes(world, native):
    def listing(where):
        root = shlex.quote(where.path("/usr/include"))
        printf = "%P %y %s %i %m %T@ %l"
        found = where.run(f"find {root} -printf '{printf}\\n'", timeout=120).stdout
        return sorted(found.splitlines())

    assert listing(world) == listing(native)


def test_ls_shows_the_same_in_every_directory_of_the_root(world, native):
    """...but for `unreal` itself, and for what changes by the second (/proc, /tmp)."""
    for folder in ("/etc", "/usr", "/usr/bin", "/dev", "/var", "/sys/kernel"):
        seen = world.run(["ls", "-laU", "--time=ctime", world.path(folder)], check=False)
        real = native.run(["ls", "-laU", "--time=ctime", folder], check=False)
        lines = [{x for x in done.stdout.splitlines() if x[-3:] != " .."} for done in (seen, real)]
        assert lines[0] == lines[1], folder


@slow
def test_a_venv_is_made_and_its_pip_works(world, tmp_path):
    world.run("/usr/bin/python3 -m venv v", cwd=tmp_path, timeout=120)
    said = world.run(["v/bin/pip", "--version"], cwd=tmp_path).stdout
    assert f"from {world.path(tmp_path)}/v/lib/python3" in said
    script = "import sys, os; print(sys.prefix, os.getcwd(), sys.executable)"
    where = world.path(tmp_path)
    said = world.run(["v/bin/python", "-c", script], cwd=tmp_path).stdout
    assert said.split() == [f"{where}/v", where, f"{where}/v/bin/python"]


@pytest.mark.needs("sqlite3")
def test_sqlite_with_a_write_ahead_log_takes_rows_from_two_processes(world, tmp_path):
    inserts = "".join(f"insert into t values ({n}, hex(randomblob(50)));\n" for n in range(100))
    (tmp_path / "rows.sql").write_text(".timeout 30000\n" + inserts)
    made = world.run(
        "sqlite3 db 'pragma journal_mode=wal; create table t(n, x)' &&"
        '{ sqlite3 db <rows.sql & sqlite3 "$PWD/db" <rows.sql; wait $!; } &&'
        "sqlite3 db 'select count(*), sum(n) from t; pragma integrity_check'",
        cwd=tmp_path,
    )
    assert made.stdout == "wal\n200|9900\nok\n"
    assert not made.stderr


@pytest.mark.needs("node")
def test_node_reads_writes_watches_and_starts_others(world, tmp_path):
    script = """
        const fs = require('fs'), os = require('os'), cp = require('child_process');
        (async () => {
            fs.writeFileSync('a', 'A'.repeat(100000));
            await fs.promises.mkdir('x/y/z', {recursive: true});
            await Promise.all([...Array(50).keys()].map(
                n => fs.promises.copyFile('a', `x/y/z/${n}`)));
            const names = await fs.promises.readdir('x/y/z');
            const stats = await Promise.all(names.map(n => fs.promises.stat('x/y/z/' + n)));
            console.log(JSON.stringify([process.cwd(),
                stats.every(s => s.size == 100000), names.length, fs.realpathSync('x/../a'),
                cp.execFileSync('/bin/sh', ['-c', 'pwd; cat a | wc -c']).toString().split('\\n')]));
            await fs.promises.rm('x', {recursive: true});
        })();
    """
    said = world.run(["node", "-e", script], cwd=tmp_path).stdout
    where = world.path(tmp_path)
    assert json.loads(said) == [where, True, 50, f"{where}/a", [where, "100000", ""]]


def test_perl_globs_links_forks_and_changes_directory(world, tmp_path):
    script = r"""
        use Cwd; use File::Path qw(make_path remove_tree); use File::Find;
        make_path("p/q/r"); for (1..20) { open my $f, ">", "p/q/r/$_.t" or die; print $f $_; }
        symlink("q/r/7.t", "p/seven") or die; link("p/q/r/8.t", "p/eight") or die;
        my $n = 0; find(sub { $n++ if -f }, "p");
        chdir "p/q" or die; my $here = getcwd();
        my $pid = fork(); if (!$pid) { chdir "r"; exit(-e "8.t" ? 5 : 6) } waitpid($pid, 0);
        print join " ", $n, $here, $? >> 8, scalar(my @g = glob("r/*.t")), `cat ../seven`, "\n";
        chdir "../.."; remove_tree("p"); print -e "p" ? "left" : "gone", "\n";
    """
    said = world.run(["perl", "-e", script], cwd=tmp_path).stdout
    assert said == f"22 {world.path(tmp_path)}/p/q 5 20 7 \ngone\n"


def test_programs_named_through_the_prefix_run(world, native, tmp_path):
    """...and find their libraries and helpers: `#!`, $ORIGIN, /proc/self/exe."""
    (tmp_path / "p.py").write_text(f"#!{world.path('/usr/bin/python3')} -I\nimport json, zlib\n")
    (tmp_path / "p.py").chmod(0o755)
    (tmp_path / "h.c").write_text("int main(void) { return 0; }\n")
    usr = world.path("/usr")
    world.run([f"{usr}/bin/gcc", "-o", "h", "h.c"], cwd=tmp_path)
    world.run(["./p.py"], cwd=tmp_path)
    said = world.run([f"{usr}/bin/readlink", "/proc/self/exe"]).stdout
    assert said == f"{usr}/bin/readlink\n"
    for words in (["perl", "-MPOSIX", "-e", "print 7"], ["git", "--version"], ["node", "-p", "7"]):
        if Path(f"/usr/bin/{words[0]}").exists():
            here = world.run([f"{usr}/bin/{words[0]}", *words[1:]])
            assert here.stdout == native.run(words).stdout
