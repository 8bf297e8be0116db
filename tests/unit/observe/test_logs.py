# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a domain's log: bounded, without command lines and secrets, whatever happened to the file."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import logs
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.api import (
    log_mark,
    log_path,
    log_since,
    log_since_mark,
    redacted,
    stamp_ms,
)

AT_S = 1795761000  # 2026-11-27 06:30:00 UTC
COMMAND = (
    "LC_ALL=C \\\nPATH=/usr/bin \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=web1 \\\n"
    '-object \'{"qom-type":"secret","id":"s0","data":"c2VjcmV0"}\' \\\n-msg timestamp=on\n'
)


def start(at: str) -> str:
    return f"2026-11-27 {at}+0000: starting up libvirt version: 11.3.0, hostname: hv2\n{COMMAND}"


def end(at: str, reason: str) -> str:
    return f"2026-11-27 {at}+0000: shutting down, reason={reason}\n"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "web1.log"


def test_where_libvirt_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert log_path("qemu:///system", "web1") == "/var/log/libvirt/qemu/web1.log"
    assert log_path("qemu:///session?socket=/x", "web1") == "/cache/libvirt/qemu/log/web1.log"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("2026-11-27 06:30:00.542+0000: shutting down", AT_S * 1000 + 542),
        ("2026-11-27T06:30:00.542871Z qemu-system-x86_64: x", AT_S * 1000 + 542),
        ("monitor: 2026-11-27T06:30:00Z qemu", AT_S * 1000),
        ("2026-11-27 06:30:00.542: in a zone that is not told", None),
        ("2026-13-27 06:30:00.542+0000: no such month", None),
        ("Failed to get lock", None),
    ],
)
def test_the_time_of_a_line(line: str, wanted: int | None) -> None:
    assert stamp_ms(line) == wanted


def test_what_was_written_since_the_mark(path: pathlib.Path) -> None:
    path.write_text(end("06:00:00.000", "destroyed"))
    mark = log_mark(str(path))
    with path.open("a") as file:
        file.write(start("06:30:01.000") + end("06:30:02.000", "failed"))
    found = log_since_mark("hv1", mark, AT_S)
    assert found == {
        "host": "hv1",
        "path": str(path),
        "since_s": AT_S,
        "lines": [
            "2026-11-27 06:30:01.000+0000: starting up libvirt version: 11.3.0, hostname: hv2",
            "(QEMU's command line: 6 lines left out)",
            "2026-11-27 06:30:02.000+0000: shutting down, reason=failed",
        ],
        "cut": False,
        "unread": None,
    }


def test_a_log_that_was_not_there_yet(path: pathlib.Path) -> None:
    mark = log_mark(str(path))
    assert log_since_mark("hv1", mark, AT_S)["unread"] == "No such file or directory"
    path.write_text(end("06:30:02.000", "failed"))
    assert len(log_since_mark("hv1", mark, AT_S)["lines"]) == 1


def test_a_log_that_was_renamed_meanwhile(path: pathlib.Path) -> None:
    path.write_text("old\n")
    mark = log_mark(str(path))
    with path.open("a") as file:
        file.write("before\n")
    path.rename(f"{path}.0")
    path.write_text("after\n")
    found = log_since_mark("hv1", mark, AT_S)
    assert (found["lines"], found["cut"]) == (["before", "after"], False)


def test_a_log_that_was_emptied_meanwhile(path: pathlib.Path) -> None:
    """What is left may begin in the middle, and that is said."""
    path.write_text("old\n" * 10)
    mark = log_mark(str(path))
    os.truncate(path, 0)
    path.write_text("after\n")
    found = log_since_mark("hv1", mark, AT_S)
    assert (found["lines"], found["cut"]) == (["after"], True)


