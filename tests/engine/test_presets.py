"""Presets are kept, checked when read, and exchanged as JSON."""

import json
from pathlib import Path

import pytest

from engine.errors import InvalidRequest, PresetFailed
from engine.presets import (
    MAX_PRESETS,
    Presets,
    export_presets,
    parse_presets,
    read_presets,
)
from engine.records import SamplingParams

PIRATE = SamplingParams(temperature=1.2, system_prompt="Talk like a pirate", stop=("END",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "presets.json"


def test_a_preset_is_there_after_a_restart_and_gone_when_deleted(path: Path) -> None:
    presets = Presets(path)
    presets.save("  Pirate \n talk ", PIRATE)
    presets.save("calm", SamplingParams(temperature=0.1))
    again = Presets(path)
    assert [preset.name for preset in again.list()] == ["calm", "Pirate talk"]
    assert again.find("Pirate talk").params == PIRATE
    again.delete("calm")
    assert [preset.name for preset in Presets(path).list()] == ["Pirate talk"]
    with pytest.raises(PresetFailed):
        again.find("calm")


def test_saving_under_a_name_again_replaces_what_was_there(path: Path) -> None:
    presets = Presets(path)
    presets.save("one", PIRATE)
    presets.save("one", SamplingParams(max_tokens=7))
    assert [preset.params.max_tokens for preset in presets.list()] == [7]


def test_what_is_exported_comes_in_again_beside_what_is_there(path: Path, tmp_path: Path) -> None:
    presets = Presets(path)
    presets.save("one", PIRATE)
    file = tmp_path / "out.json"
    file.write_text(export_presets(presets.list()), encoding="utf-8")
    assert presets.bring(read_presets(file)) == 1
    assert [preset.name for preset in presets.list()] == ["one", "one 2"]
    assert presets.find("one 2").params == PIRATE


@pytest.mark.parametrize("text", (
    "", "[]", "{}", '{"format": "pomona-presets"}', '{"format": "pomona-presets", "version": 9}',
    '{"format": "pomona-presets", "version": 1, "presets": [1]}',
    '{"format": "pomona-presets", "version": 1, "presets": [{"name": " ", "settings": {}}]}',
    '{"format": "pomona-presets", "version": 1, "presets": [{"name": "x", "settings": []}]}',
    '{"format": "pomona-presets", "version": 1,'
    ' "presets": [{"name": "x", "settings": {"temperature": 9}}]}',
    '{"format": "pomona-presets", "version": 1, "presets": [{"name": "x", "se',
))  # fmt: skip
def test_a_file_that_is_not_ours_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(PresetFailed) as refused:
        parse_presets(text)
    assert refused.value.message.endswith((".", "empty"))


def test_a_file_that_cannot_be_read_is_kept_aside_and_told_of(path: Path) -> None:
    path.write_text("{broken", encoding="utf-8")
    presets = Presets(path)
    assert presets.list() == () and "kept as presets.json.broken-" in presets.tell_problem()
    assert presets.tell_problem() == ""
    assert [one.read_text() for one in path.parent.glob("presets.json.broken-*")] == ["{broken"]
    presets.save("one", PIRATE)
    assert Presets(path).find("one").params == PIRATE


def test_a_full_list_and_a_folder_that_refuses_change_nothing(path: Path) -> None:
    presets = Presets(path)
    text = export_presets([])
    entries = [{"name": str(number), "settings": {}} for number in range(MAX_PRESETS)]
    presets.bring(parse_presets(json.dumps({**json.loads(text), "presets": entries})))
    with pytest.raises(PresetFailed, match=str(MAX_PRESETS)):
        presets.save("one more", PIRATE)
    presets.delete("0")
    gone = Presets(path.parent / "no folder" / "presets.json")
    with pytest.raises(PresetFailed, match="could not be saved"):
        gone.save("one", PIRATE)
    assert gone.list() == () and len(presets.list()) == MAX_PRESETS - 1


def test_settings_that_no_request_could_carry_are_not_kept(path: Path) -> None:
    with pytest.raises(InvalidRequest):
        Presets(path).save("one", SamplingParams(temperature=9.0))
    with pytest.raises(PresetFailed):
        Presets(path).save(" ", PIRATE)
