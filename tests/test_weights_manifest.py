"""`weights.json`: our list keeps its own rules, and a list that breaks one is refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import WeightsError
from recolor_cli.models import MODELS
from recolor_cli.models.foreign import FOREIGN
from recolor_cli.weights import find_weights, load_model, read_manifest
from recolor_cli.weights.find import cached_path
from recolor_cli.weights.manifest import (
    MANIFEST_VARIABLE,
    Manifest,
    manifest_path,
    parse_entry,
    parse_manifest,
)

OURS = read_manifest()


def valid() -> dict[str, Any]:
    """An entry as it stands in the file."""
    return {
        "source": "hub",
        "repo_id": "somebody/colours",
        "revision": "0" * 40,
        "file": "model.safetensors",
        "sha256": "a" * 64,
        "bytes": 10,
        "network": "bins-unet",
        "arguments": {},
        "color": {"space": "lab-bins", "temperature": 0.4},
        "input_size": 256,
        "parameters": 3,
        "license": "MIT",
        "trained_on": "photographs",
        "recipe": "base",
        "metrics": {"psnr": 24.5},
        "note": "",
    }


class TestHome:
    @pytest.fixture(autouse=True)
    def nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user without a name or HOME, as containers have."""
        for name in ("HOME", "RECOLOR_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)

        def refuse(number: int) -> None:
            raise KeyError(f"uid not found: {number}")

        monkeypatch.setattr("pwd.getpwuid", refuse)

    def test_our_own_weights_need_none(self) -> None:
        assert find_weights("default", offline=True).sha256 == OURS.require("default").sha256

    def test_others_say_what_to_set(self) -> None:
        with pytest.raises(WeightsError, match="set RECOLOR_CACHE"):
            find_weights("eccv16.release-v2", offline=True)

    def test_nobodys_home_is_a_name_like_any_other(self) -> None:
        with pytest.raises(WeightsError, match="no weights file"):
            find_weights("~nobody-of-that-name/a.safetensors", offline=True)


class TestOurs:
    @pytest.mark.parametrize("name", list(OURS.entries))
    def test_entries_name_networks_and_spaces_that_exist(self, name: str) -> None:
        entry = OURS.entries[name]
        assert entry.network in (FOREIGN if entry.foreign else MODELS)
        assert entry.color["space"] in SPACES

    @pytest.mark.parametrize("name", list(OURS.entries))
    def test_an_entry_survives_being_written_again(self, name: str) -> None:
        entry = OURS.entries[name]
        assert parse_entry(name, json.loads(json.dumps(entry.to_json()))) == entry

    @pytest.mark.parametrize(
        "name", [name for name, entry in OURS.entries.items() if entry.source == "package"]
    )
    def test_shipped_weights_are_here_and_say_what_their_entry_says(self, name: str) -> None:
        entry = OURS.entries[name]
        assert cached_path(entry) is not None
        model = load_model(name, offline=True)
        card = model.card
        assert model.sha256 == entry.sha256
        assert (card.network, dict(card.arguments), dict(card.color), card.input_size) == (
            entry.network,
            dict(entry.arguments),
            dict(entry.color),
            entry.input_size,
        )
        assert sum(p.numel() for p in model.network.parameters()) == entry.parameters

    def test_the_published_checkpoints_have_names(self) -> None:
        for name in (
            "ddcolor.modelscope",
            "ddcolor.paper",
            "ddcolor.artistic",
            "ddcolor-tiny.paper",
            "eccv16",
            "siggraph17",
            "deoldify.artistic",
            "deoldify.stable",
        ):
            assert OURS.get(name) is not None

    def test_hashes_are_distinct(self) -> None:
        hashes = [entry.sha256 for entry in OURS.entries.values()]
        assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "ftp"),
        ("source", None),
        ("repo_id", "colours"),
        ("repo_id", "../etc/x"),
        ("repo_id", "a/b/c"),
        ("revision", "main"),
        ("revision", "0" * 39),
        ("revision", "A" * 40),
        ("file", "../../model.safetensors"),
        ("file", "a/../../model.safetensors"),
        ("file", "/etc/model.safetensors"),
        ("file", "C:\\model.safetensors"),
        ("file", "C:/model.safetensors"),
        ("file", "a\\..\\model.safetensors"),
        ("file", "./model.safetensors"),
        ("file", "a//model.safetensors"),
        ("file", "~/model.safetensors/"),
        ("file", "model.pickle"),
        ("file", "model\x00.safetensors"),
        ("file", "model\n.safetensors"),
        ("file", ""),
        ("file", 3),
        ("sha256", "g" * 64),
        ("sha256", "a" * 63),
        ("sha256", "A" * 64),
        ("sha256", None),
        ("bytes", 0),
        ("bytes", -1),
        ("bytes", "10"),
        ("bytes", True),
        ("network", ""),
        ("network", None),
        ("arguments", []),
        ("color", {}),
        ("color", {"space": "lab", "gamma": 2}),
        ("color", {"space": "lab-bins", "temperature": 0}),
        ("color", {"space": "lab-bins", "temperature": True}),
        ("color", {"space": "lab-bins", "broad_temperature": 0}),
        ("color", {"space": "lab-bins", "wide_temperature": 1}),
        ("input_size", 8),
        ("input_size", 5000),
        ("input_size", 256.0),
        ("parameters", 0),
        ("license", ""),
        ("license", "two\nlines"),
        ("trained_on", ""),
        ("recipe", ""),
        ("metrics", {"psnr": "24"}),
        ("metrics", {"psnr": float("nan")}),
        ("metrics", [24]),
        ("note", None),
        ("note", " padded"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(field: str, value: Any) -> None:
    with pytest.raises(WeightsError, match=rf"'some.name': {field} is ") as caught:
        parse_entry("some.name", valid() | {field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", list(valid()))
def test_a_missing_field_is_named(field: str) -> None:
    entry = valid()
    del entry[field]
    with pytest.raises(WeightsError, match=rf"'some.name'.*{field}"):
        parse_entry("some.name", entry)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "has no use for the field 'colour'"),
        ({"url": "https://x.org/a.pth"}, "has no use for the field 'url'"),
        ({"source": "package"}, "has no use for the field 'repo_id'"),
        ({"bytes": None}, "bytes is null, and note must say why"),
    ],
)
def test_fields_that_do_not_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse_entry("some.name", valid() | changes)


