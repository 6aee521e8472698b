"""Folders come from arguments, then from POMONA_*, then from the platform's habits."""

from pathlib import Path

import pytest

from engine.settings import GUIDE_DIR, Settings

HOME = {"HOME": "/home/ada"}


def test_arguments_come_before_the_environment() -> None:
    env = {"POMONA_DATA_DIR": "/env/data", "POMONA_MODELS_DIR": "/env/models"}
    settings = Settings.from_environment(env, models_dir=Path("/a/m"), data_dir=Path("/a/d"))
    assert (settings.models_dir, settings.data_dir) == (Path("/a/m"), Path("/a/d"))


def test_the_environment_comes_before_the_platform() -> None:
    env = {"POMONA_DATA_DIR": "/env/data", "POMONA_MODELS_DIR": "/env/models"}
    settings = Settings.from_environment(env)
    assert (settings.models_dir, settings.data_dir) == (Path("/env/models"), Path("/env/data"))


def test_a_data_folder_of_ones_own_holds_everything() -> None:
    settings = Settings.from_environment({"POMONA_DATA_DIR": "/env/data"})
    folders = (settings.models_dir, settings.cache_dir, settings.log_dir)
    assert {folder.parent for folder in folders} == {Path("/env/data")}


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_counts_as_none(value: str) -> None:
    env = {"POMONA_DATA_DIR": value, "POMONA_MODELS_DIR": value, "HF_HOME": value}
    assert Settings.from_environment(env) == Settings.from_environment({})


@pytest.mark.parametrize("name", ["POMONA_DATA_DIR", "POMONA_MODELS_DIR", "HF_HOME"])
def test_every_folder_is_absolute(name: str) -> None:
    settings = Settings.from_environment({name: "near/by"})
    folders = (settings.data_dir, settings.models_dir, settings.cache_dir, settings.log_dir,
               settings.hf_cache_dir)  # fmt: skip
    assert all(folder.is_absolute() for folder in folders)
    assert any(folder.is_relative_to(Path.cwd() / "near" / "by") for folder in folders)


def test_a_home_of_nobody_is_no_crash() -> None:
    settings = Settings.from_environment({"POMONA_MODELS_DIR": "~no-such-person/models"})
    assert settings.models_dir.name == "models"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "/home/ada/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/hf"}, "/hf/hub"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"}, "/new"),
        ({"HF_HOME": "$DISK/hf", "DISK": "/disk"}, "/disk/hf/hub"),
        ({"HF_HUB_CACHE": "${DISK}/hub", "DISK": "/disk"}, "/disk/hub"),
    ],
)
def test_the_hubs_cache_is_found_as_the_hub_finds_it(env: dict[str, str], expected: str) -> None:
    assert Settings.from_environment({**HOME, **env}).hf_cache_dir == Path(expected)


def test_lm_studio_is_looked_for_at_home() -> None:
    dirs = Settings.from_environment(HOME).lmstudio_dirs
    assert Path("/home/ada/.lmstudio/models") in dirs


def test_the_guide_comes_with_the_program() -> None:
    assert (GUIDE_DIR / "config.json").is_file()
