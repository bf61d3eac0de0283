# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules by name: finds them, reads their options, loads them whole or not at all.

A specification is "MOD[,key=value|,flag]..."; MOD is a short name (a file of pyview/modules), an
old name of one, a dotted Python name, a path of a .py file, or an entry point of the group
`pyview.modules`.  Knows no process.  Every failure is a ModuleError of one clear line; the
traceback of a module's own mistake goes to the log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple

from pyview.api import Module
from pyview.view import Mount, View

ENTRY_POINTS = "pyview.modules"
HERE = os.path.join(os.path.dirname(__file__), "modules")
#: Modules and mount types of VUOS and view-os that are called otherwise here, but for their "um".
OLD_NAMES = {
    "unrealuidgid": "vuid",
    "vufs": "viewfs",
    "fuse": "vufuse",
    "umviewfs": "viewfs",
    "vudevpartx": "vudevmbr",
}
CO_VARKEYWORDS = 0x08  # of a code object's flags, as inspect has it
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
TRUTH = {"yes": True, "true": True, "on": True, "1": True}
TRUTH |= {"no": False, "false": False, "off": False, "0": False}

Log = Callable[[str], None]


class ModuleError(Exception):
    """A module cannot be had; the text is one line for the user."""


class Loaded:
    """A module loaded into a view (and into those views that were copied from it).

    name       what vu_rmmod and vu_lsmod call it
    line       its one-line description
    module     the instance
    mounts     what `load` mounted: goes with the module, unlike what users mounted with its types
    claims     the groups of calls that it has claimed, and no other before it
    permanent  cannot be unloaded
    spec       how it was asked for, with its options
    epoch      the view's, before it was loaded
    """

    __slots__ = ("claims", "epoch", "line", "module", "mounts", "name", "permanent", "spec")

    def __init__(self, name: str, line: str, module: Module, permanent: bool) -> None:
        self.name, self.line, self.module, self.permanent = name, line, module, permanent
        self.spec, self.epoch = name, 0
        self.mounts: list[Mount] = []
        self.claims: set[str] = set()


# -- names ---------------------------------------------------------------------------------------


def split(spec: str) -> tuple[str, list[str]]:
    """The module's name and its options.  A comma always separates: no path may contain one."""
    name, *options = spec.split(",")
    return name, [option for option in options if option]


def available() -> list[str]:
    """The short names of the modules that came with pyview."""
    with os.scandir(HERE) as entries:
        names = (
            entry.name.removesuffix(".py")
            for entry in entries
            if entry.name.endswith(".py") or os.path.exists(os.path.join(entry.path, "__init__.py"))
        )
        return sorted(name for name in names if not name.startswith("_"))


def is_path(name: str) -> bool:
    """True when `name` means a file, not a module that Python or pyview finds."""
    return "/" in name or name.endswith(".py")


def short_name(name: str) -> str:
    """What a module is called once loaded: no directory, no .py, no package, no old name."""
    if is_path(name):
        return os.path.basename(name).removesuffix(".py")
    return current(name, available()).rpartition(".")[2]


def current(name: str, known: list[str]) -> str:
    """The present name of `name`, which may be one of view-os' or VUOS'; else `name` itself."""
    if name in known:
        return name
    newer = "vu" + name[2:] if name.startswith("um") else name
    renamed = OLD_NAMES.get(name) or OLD_NAMES.get(newer, newer)
    return renamed if renamed in known else name


# -- finding -------------------------------------------------------------------------------------


def find(name: str, log: Log) -> type[Module]:
    """The Module subclass that `name` means; a path must be absolute and the kernel's own."""
    if is_path(name):
        return _only_class(name, _from_file(name, log))
    known = available()
    short = current(name, known)
    if short in known:
        return _only_class(name, _imported(name, f"pyview.modules.{short}", log))
    if "." in name:
        return _only_class(name, _imported(name, name, log))
    return _from_entry_point(name, known, log)