def url_entry(**changes: Any) -> dict[str, Any]:
    entry = valid() | {"source": "url", "url": "https://example.org/a.pth", "file": "a.pth"}
    del entry["repo_id"], entry["revision"]
    return entry | changes


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a.pth", "file:///etc/passwd", "https://user:pw@example.org/a", "x", None],
)
def test_only_plain_https(url: Any) -> None:
    assert parse_entry("a.b", url_entry()).url == "https://example.org/a.pth"
    with pytest.raises(WeightsError, match=r"url is .*; it must be an https address"):
        parse_entry("a.b", url_entry(url=url))


def test_a_web_file_gets_a_plain_name() -> None:
    with pytest.raises(WeightsError, match=r"must be a plain file name"):
        parse_entry("a.b", url_entry(file="c/a.pth"))


def test_a_pickle_is_never_shipped() -> None:
    entry = valid() | {"source": "package", "file": "a.pth"}
    del entry["repo_id"], entry["revision"]
    with pytest.raises(WeightsError, match=r"only safetensors files are shipped"):
        parse_entry("a.b", entry)


@pytest.mark.parametrize("name", ["nodot", "a b.c", "../a.b", "A.b", "a.", ".b", "a.b/c", ""])
def test_names_look_like_network_and_tag(name: str) -> None:
    with pytest.raises(WeightsError, match=r"is no name for weights"):
        parse_entry(name, valid())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "exactly the keys"),
        ({"weights": {}}, "exactly the keys"),
        ({"default": None, "weights": []}, "must map names"),
        ({"default": "a.b", "weights": {}}, "'default' is 'a.b', which has no entry"),
        ({"default": None, "weights": {"a.b": 3}}, "'a.b' must be a table"),
    ],
)
def test_the_list_as_a_whole(content: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse_manifest(content)


@pytest.mark.parametrize("text", ["", "{", '{"default": null, "default": 1}', "\x00"])
def test_a_damaged_list_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=r"cannot read the list of weights '.*weights.json'"):
        read_manifest(path)


