"""The C library is asked to keep less, where it is one that can."""

from __future__ import annotations

import ctypes
import platform

import pytest

from recolor_cli.cli.few_arenas import use_few_arenas


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_it() -> None:
    assert use_few_arenas()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("nobody is asked"))
    assert not use_few_arenas()


def test_a_library_without_arenas_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not use_few_arenas()
