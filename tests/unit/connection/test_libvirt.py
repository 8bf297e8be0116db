# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt as door
from ansible_collections.livemig.libvirt.plugins.module_utils._libvirt import without_questions
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from tests.unit import standin_libvirt


@pytest.mark.parametrize(
    ("uri", "opened"),
    [
        ("qemu+ssh://root@hv2/system", "qemu+ssh://root@hv2/system?no_tty=1"),
        ("qemu+ssh://root@hv2/system?keyfile=/k", "qemu+ssh://root@hv2/system?keyfile=/k&no_tty=1"),
        ("qemu+ssh://hv2/system?no_tty=0", "qemu+ssh://hv2/system?no_tty=0"),
        ("qemu+tls://hv2/system", "qemu+tls://hv2/system"),
        ("qemu:///system", "qemu:///system"),
    ],
)
def test_ssh_may_not_ask(uri: str, opened: str) -> None:
    assert without_questions(uri) == opened


def _libvirt(opens: t.Callable[[str], t.Any]) -> t.Any:
    made = mock.Mock(open=opens)
    made.libvirtError = standin_libvirt.libvirtError
    return made


def test_a_daemon_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(door, "libvirt", _libvirt(lambda _uri: release.wait(30)))
    monkeypatch.setattr(door, "HAS_LIBVIRT", True)
    monkeypatch.setattr(door, "OPEN_S", 0.05)
    with pytest.raises(LivemigError, match="libvirt connection qemu:///system: no answer within 0 s"):
        door.connect("qemu:///system")
    release.set()


def test_a_daemon_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = mock.Mock(side_effect=standin_libvirt.libvirtError("authentication failed"))
    monkeypatch.setattr(door, "libvirt", _libvirt(refuses))
    monkeypatch.setattr(door, "HAS_LIBVIRT", True)
    with pytest.raises(LivemigError, match="authentication failed"):
        door.connect("qemu:///system")


def test_what_was_opened_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = mock.Mock()
    monkeypatch.setattr(door, "libvirt", _libvirt(lambda _uri: opened))
    monkeypatch.setattr(door, "HAS_LIBVIRT", True)
    assert door.connect("qemu:///system") is opened
    opened.setKeepAlive.assert_called_once()
