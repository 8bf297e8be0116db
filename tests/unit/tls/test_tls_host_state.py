# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the script that the role runs on a host."""

from __future__ import annotations

import importlib.util
import pathlib
import types

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "roles" / "tls" / "files" / "host_state.py"


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("host_state", SCRIPT)
    if spec is None or spec.loader is None:
        raise ValueError(SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_are_read_as_libvirt_reads_them(script: types.ModuleType) -> None:
    text = '#listen_tls = 0\nlisten_tls = 1 # yes\n key_file="/a b"\nuser = \'+0\'\nlisten_tls = 0\nlist = [ "a" ]\n'
    found = script.parse_settings(text)
    assert (found["listen_tls"], found["key_file"], found["user"]) == ("0", "/a b", "+0")


def unit(name: str, load: str = "loaded", active: str = "inactive", state: str = "disabled") -> str:
    return f"Id={name}\nLoadState={load}\nActiveState={active}\nUnitFileState={state}\n"


@pytest.mark.parametrize(
    ("units", "name", "mode"),
    [
        ([], "libvirtd", "listen"),
        (
            [unit("libvirtd.service", active="active"), unit("libvirtd.socket"), unit("libvirtd-tls.socket")],
            "libvirtd",
            "socket",
        ),
        (
            [unit("libvirtd.service", active="active"), unit("libvirtd.socket", "masked"), unit("libvirtd-tls.socket")],
            "libvirtd",
            "listen",
        ),
        (
            # both sets installed, the modular one in use
            [
                unit("libvirtd.service"),
                unit("libvirtd.socket"),
                unit("libvirtd-tls.socket"),
                unit("virtqemud.socket", active="active", state="enabled"),
                unit("virtproxyd.socket", active="active", state="enabled"),
                unit("virtproxyd-tls.socket"),
            ],
            "virtproxyd",
            "socket",
        ),
        (
            # both installed, nothing modular enabled
            [
                unit("libvirtd.socket", state="enabled"),
                unit("libvirtd-tls.socket"),
                unit("virtqemud.socket"),
                unit("virtproxyd.socket"),
                unit("virtproxyd-tls.socket"),
            ],
            "libvirtd",
            "socket",
        ),
    ],
)
def test_the_daemon_in_use_is_chosen(script: types.ModuleType, units: list[str], name: str, mode: str) -> None:
    daemon = script.choose_daemon(script.parse_units("\n".join(units)))
    assert (daemon["name"], daemon["mode"]) == (name, mode)


def test_the_socket_s_state_is_told(script: types.ModuleType) -> None:
    units = unit("libvirtd.socket", active="active") + "\n" + unit("libvirtd-tls.socket", "loaded", "active", "enabled")
    daemon = script.choose_daemon(script.parse_units(units))
    assert (daemon["tls_socket_active"], daemon["tls_socket_enabled"]) == (True, True)


@pytest.mark.parametrize(
    ("settings", "folders", "expected"),
    [
        ({}, set(), "/etc/pki/qemu"),
        ({"default_tls_x509_cert_dir": "/d"}, set(), "/d"),
        ({"default_tls_x509_cert_dir": "/d"}, {"/etc/pki/libvirt-migrate"}, "/etc/pki/libvirt-migrate"),
        ({"migrate_tls_x509_cert_dir": "/m"}, {"/etc/pki/libvirt-migrate"}, "/m"),
    ],
)
def test_the_folder_of_migration_certificates(
    script: types.ModuleType, settings: dict[str, str], folders: set[str], expected: str
) -> None:
    assert script.qemu_dir(settings, folders.__contains__) == expected


def test_settings_that_would_leave_the_files_unused_are_conflicts(script: types.ModuleType) -> None:
    settings = {
        "ca_file": "/other.pem",
        "cert_file": "/etc/pki/libvirt/servercert.pem",
        "tls_no_verify_certificate": "1",
    }
    found = script.conflicts(settings, "/etc/libvirt/libvirtd.conf", "/etc/pki/libvirt-migrate", "/etc/pki/qemu/")
    assert [(entry["value"], entry["expected"]) for entry in found] == [
        ("/other.pem", "/etc/pki/CA/cacert.pem"),
        ("1", "0"),
        ("/etc/pki/libvirt-migrate", "/etc/pki/qemu/"),
    ]
    assert script.conflicts({}, "conf", "/etc/pki/qemu", "/etc/pki/qemu/") == []


def test_qemu_s_identity_comes_from_its_settings(script: types.ModuleType) -> None:
    assert script.qemu_identity({"user": "+0", "group": "kvm"}) == {"user": "root", "group": "kvm"}
    assert script.qemu_identity({"user": "root"}) == {"user": "root", "group": "root"}


def test_a_pair_without_a_key(script: types.ModuleType, tmp_path: pathlib.Path) -> None:
    (tmp_path / "c.pem").write_text("rubbish")
    assert script.pair_state(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))["key"] == "missing"
    (tmp_path / "k.pem").write_text("rubbish")
    assert script.pair_state(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))["key"] == "mismatch"


class LibvirtError(Exception):
    pass


class Domain:
    """A domain whose job is asked for: either stats or an error, and whether it is still there."""

    def __init__(self, answer: dict[str, int] | str, active: bool = True) -> None:
        self.answer, self.active = answer, active

    def jobStats(self) -> dict[str, int]:
        if isinstance(self.answer, str):
            raise LibvirtError(self.answer)
        return self.answer

    def isActive(self) -> bool:
        return self.active


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Domain({"type": 0}), None),
        (Domain({"type": 2, "operation": 5}), "migration out"),
        (Domain({"type": 2}), "unknown job"),
        (Domain("migration statistics are available only on the source host"), "incoming migration"),
        (Domain("cannot acquire state change lock"), "unknown job (cannot acquire state change lock)"),
        (Domain("Domain not found", active=False), None),
    ],
)
def test_a_job_is_only_absent_where_that_is_known(
    script: types.ModuleType, domain: Domain, expected: str | None
) -> None:
    libvirt = types.SimpleNamespace(libvirtError=LibvirtError, VIR_DOMAIN_JOB_NONE=0)
    assert script._operation(libvirt, domain, {5: "migration out"}) == expected
