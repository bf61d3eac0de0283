# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a task is, and what it may become: credentials(7), capabilities(7), as the kernel has them.

Pure: knows no process.  Each method gives the credentials that a call leaves behind, or raises the
OSError that it answers.  cf. Linux kernel/sys.c, kernel/groups.c, kernel/capability.c,
security/commoncap.c.
"""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple

from pyview.api import refuse

NOBODY = 0xFFFFFFFF  # (uid_t) -1: no user, and in most calls "leave it as it is"
NGROUPS_MAX = 65536

# <linux/capability.h>
CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 6, 7, 8
CAP_LAST = 40  # CAP_CHECKPOINT_RESTORE, Linux 5.9
EVERY = (1 << CAP_LAST + 1) - 1
#: What fsuid 0 is for: CHOWN, DAC_*, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE
OF_FILES = sum(1 << n for n in (0, 1, 2, 3, 4, 9, 27, 32))

# <linux/securebits.h>: each bit has its lock beside it
NOROOT, NO_SETUID_FIXUP, KEEP_CAPS, NO_AMBIENT_RAISE = 0x01, 0x04, 0x10, 0x40
SECURE_BITS, SECURE_LOCKS = 0x555, 0xAAA
ANYBODYS = 0xF00  # EXEC_RESTRICT_FILE, EXEC_DENY_INTERACTIVE (Linux 6.14): need no capability

SET_USER, SET_GROUP = 0o4000, 0o2010  # a mode's bits; the latter only with "executable by group"

# struct vfs_cap_data, vfs_ns_cap_data: capability.h
_FILE_CAPABILITIES = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}  # revision -> pairs of words


class Program(NamedTuple):
    """What of a file matters when it is executed: 0 in `mode` also for a mount with nosuid."""

    mode: int
    uid: int
    gid: int
    capabilities: bytes = b""  # its attribute security.capability


class Credentials(NamedTuple):
    """Of one task: real, effective and saved ids and those for files; five sets of capabilities."""

    uid: int
    euid: int
    suid: int
    fsuid: int
    gid: int
    egid: int
    sgid: int
    fsgid: int
    groups: tuple[int, ...]
    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    securebits: int = 0
    no_new_privs: bool = False

    @property
    def users(self) -> tuple[int, int, int, int]:
        """The user ids: real, effective, saved, for files."""
        return self.uid, self.euid, self.suid, self.fsuid

    @property
    def own_groups(self) -> tuple[int, int, int, int]:
        """The group ids, likewise."""
        return self.gid, self.egid, self.sgid, self.fsgid

    @property
    def sets(self) -> tuple[int, int, int, int, int]:
        """The capabilities: inheritable, permitted, effective, bounding, ambient."""
        return self.inheritable, self.permitted, self.effective, self.bounding, self.ambient

    def can(self, capability: int) -> bool:
        """Whether one capability is effective."""
        return bool(self.effective >> capability & 1)

    def _needs(self, capability: int) -> None:
        if not self.can(capability):
            raise refuse(errno.EPERM)

    # -- users -------------------------------------------------------------------------------
    def setuid(self, uid: int) -> Credentials:
        """setuid(2).  Errors: EINVAL, EPERM."""
        _valid(uid)
        if self.can(CAP_SETUID):
            return self._replace(uid=uid, euid=uid, suid=uid, fsuid=uid)._fixed(self)
        if uid not in (self.uid, self.suid):
            raise refuse(errno.EPERM)
        return self._replace(euid=uid, fsuid=uid)._fixed(self)

    def setreuid(self, uid: int, euid: int) -> Credentials:
        """setreuid(2).  Errors: EPERM."""
        new = self
        if uid != NOBODY:
            if uid not in (self.uid, self.euid):
                self._needs(CAP_SETUID)
            new = new._replace(uid=uid)
        if euid != NOBODY:
            if euid not in (self.uid, self.euid, self.suid):
                self._needs(CAP_SETUID)
            new = new._replace(euid=euid)
        if uid != NOBODY or euid not in (NOBODY, self.uid):
            new = new._replace(suid=new.euid)
        return new._replace(fsuid=new.euid)._fixed(self)

    def setresuid(self, uid: int, euid: int, suid: int) -> Credentials:
        """setresuid(2).  Errors: EPERM."""
        mine = (self.uid, self.euid, self.suid)
        wanted = _kept(mine, (uid, euid, suid))
        if wanted == mine and (euid == NOBODY or euid == self.fsuid):
            return self
        if not set(wanted) <= set(mine):
            self._needs(CAP_SETUID)
        uid, euid, suid = wanted
        return self._replace(uid=uid, euid=euid, suid=suid, fsuid=euid)._fixed(self)

    def setfsuid(self, uid: int) -> Credentials:
        """setfsuid(2), which never fails."""
        known = uid in (self.uid, self.euid, self.suid, self.fsuid)
        if uid == NOBODY or not (known or self.can(CAP_SETUID)):
            return self
        new = self._replace(fsuid=uid)
        if not self.securebits & NO_SETUID_FIXUP:
            if not self.fsuid and uid:
                new = new._replace(effective=self.effective & ~OF_FILES)
            if self.fsuid and not uid:
                new = new._replace(effective=self.effective | (self.permitted & OF_FILES))
        return new

    def _fixed(self, old: Credentials) -> Credentials:
        """Capabilities follow the user ids: commoncap.c, cap_emulate_setxuid."""
        if self.securebits & NO_SETUID_FIXUP:
            return self
        new = self
        was_root = 0 in (old.uid, old.euid, old.suid)
        if was_root and 0 not in (new.uid, new.euid, new.suid):
            if not self.securebits & KEEP_CAPS:
                new = new._replace(permitted=0, effective=0)
            new = new._replace(ambient=0)
        if not old.euid and new.euid:
            new = new._replace(effective=0)
        if old.euid and not new.euid:
            new = new._replace(effective=new.permitted)
        return new

    # -- groups ------------------------------------------------------------------------------
    def setgid(self, gid: int) -> Credentials:
        """setgid(2).  Errors: EINVAL, EPERM."""
        _valid(gid)
        if self.can(CAP_SETGID):
            return self._replace(gid=gid, egid=gid, sgid=gid, fsgid=gid)
        if gid not in (self.gid, self.sgid):
            raise refuse(errno.EPERM)
        return self._replace(egid=gid, fsgid=gid)

    def setregid(self, gid: int, egid: int) -> Credentials:
        """setregid(2).  Errors: EPERM."""
        new = self
        if gid != NOBODY:
            if gid not in (self.gid, self.egid):
                self._needs(CAP_SETGID)
            new = new._replace(gid=gid)
        if egid != NOBODY:
            if egid not in (self.gid, self.egid, self.sgid):
                self._needs(CAP_SETGID)
            new = new._replace(egid=egid)
        if gid != NOBODY or egid not in (NOBODY, self.gid):
            new = new._replace(sgid=new.egid)
        return new._replace(fsgid=new.egid)

    def setresgid(self, gid: int, egid: int, sgid: int) -> Credentials:
        """setresgid(2).  Errors: EPERM."""
        mine = (self.gid, self.egid, self.sgid)
        wanted = _kept(mine, (gid, egid, sgid))
        if wanted == mine and (egid == NOBODY or egid == self.fsgid):
            return self
        if not set(wanted) <= set(mine):
            self._needs(CAP_SETGID)
        gid, egid, sgid = wanted
        return self._replace(gid=gid, egid=egid, sgid=sgid, fsgid=egid)

    def setfsgid(self, gid: int) -> Credentials:
        """setfsgid(2), which never fails."""
        known = gid in (self.gid, self.egid, self.sgid, self.fsgid)
        if gid == NOBODY or not (known or self.can(CAP_SETGID)):
            return self
        return self._replace(fsgid=gid)

    def setgroups(self, groups: tuple[int, ...]) -> Credentials:
        """setgroups(2).  Errors: EPERM, EINVAL."""
        self._needs(CAP_SETGID)
        if len(groups) > NGROUPS_MAX or NOBODY in groups:
            raise refuse(errno.EINVAL)
        return self._replace(groups=tuple(sorted(groups)))

    # -- capabilities ------------------------------------------------------------------------
    def capset(self, inheritable: int, permitted: int, effective: int) -> Credentials:
        """capset(2).  Errors: EPERM."""
        allowed = self.inheritable | self.bounding
        if not self.can(CAP_SETPCAP):
            allowed &= self.inheritable | self.permitted
        if inheritable & ~allowed or permitted & ~self.permitted or effective & ~permitted:
            raise refuse(errno.EPERM)
        ambient = self.ambient & permitted & inheritable
        return self._replace(
            inheritable=inheritable, permitted=permitted, effective=effective, ambient=ambient
        )

    def drop_bounding(self, capability: int) -> Credentials:
        """PR_CAPBSET_DROP.  Errors: EPERM, EINVAL."""
        self._needs(CAP_SETPCAP)
        _capability(capability)
        return self._replace(bounding=self.bounding & ~(1 << capability))

    def set_securebits(self, bits: int) -> Credentials:
        """PR_SET_SECUREBITS.  Errors: EPERM."""
        changed = self.securebits ^ bits
        locked = (self.securebits & SECURE_LOCKS) >> 1 & changed
        unlocks = self.securebits & SECURE_LOCKS & ~bits
        if locked or unlocks or bits & ~(SECURE_BITS | SECURE_LOCKS):
            raise refuse(errno.EPERM)
        if changed & ~ANYBODYS or not changed:
            self._needs(CAP_SETPCAP)
        return self._replace(securebits=bits)

    def keep_capabilities(self, keep: int) -> Credentials:
        """PR_SET_KEEPCAPS.  Errors: EINVAL, EPERM."""
        if keep not in (0, 1):
            raise refuse(errno.EINVAL)
        if self.securebits & KEEP_CAPS << 1:
            raise refuse(errno.EPERM)
        bits = self.securebits & ~KEEP_CAPS
        return self._replace(securebits=bits | KEEP_CAPS if keep else bits)

    def raise_ambient(self, capability: int) -> Credentials:
        """PR_CAP_AMBIENT_RAISE.  Errors: EINVAL, EPERM."""
        _capability(capability)
        bit = 1 << capability
        if not self.permitted & self.inheritable & bit or self.securebits & NO_AMBIENT_RAISE:
            raise refuse(errno.EPERM)
        return self._replace(ambient=self.ambient | bit)

    def lower_ambient(self, capability: int) -> Credentials:
        """PR_CAP_AMBIENT_LOWER.  Errors: EINVAL."""
        _capability(capability)
        return self._replace(ambient=self.ambient & ~(1 << capability))

    # -- programs ----------------------------------------------------------------------------
    def executes(self, program: Program) -> tuple[Credentials, bool]:
        """What execve(2) makes of them, and whether the program runs "securely" (AT_SECURE).

        As since Linux 6.17: before it, ids that exec did not change cost the ambient set, too.
        Errors: EPERM when the file demands capabilities that it can't get.
        """
        euid, egid = self.euid, self.egid
        given = program.capabilities
        if not self.no_new_privs:
            euid = program.uid if program.mode & SET_USER else euid
            egid = program.gid if program.mode & SET_GROUP == SET_GROUP else egid
        permitted, effective = self._from_file(given)
        if not self.securebits & NOROOT and not (given and self.uid and not euid):
            if not euid or not self.uid:
                permitted = self.bounding | self.inheritable
            effective = effective or not euid
        changed = euid != self.euid or egid not in (self.fsgid, *self.groups)
        if self.no_new_privs:
            if changed or permitted & ~self.permitted:
                euid, egid = self.uid, self.gid
            permitted &= self.permitted
        ambient = 0 if given or changed else self.ambient
        permitted |= ambient
        secure = changed or euid != self.uid or egid != self.gid
        secure = secure or bool(self.uid and (effective or permitted & ~ambient))
        new = self._replace(
            euid=euid, suid=euid, fsuid=euid, egid=egid, sgid=egid, fsgid=egid,
            permitted=permitted, effective=permitted if effective else ambient, ambient=ambient,
            securebits=self.securebits & ~KEEP_CAPS,
        )  # fmt: skip
        return new, secure

    def _from_file(self, data: bytes) -> tuple[int, bool]:
        """What a file's own capabilities permit, and whether they are effective at once."""
        if len(data) < 4:
            return 0, False
        magic = int.from_bytes(data[:4], "little")
        pairs = _FILE_CAPABILITIES.get(magic & 0xFF000000, 0)
        if not pairs or len(data) < 4 + 8 * pairs:
            return 0, False
        allowed = inherited = 0
        for at in range(pairs):
            low, high = struct.unpack_from("<II", data, 4 + 8 * at)
            allowed |= low << 32 * at
            inherited |= high << 32 * at
        allowed, inherited = allowed & EVERY, inherited & EVERY
        permitted = (allowed & self.bounding) | (inherited & self.inheritable)
        effective = bool(magic & 1)
        if effective and allowed & ~permitted:
            raise refuse(errno.EPERM)
        return permitted, effective


def root(old: Credentials) -> Credentials:
    """Those of somebody whom nothing is refused."""
    return old._replace(
        uid=0, euid=0, suid=0, fsuid=0, gid=0, egid=0, sgid=0, fsgid=0, groups=(0,),
        inheritable=0, permitted=EVERY, effective=EVERY, bounding=EVERY, ambient=0,
        securebits=0, no_new_privs=False,
    )  # fmt: skip


def _kept(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """Ids as they are wanted, -1 being those of before."""
    return tuple(a if b == NOBODY else b for a, b in zip(old, new, strict=True))


def _valid(number: int) -> None:
    if number == NOBODY:
        raise refuse(errno.EINVAL)


def _capability(number: int) -> None:
    if number > CAP_LAST:
        raise refuse(errno.EINVAL)
