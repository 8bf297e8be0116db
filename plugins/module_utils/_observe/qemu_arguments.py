# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a definition gives to QEMU past libvirt: names only, since values may be secret, and files that QEMU opens.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import json
import typing as t

WORDS = ("qemu_arguments", "qemu_devices", "qemu_files")

# QEMU's option -> properties of it that name a file which must be there: not those that QEMU writes or makes itself.
_FILES: t.Mapping[str, tuple[str, ...]] = {
    "blockdev": ("filename",),
    "device": ("romfile",),
    "drive": ("file", "filename"),
    "fw_cfg": ("file",),
    "object": ("evdev", "filename"),
    "smbios": ("file",),
    "tpmdev": ("path",),
}


def read(arguments: list[str]) -> dict[str, list[str]]:
    """The facts WORDS of the words that follow QEMU's own."""
    options = [(word.lstrip("-"), after) for word, after in zip(arguments, arguments[1:]) if word.startswith("-")]
    named = [path for option, after in options for path in _files(option, after)]
    return {
        # An option's name tells what it is for; what follows it may be a password.
        "qemu_arguments": [argument if argument.startswith("-") else "" for argument in arguments],
        "qemu_devices": [_driver(after) for option, after in options if option == "device"],
        "qemu_files": list(dict.fromkeys(named)),
    }


def _files(option: str, argument: str) -> t.Iterator[str]:
    for key, value in _properties(argument) if option in _FILES else ():
        if key.rpartition(".")[2] in _FILES[option] and value.startswith("/"):
            yield value


def _driver(argument: str) -> str:
    """The driver of QEMU's ``-device``: of its properties nothing is kept."""
    if argument.startswith("{"):
        return dict(_properties(argument)).get("driver", "")
    return argument.partition(",")[0].removeprefix("driver=")


def _properties(argument: str) -> t.Iterator[tuple[str, str]]:
    """Of QEMU's key=value,... (a comma in a value is written twice), or of its JSON, at whatever depth."""
    if argument.startswith("{"):
        with contextlib.suppress(ValueError):
            yield from _flat("", json.loads(argument))
        return
    for part in argument.replace(",,", "\0").split(","):
        key, _equals, value = part.replace("\0", ",").partition("=")
        yield key, value


def _flat(name: str, value: t.Any) -> t.Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else key, inner)
    else:
        yield name, str(value)
