# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs over viewfs, over and below other mounts, and in child views."""

from __future__ import annotations

import os

from worlds.overlaid import inside


def test_layers_over_layers(view, room):
    (room / "up2").mkdir()
    done = view.run(f"""
        vu_insmod viewfs unreal
        mount -t viewfs -o cow {room}/up {room}/low; cd {room}/low; echo one >>a; rm d/x; mkdir n
        mount -t viewfs -o cow {room}/up2 {room}/low; cd {room}/low
        echo two >>a; cat a; ls d n; echo 2 >n/two; echo 3 >d/x; rm -r e; ls
        umount {room}/low; cd {room}/low; echo --; cat a; ls . d n
        """, cwd=room)  # fmt: skip
    assert done.stdout.split() == [
        *("A", "one", "two", "d:", "n:", "a", "d", "n", "--", "A", "one"),
        *(".:", "a", "d", "e", "n", "d:", "n:"),
    ]
    assert (room / "low/a").read_text() == "A\n"


def test_unreal_over_it_and_it_over_unreal(view, room):
    done = view.run(f"""
        vu_insmod viewfs
        mount -t viewfs -o cow {room}/up {room}/low; echo one >>{room}/low/a
        vu_insmod unreal; cd /unreal{room}/low; cat a; echo two >>a; mkdir m; ls; cat {room}/low/a
        """, cwd=room)  # fmt: skip
    assert done.stdout.split() == ["A", "one", "a", "d", "e", "m", "A", "one", "two"]
    (room / "up2").mkdir()
    done = view.run(f"""
        vu_insmod unreal viewfs
        mount -t viewfs -o cow {room}/up2 /unreal{room}/low; cd /unreal{room}/low
        echo one >>a; cat a; pwd; cat {room}/low/a; rm d/x; ls d {room}/low/d
        """, cwd=room)  # fmt: skip
    low = f"{room}/low"
    assert done.stdout.split() == [
        *("A", "one", f"/unreal{low}", "A", f"{low}/d:", "x", "d:"),
    ]
    assert (room / "low/a").read_text() == "A\n"


def test_a_child_view_has_its_parents_and_its_own(view, room):
    (room / "up2").mkdir()
    done = inside(view, room, f"""
        echo one >>a
        pyview -N sh -c 'cat a; mount -t viewfs -o cow {room}/up2 {room}/low; cd {room}/low
            echo two >>a; cat a'
        cat a
        """)  # fmt: skip
    assert done.stdout.split() == ["A", "one", "A", "one", "two", "A", "one"]


def test_vuns_prints_what_makes_it_again(view, room):
    """Layers, and a child view's, by the commands that another view types."""
    for name in ("up2", "up three"):
        (room / name).mkdir()
    mounts = [
        f"vumount -t viewfs -o cow {room}/up {room}/low",
        f"vumount -t viewfs -o mincow,except={room}/low/e {room}/up2 {room}/low",
        f"vumount -B {room}/low {room}/here",
        f"vumount -t viewfs -o cow '{room}/up three' /unreal{room}/low",
    ]
    (room / "here").mkdir()
    done = view.run(f"""
        vuname outer; vu_insmod viewfs; {mounts[0]}; echo one >>{room}/low/a
        {mounts[1]}; vu_insmod unreal; {mounts[2]}
        pyview -N -V inner sh -c "{mounts[3]}; echo two >>/unreal{room}/low/d/x; vuns; vuns $$"
        """, cwd=room)  # fmt: skip
    outer = ["vuname outer", "vu_insmod viewfs", *mounts[:2], "vu_insmod unreal", mounts[2]]
    assert done.stdout.splitlines() == ["vuname inner", *outer[1:], mounts[3], *outer]
    again = "\n".join(done.stdout.splitlines()[: len(outer) + 1])
    done = view.run(f"{again}\ncat {room}/here/a /unreal{room}/low/d/x; vuname -V", cwd=room)
    assert done.stdout.split() == ["A", "one", "X", "two", "inner"]


def test_an_upper_in_its_lower_is_no_part_of_it(view, room):
    (room / "low/inner").mkdir()
    done = view.run(f"""
        vu_insmod viewfs && mount -t viewfs -o cow {room}/low/inner {room}/low && cd {room}/low
        echo one >b; rm a; echo two >>d/x; ls; ls inner; ls -d a
        """, cwd=room, check=False)  # fmt: skip
    assert done.stdout.split() == ["b", "d", "e", "inner", "a", "b", "d"]
    assert sorted(os.listdir(room / "low")) == ["a", "d", "e", "inner"]
    assert (room / "low/d/x").read_text() == "X\n"
