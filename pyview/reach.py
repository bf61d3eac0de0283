# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process may do unheard with a descriptor of a block device: pread64 and pwrite64.

Filters see arguments, and know no descriptor; so it may do that with all that it has open, and
stops beyond: where that is another file's, the call goes on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

EVERYWHERE = (1 << 64) - 1
CHUNK = 1 << 20  # bytes that may be read or written at once
ENOUGH = 3  # reaches of a process: each is a filter, and who looks at many disks reads little


class Reach(NamedTuple):
    """As far as nothing can go wrong.

    windowed  the descriptor is a window (pyview/windows.py): it can't be used for anything else
    reads     CHUNK bytes may be read from any offset below that; EVERYWHERE: as many as one likes
    writes    the same for writing; 0: all writing stops
    low       neither below this offset
    """

    windowed: bool
    reads: int
    writes: int
    low: int = 0

    def of(self, record: Any) -> bool:
        """Whether the process of a task (struct pv_task) stops for all that is beyond."""
        if record.descriptors or self == NOTHING:
            return bool(record.descriptors)  # the reach of a small device is as short as NOTHING
        had = had_by(record)
        enough = had.windowed or (record.direct and not self.windowed)
        return bool(enough and had.reads <= self.reads and had.writes <= self.writes)

    def narrows(self, record: Any) -> None:
        """The process of a task stops for what is beyond from now on, too."""
        if self == NOTHING:
            record.descriptors = 1
            return
        had = had_by(record)
        record.direct, record.windowed = record.direct + 1, had.windowed or self.windowed
        record.reads_below = min(had.reads, self.reads)
        record.writes_below = min(had.writes, self.writes)


NOTHING = Reach(True, 0, 0)  # of any emulated descriptor
READING = Reach(False, EVERYWHERE, 0)
NATIVELY = Reach(False, EVERYWHERE, EVERYWHERE)  # of texts: nobody can write there


def had_by(record: Any) -> Reach:
    """What the process of a task may do by now."""
    if not record.direct:
        return Reach(False, EVERYWHERE, EVERYWHERE)
    return Reach(bool(record.windowed), int(record.reads_below), int(record.writes_below))