def _from_file(path: str, log: Log) -> ModuleType:
    """Run a module's file, always afresh: an author edits and loads it again.

    Not through import: that would leave a __pycache__ beside the user's file.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ModuleError(f"{path}: {error.strerror}") from None
    name = "pyview:" + path
    module = ModuleType(name)
    module.__file__ = path
    code: CodeType = _guarded(path, log, lambda: compile(source, path, "exec", dont_inherit=True))
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pickle look a class up by its module's name
    try:
        _guarded(path, log, lambda: exec(code, module.__dict__))
    except ModuleError:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _imported(name: str, dotted: str, log: Log) -> ModuleType:
    from importlib import import_module

    def load() -> ModuleType:
        try:
            return import_module(dotted)
        except ModuleNotFoundError as error:
            if error.name and (dotted + ".").startswith(error.name + "."):
                raise ModuleError(f"{name}: no such module") from None
            raise

    if not all(part.isidentifier() for part in dotted.split(".")):
        raise ModuleError(f"{name}: no such module")
    found: ModuleType = _guarded(name, log, load)
    return found


def type_of(make: Any, log: Log) -> Any:
    """What makes a tree of a mount type: `make` itself, or what a "package.module:name" means."""
    if not isinstance(make, str):
        return make
    dotted, _, name = make.partition(":")
    module = _imported(dotted, dotted, log)
    return _guarded(dotted, log, lambda: getattr(module, name))


def _from_entry_point(name: str, known: list[str], log: Log) -> type[Module]:
    from importlib.metadata import entry_points  # slow: 30 ms, and only third parties need it

    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            found = _guarded(name, log, entry.load)
            return found if isinstance(found, type) else _only_class(name, found)
    raise ModuleError(f"{name}: no such module (there are: {', '.join(known)})")


def _only_class(name: str, module: ModuleType) -> type[Module]:
    own = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Module)
        and (thing.__module__ + ".").startswith(module.__name__ + ".")
    ]
    own = [c for c in dict.fromkeys(own) if not any(d is not c and issubclass(d, c) for d in own)]
    if not own:
        raise ModuleError(f"{name}: no Module subclass in it")
    if len(own) > 1:
        raise ModuleError(f"{name}: more than one Module: {', '.join(c.__name__ for c in own)}")
    return own[0]


# -- options -------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """What a callee can be given by name.

    kinds   by name, those of its own first: the annotation's plain name
    needed  those without a default
    open    it takes any other name, too
    """

    kinds: dict[str, str]
    needed: frozenset[str]
    open: bool


def parameters(callee: Any, skip: int = 1) -> Parameters | None:
    """What `callee` can be given by name, but for `skip` positional ones; None: it can't be told.

    An `__init__` that hands `**keywords` on takes the keyword-only ones of the next one in the MRO.
    """
    functions = _functions_of(callee)
    if not functions:
        return None
    kinds: dict[str, str] = {}
    needed: set[str] = set()
    for function in functions:
        code, first = function.__code__, function is functions[0]
        count = code.co_argcount + code.co_kwonlyargcount
        names = code.co_varnames[skip if first else code.co_argcount : count]
        given = set(function.__kwdefaults__ or ())
        if function.__defaults__:
            given |= set(code.co_varnames[: code.co_argcount][-len(function.__defaults__) :])
        needed |= set(names) - given - set(kinds)
        for name in names:
            kinds.setdefault(name, _kind(function.__annotations__.get(name, "str")))
    takes_any = bool(functions[-1].__code__.co_flags & CO_VARKEYWORDS)
    return Parameters(kinds, frozenset(needed), takes_any)


def wants_target(callee: Any, skip: int) -> bool:
    """Whether what makes a tree has a third positional parameter, `target`, after below, source."""
    functions = _functions_of(callee)
    code = functions[0].__code__ if functions else None
    return code is not None and code.co_varnames[skip : code.co_argcount] == ("target",)


def _functions_of(callee: Any) -> list[FunctionType]:
    """Itself; of a class, its `__init__`, and further ones as long as each takes `**keywords`."""
    if not isinstance(callee, type):
        return [callee] if isinstance(callee, FunctionType) else []
    found: list[FunctionType] = []
    for kind in callee.__mro__:
        function = vars(kind).get("__init__")
        if isinstance(function, FunctionType):
            found.append(function)
            if function.__code__.co_flags & CO_VARKEYWORDS:
                continue
        if function is not None:
            break
    return found


def keywords(callee: Any, options: list[str], skip: int = 1) -> dict[str, Any]:
    """Options ("key=value", "flag") as keyword arguments of `callee`, converted by annotation.

    `skip` positional parameters are the caller's own (self, below, source).  int takes any C
    notation and K M G T; bool takes yes/no; list[str] collects repeated keys.
    """
    wanted = parameters(callee, skip)
    if wanted is None:
        if options:
            raise ModuleError(f"unknown option: {options[0].partition('=')[0]} (it takes none)")
        return {}
    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        key = key.replace("-", "_")
        if key + "_" in wanted.kinds:  # a word of Python's own: except_
            key += "_"
        if key not in wanted.kinds and not wanted.open:
            offered = ", ".join(kind.rstrip("_") for kind in wanted.kinds) or "none"
            raise ModuleError(f"unknown option: {key} (it takes: {offered})")
        converted = _convert(key, wanted.kinds.get(key, "str"), value if equals else None)
        if isinstance(converted, list):
            found.setdefault(key, []).extend(converted)
        else:
            found[key] = converted
    missing = sorted(wanted.needed - set(found))
    if missing:
        raise ModuleError(f"option missing: {missing[0]}=")
    return found


def _kind(annotation: Any) -> str:
    """An annotation, as an object or as text, by its plain name: "int", "list[str]"..."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace(" ", "").removesuffix("|None")