class TestNames:
    LIST = parse_manifest(
        {
            "default": "unet.base",
            "weights": {"unet.base": valid(), "unet.gan": valid(), "zhang.old": valid()},
        }
    )

    def test_default_and_a_networks_only_weights(self) -> None:
        assert self.LIST.require("default").name == "unet.base"
        assert self.LIST.require("zhang").name == "zhang.old"
        assert self.LIST.require("unet.gan").name == "unet.gan"

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("unet", "did you mean 'unet.base' or 'unet.gan'?"),
            ("unet.bose", "did you mean 'unet.base'"),
            ("qqqqqq", "'qqqqqq'; 'recolor models list' shows all"),
        ],
    )
    def test_unknown_names_get_a_hint(self, name: str, hint: str) -> None:
        with pytest.raises(WeightsError) as caught:
            find_weights(name, manifest=self.LIST)
        assert hint in str(caught.value)

    def test_no_default(self) -> None:
        with pytest.raises(WeightsError, match=r"names no default weights; pass --model"):
            find_weights("default", manifest=Manifest(None, {}))


class TestPlaces:
    def test_the_clone_uses_the_file_at_the_root(self, repository: Path) -> None:
        assert manifest_path() == repository / "weights.json"

    def test_a_wheel_uses_the_file_beside_the_package(self, tmp_path: Path) -> None:
        """The package without its repository, as pip leaves it."""
        import recolor_cli.weights as package

        installed = tmp_path / "site-packages"
        source = Path(package.__file__).parents[1]
        skip = shutil.ignore_patterns("__pycache__", "pretrained")
        shutil.copytree(source, installed / "recolor_cli", ignore=skip)
        shutil.copy(source.parent / "weights.json", installed / "recolor_cli")
        program = "from recolor_cli.weights.manifest import manifest_path; print(manifest_path())"
        answer = subprocess.run(
            [sys.executable, "-c", program],
            cwd=installed,
            env={"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == str(installed / "recolor_cli" / "weights.json")

    def test_another_list_by_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "mine.json"
        path.write_text(json.dumps({"default": "a.b", "weights": {"a.b": valid()}}))
        monkeypatch.setenv(MANIFEST_VARIABLE, str(path))
        assert list(read_manifest().entries) == ["a.b"]
        monkeypatch.setenv(MANIFEST_VARIABLE, str(tmp_path / "none.json"))
        with pytest.raises(WeightsError, match=r"is missing: no file .*; correct RECOLOR_WEIGHTS"):
            read_manifest()


class TestPaths:
    """Files and run folders that the user points at."""

    def test_a_run_folder_gives_its_best_weights(self, tmp_path: Path) -> None:
        for place in ("last", "best"):
            file = tmp_path / "run" / place / "model.safetensors"
            file.parent.mkdir(parents=True)
            file.write_bytes(place.encode())
            found = find_weights(tmp_path / "run", manifest=Manifest(None, {}))
            assert (found.path, found.name) == (file, "run")

    def test_an_empty_folder_and_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"holds no weights: no model.safetensors"):
            find_weights(tmp_path)
        with pytest.raises(WeightsError, match=r"no weights file or run folder"):
            find_weights(tmp_path / "model.safetensors")

    def test_shipped_weights_that_are_gone_or_damaged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = valid() | {"source": "package"}
        del entry["repo_id"], entry["revision"]
        manifest = parse_manifest({"default": "a.b", "weights": {"a.b": entry}})
        monkeypatch.setattr("recolor_cli.weights.find.PACKAGE", tmp_path)
        with pytest.raises(WeightsError, match=r"is missing; install recolor again"):
            find_weights(manifest=manifest)
        (tmp_path / "pretrained").mkdir()
        (tmp_path / "pretrained" / "model.safetensors").write_bytes(b"0123456789")
        with pytest.raises(WeightsError, match=r"are damaged: its sha256 is .*install recolor"):
            find_weights(manifest=manifest)
