"""The names that a preload list can hold."""

import sys

from warm_up.libraries import installed, not_loaded


def test_a_library_is_a_package_a_module_or_an_extension_in_a_directory_of_libraries(tmp_path, monkeypatch):
    directory = tmp_path / "site-packages"
    for package in ("package", "__pycache__", "package-1.0.dist-info", "café", "a" * 65):
        (directory / package).mkdir(parents=True)
    for name in ("single.py", "fast.cpython-311-x86_64-linux-gnu.so", "notes.txt", "with-hyphen.py", "plain"):
        (directory / name).touch()
    (tmp_path / "elsewhere.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(directory), str(tmp_path / "missing/site-packages")])
    assert installed() == ["fast", "package", "single"]


def test_there_is_a_bound(tmp_path, monkeypatch):
    directory = tmp_path / "dist-packages"
    directory.mkdir()
    for number in range(600):
        (directory / f"m{number:03}.py").touch()
    monkeypatch.setattr(sys, "path", [str(directory)])
    assert installed() == [f"m{number:03}" for number in range(500)]


def test_cold_is_what_is_not_loaded():
    assert not_loaded(["numpy", "scipy"], {"numpy", "sys"}) == ["scipy"]
