# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing the report's files on the controller: whole or not at all, and only when something differs.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Change(t.NamedTuple):
    """A file that is to be written. ``before`` is None where there is none yet, or none that can be read as text."""

    path: str
    before: str | None
    after: str


def as_json(value: t.Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def changes(directory: str, contents: t.Mapping[str, str]) -> list[Change]:
    """What differs in text or mode between ``directory`` and ``contents`` (file name -> text). Writes nothing.

    Raises LivemigError when the directory is something else, or may not be read.
    """
    if os.path.lexists(directory) and not os.path.isdir(directory):
        raise LivemigError(
            "dest", value=directory, expected="a directory, or a path where one can be made", remedy="name another one"
        )
    found = []
    for name, text in contents.items():
        path = os.path.join(directory, name)
        before, mode = _state(path)
        if before != text or mode != FILE_MODE:
            found.append(Change(path, before, text))
    return found


def as_diff(change: Change) -> dict[str, str]:
    """The change as Ansible shows it with --diff."""
    return {
        "before_header": change.path,
        "after_header": change.path,
        "before": change.before or "",
        "after": change.after,
    }


def read(path: str) -> str | None:
    """The text of a file, None where there is none. Raises LivemigError where it may not be read or is no text."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise LivemigError(
            f"File {path}",
            value="not text in UTF-8",
            expected="a file as this collection writes it",
            remedy="move it away. Nothing was overwritten",
        ) from None
    except OSError as error:
        raise _error(path, error) from error


def _state(path: str) -> tuple[str | None, int | None]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, None
    except UnicodeDecodeError:
        return None, None
    except OSError as error:
        raise _error(path, error) from error


def write(directory: str, found: t.Iterable[Change]) -> None:
    """Writes each change beside its file and renames it. A directory that was there keeps its mode.

    Raises LivemigError when the controller's user may not write there.
    """
    try:
        os.makedirs(directory, mode=DIRECTORY_MODE, exist_ok=True)
        for change in found:
            _replace(change)
    except OSError as error:
        raise _error(directory, error) from error


def _replace(change: Change) -> None:
    # mkstemp makes the file with mode 0600.
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(change.path), prefix=".livemig-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(change.after)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, change.path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _error(path: str, error: OSError) -> LivemigError:
    return LivemigError(
        "dest",
        value=f"{path}: {error.strerror}",
        expected="a directory on the controller that the user who runs Ansible may read and write",
        remedy="name another directory, or correct its owner and mode",
    )
