"""What Discover shows of models that anybody may have named."""

from engine.hub.catalogue import Listing
from engine.hub.score import score_model
from engine.hub.search import RankedModel, haystack_of
from engine.records import ChatReadiness, Fit, ModelSummary, RepoFile, SearchQuery
from ui.format import format_age
from ui.format_discover import (
    HEADERS,
    KEPT,
    format_count,
    format_empty,
    format_files,
    format_source,
    readable_card,
    table_rows,
)

EVIL = '<img src=x onerror="alert(1)">'


def ranked(summary: ModelSummary, fit: Fit = "fits", ready: bool = True) -> RankedModel:
    readiness = ChatReadiness(ready, () if ready else ("It cannot.",))
    score = score_model(summary, fit, readiness, 1.76e9)
    return RankedModel(summary, fit, None, readiness, score, haystack_of(summary))


def row(summary: ModelSummary, installed: bool = False, **about: object) -> dict[str, object]:
    names = {summary.repo_id} if installed else set()
    (cells,) = table_rows([ranked(summary, **about)], names, ["1-0"])  # type: ignore[arg-type]
    return dict(zip(HEADERS, cells, strict=True))


def test_a_row_has_a_badge_for_fit_and_one_for_chat() -> None:
    shown = row(ModelSummary("o/m", parameters=4_000_000_000, weights_bytes=2_263_000_000))
    assert "fits" in str(shown["Fit"]) and "will chat" in str(shown["Chat"])
    assert shown["Parameters"] == "4.0B" and shown["Download"] == "2.3 GB"


def test_an_installed_model_says_so_and_a_gated_one_too() -> None:
    assert "installed" in str(row(ModelSummary("o/m"), installed=True)["Fit"])
    assert "ask first" in str(row(ModelSummary("o/m", is_gated=True), ready=False)["Chat"])
    assert "will not chat" in str(row(ModelSummary("o/m"), ready=False)["Chat"])


def test_what_is_not_known_is_a_dash_and_what_is_guessed_has_a_question_mark() -> None:
    shown = row(ModelSummary("o/m"))
    assert shown["Download"] == "–" and shown["Parameters"] == "–" and shown["Updated"] == "–"
    guessed = ModelSummary("o/m-7B", parameters=7_000_000_000, guessed=("parameters",))
    assert row(guessed)["Parameters"] == "7.0B?"


def test_counts_and_ages_are_short() -> None:
    shown = [format_count(count) for count in (0, 812, 15_300, 999_900, 2_100_000)]
    assert shown == ["0", "812", "15.3K", "1.0M", "2.1M"]
    ages = [format_age(seconds) for seconds in (5, 61, 7_300, 86_400, 1_000_000)]
    assert ages == ["just now", "1 minute ago", "2 hours ago", "1 day ago", "11 days ago"]


def test_the_source_says_where_from_and_how_old_and_what_went_wrong() -> None:
    hub = format_source(Listing("hub", 1000.0, (), found=3), 1000.0)
    assert "3 models" in hub and "Hugging Face Hub, just now" in hub
    old = format_source(Listing("cache", 1000.0, (), "No network."), 8200.0)
    assert "2 hours ago" in old and "No network." in old
    assert "as of 01 Nov 2026" in format_source(Listing("bundled", 1_793_491_200.0, ()), 2e9)


def test_more_than_are_shown_is_said() -> None:
    listing = Listing("hub", 0.0, (ranked(ModelSummary("o/m")),), found=1_432)
    assert "1,432 models, the first 1 shown" in format_source(listing, 1.0)


def test_rows_that_stay_when_the_hub_fails_say_so() -> None:
    shown = format_source(Listing("bundled", 1.0, (), "No network."), 2.0, has_older_rows=True)
    assert "No network." in shown and KEPT in shown


def test_an_empty_list_says_what_to_do() -> None:
    pear = SearchQuery(text="pear")
    assert format_empty(Listing("hub", 0.0, (ranked(ModelSummary("o/m")),)), pear) == ""
    assert "No model matches “pear”" in format_empty(Listing("hub", 0.0, ()), pear)
    assert "2 match “pear” without" in format_empty(Listing("hub", 0.0, (), hidden=2), pear)
    assert "1 matches “pear” without" in format_empty(Listing("hub", 0.0, (), hidden=1), pear)
    assert "5 are there without" in format_empty(Listing("hub", 0.0, (), hidden=5), SearchQuery())
    assert "<img" not in format_empty(Listing("hub", 0.0, ()), SearchQuery(text=EVIL))


def test_markup_in_names_notices_and_files_shows_as_text() -> None:
    for shown in (
        str(row(ModelSummary(EVIL))["Model"]),
        format_source(Listing("hub", 0.0, (), EVIL), 1.0),
        format_files([RepoFile(EVIL, 5)], set()),
    ):
        assert "<img" not in shown and "&lt;img" in shown


def test_a_card_keeps_its_words_and_loses_markup_images_and_front_matter() -> None:
    card = (
        "---\nlicense: mit\n---\n# Title\n<script>alert(1)</script>\n"
        '<div style="position:fixed">over</div>\n![pixel](http://far.example/x.png)\n**bold**'
    )
    text = readable_card(card)
    assert "license" not in text and "far.example" not in text and "<" not in text
    assert "# Title" in text and "**bold**" in text and "over" in text
    assert readable_card("") == "This model has no card."