def _convert(key: str, kind: str, value: str | None) -> Any:
    if kind == "bool":
        try:
            return value is None or TRUTH[value.lower()]
        except KeyError:
            raise ModuleError(f"option {key}: neither yes nor no: {value}") from None
    if value is None:
        raise ModuleError(f"option {key}: needs a value ({key}=...)")
    if kind == "int":
        unit = UNITS.get(value[-1:].upper(), 1)
        try:
            return int(value[:-1] if unit > 1 else value, 0) * unit
        except ValueError:
            raise ModuleError(f"option {key}: not a number: {value}") from None
    return [value] if kind == "list[str]" else value


# -- loading -------------------------------------------------------------------------------------


def load(view: View, spec: str, log: Log, *, permanent: bool = False) -> Loaded:
    """Load one module into `view`.  When it fails, nothing it mounted stays.

    A path in `spec` must be absolute and the kernel's own name of the file.
    """
    name, options = split(spec)
    if not name:
        raise ModuleError("a module's name is missing")
    kind = find(name, log)
    try:
        arguments = keywords(kind, options)
    except ModuleError as error:
        raise ModuleError(f"{name}: {error}") from None
    line = (sys.modules[kind.__module__].__doc__ or kind.__doc__ or "").strip().partition("\n")[0]
    short = short_name(name)
    before, claimed, epoch = list(view.mounts), set(view.claims), view.epoch
    module: Module = _guarded(name, log, lambda: kind(**arguments))
    loaded = Loaded(short, _description(short, line), module, permanent)
    loaded.spec, loaded.epoch = spec, epoch
    try:
        _guarded(name, log, lambda: module.load(view))
    except ModuleError:
        for mount in [mount for mount in view.mounts if mount not in before]:
            view.umount(mount)
        view.claims = claimed
        raise
    loaded.claims = view.claims - claimed
    loaded.mounts = [mount for mount in view.mounts if mount not in before]
    for mount in loaded.mounts:
        mount.owner = loaded
    return loaded


def _description(name: str, line: str) -> str:
    """The docstring's first line without the module's own name in front of it."""
    for mark in (":", " -"):
        head, found, rest = line.partition(mark)
        if found and (head == name or name.endswith("_" + head)):
            line = rest
            break
    return line.strip().removesuffix(".")


def _guarded(name: str, log: Log, action: Callable[[], Any]) -> Any:
    """Run what an author wrote: whatever it raises becomes one line, and a traceback in the log."""
    try:
        return action()
    except ModuleError:
        raise
    except SyntaxError as error:
        raise ModuleError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        raise ModuleError(f"{name}: {error.strerror or error}{about}") from None
    except BaseException as error:  # the module's edge: its mistakes are not the core's
        log(traced(error))
        text = " ".join(str(error).split())
        raise ModuleError(f"{name}: {type(error).__name__}: {text}") from None


def traced(error: BaseException) -> str:
    """The traceback of a module's mistake, cut at the module's edge."""
    import traceback  # slow, and only mistakes need it

    inner: TracebackType | None = error.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_filename == __file__:
        inner = inner.tb_next
    return "".join(traceback.format_exception(type(error), error, inner or error.__traceback__))