def test_only_the_end_of_much(path: pathlib.Path) -> None:
    path.write_text("".join(f"line {number}\n" for number in range(20000)))
    found = log_since_mark("hv1", log_mark(str(path))._replace(size=0), AT_S)
    assert len(found["lines"]) == logs.KEEP_LINES and found["lines"][-1] == "line 19999" and found["cut"]
    path.write_text("x" * 5000 + ": the reason\n")
    (line,) = log_since_mark("hv1", log_mark(str(path))._replace(size=0), AT_S)["lines"]
    assert len(line) < logs.LINE_CHARACTERS + 10 and line.endswith(": the reason")


def test_only_the_last_start_since_a_time(path: pathlib.Path) -> None:
    path.write_text(
        start("06:00:00.000") + end("06:00:01.000", "crashed")
        + start("06:29:55.000") + end("06:29:56.000", "destroyed")
        + start("06:30:01.000") + "no time\n" + end("06:30:02.000", "failed")
    )  # fmt: skip
    lines = log_since("hv2", str(path), AT_S)["lines"]
    assert lines[0].startswith("2026-11-27 06:30:01.000") and lines[-2] == "no time" and len(lines) == 4


def test_a_host_where_it_never_started(path: pathlib.Path) -> None:
    """An old failure is not this one."""
    path.write_text(start("06:00:00.000") + end("06:00:01.000", "crashed"))
    assert log_since("hv2", str(path), AT_S)["lines"] == []
    assert log_since("hv2", f"{path}.not", AT_S)["unread"] == "No such file or directory"


def test_a_log_that_is_no_file(tmp_path: pathlib.Path) -> None:
    assert log_since("hv2", str(tmp_path), AT_S)["unread"] == "Is a directory"


def test_bytes_that_are_no_text(path: pathlib.Path) -> None:
    path.write_bytes(b"2026-11-27 06:30:02.000+0000: \xff\xfe\n")
    assert len(log_since("hv2", str(path), AT_S)["lines"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        '-object {"qom-type":"secret","id":"s0","data":"HIDE","keyid":"masterKey0","iv":"HIDE","format":"base64"}',
        '"{\\"qom-type\\":\\"secret\\",\\"data\\":\\"HIDE\\",\\"format\\":\\"base64\\"}"',
        '{"password":"HIDE\\"HIDE"}',
        "-object secret,id=s0,data=HIDE,keyid=masterKey0",
        "-vnc 0.0.0.0:1,password=HIDE",
        "rbd:pool/image:id=admin:key=HIDE:auth_supported=cephx",
        "<graphics type='vnc' passwd='HIDE HIDE' passwdValidTo='x'/>",
        "<encryption><passphrase>HIDE</passphrase></encryption>",
        "https://admin:HIDE@server/disk.iso",
        "Authorization: Bearer HIDE",
        "token=HIDE",
        "-----BEGIN PRIVATE KEY-----\nHIDE\nHIDE\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nHIDE",
        "HIDE\nHIDE\n-----END RSA PRIVATE KEY-----\nafter",
        "password=HIDE,,HIDE,other=1",
        "password=HIDE:HIDE",
        "user=me;password=HIDE;HIDE",
        "http-password=HIDE",
        "{'password': 'HIDE'}",
    ],
)
def test_secrets_are_not_shown(text: str) -> None:
    assert "HIDE" in text and "HIDE" not in redacted(text) and "***" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        '-blockdev {"driver":"luks","key-secret":"libvirt-1-format-encryption-secret0"}: Invalid password',
        "Secret not found: no secret with matching uuid '6c1d0001-5a1b-4a6e-8b1e-2f0d0000b0aa'",
        "Unable to access credentials /etc/pki/qemu/server-key.pem: No such file or directory",
        "error: failed to set MSR 0x38d to 0x0; key: value",
        "nbd://198.51.100.7:10809/export",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_secret_in_a_log_is_not_shown(path: pathlib.Path) -> None:
    path.write_text('2026-11-27T06:30:02.0Z qemu: -object {"qom-type":"secret","data":"c2VjcmV0"}: bad\n')
    assert "c2VjcmV0" not in str(log_since("hv2", str(path), AT_S))
