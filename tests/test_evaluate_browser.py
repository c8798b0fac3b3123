"""The judging page in a real browser, from file://, driven by its keys."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from evaluate_fixtures import folder_of

from recolor_cli.evaluate.colouring import LeftGrey
from recolor_cli.evaluate.judge import export_study
from recolor_cli.evaluate.protocols import PROTOCOLS
from recolor_cli.evaluate.sources import truths
from recolor_cli.evaluate.votes import count_votes

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

# Types what a person types, and leaves in the page what a person would see and save.
DRIVER = """
<script>
function press(key) {
  if (key.startsWith("#")) document.querySelector(key).click();
  else document.dispatchEvent(new KeyboardEvent("keydown", { key: key }));
}
HTMLAnchorElement.prototype.click = () => {};  // a download would keep the browser from ending
window.seen = [];
document.getElementById("judge").value = "Zoë";
press("Enter");
for (const key of @KEYS@) {
  window.seen.push(document.getElementById("progress").textContent);
  press(key);
}
const output = document.createElement("pre");
output.id = "output";
output.textContent = JSON.stringify({
  votes: JSON.parse(result()), seen: window.seen,
  ended: !document.getElementById("end").hidden,
  question: document.getElementById("question").textContent });
document.body.append(output);
</script>
"""


def type_keys(page: Path, keys: list[str], profile: Path) -> dict[str, object]:
    driven = page.with_name("driven.html")
    driven.write_text(page.read_text() + DRIVER.replace("@KEYS@", json.dumps(keys)))
    dom = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={profile}", "--dump-dom", driven.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    found = re.search(r'<pre id="output">(.*?)</pre>', dom, re.S)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.slow
def test_a_person_can_judge_with_the_keyboard_alone(tmp_path: Path) -> None:
    pairs = truths([folder_of(tmp_path / "true", 4)])
    page = export_study(tmp_path / "judge", pairs, LeftGrey(), PROTOCOLS["native"])
    keys = ["ArrowLeft", "2", "x", "Backspace", "ArrowRight", "1", "ArrowLeft"]
    said = type_keys(page, keys, tmp_path / "profile")
    assert said["seen"] == ["1 / 4", "2 / 4", "3 / 4", "3 / 4", "2 / 4", "3 / 4", "4 / 4"]
    assert said["ended"]
    assert said["question"] == "Which one is the real photograph?"
    votes = said["votes"]
    assert [vote["choice"] for vote in votes["votes"]] == ["left", "right", "left", "left"]
    assert votes["judge"] == "Zoë"
    saved = tmp_path / "judge" / "votes.json"
    saved.write_text(json.dumps(votes))
    (row,) = count_votes([saved])
    assert row.n == 4


@pytest.mark.slow
def test_votes_survive_closing_the_page(tmp_path: Path) -> None:
    pairs = truths([folder_of(tmp_path / "true", 3)])
    page = export_study(tmp_path / "judge", pairs, LeftGrey(), PROTOCOLS["native"])
    first = type_keys(page, ["1"], tmp_path / "profile")
    assert not first["ended"]
    again = type_keys(page, ["2", "2"], tmp_path / "profile")
    assert again["seen"][0] == "2 / 3"
    assert [vote["choice"] for vote in again["votes"]["votes"]] == ["left", "right", "right"]


@pytest.mark.slow
def test_votes_that_were_not_saved_are_not_asked_again(tmp_path: Path) -> None:
    pairs = truths([folder_of(tmp_path / "true", 2)])
    page = export_study(tmp_path / "judge", pairs, LeftGrey(), PROTOCOLS["native"])
    assert type_keys(page, ["1", "2"], tmp_path / "profile")["ended"]
    again = type_keys(page, [], tmp_path / "profile")
    assert again["ended"]
    assert [vote["choice"] for vote in again["votes"]["votes"]] == ["left", "right"]
    saved = type_keys(page, ["Enter"], tmp_path / "profile")
    assert saved["ended"]
    assert type_keys(page, [], tmp_path / "profile")["ended"]
    anew = type_keys(page, ["#anew", "1"], tmp_path / "profile")
    assert [vote["choice"] for vote in anew["votes"]["votes"]] == ["left"]


@pytest.mark.slow
def test_one_can_go_back_without_a_keyboard(tmp_path: Path) -> None:
    pairs = truths([folder_of(tmp_path / "true", 2)])
    page = export_study(tmp_path / "judge", pairs, LeftGrey(), PROTOCOLS["native"])
    clicks = ["#left", "#trial .back", "#right", "#left", "#end .back"]
    said = type_keys(page, clicks, tmp_path / "profile")
    assert not said["ended"]
    assert [vote["choice"] for vote in said["votes"]["votes"]] == ["right"]
