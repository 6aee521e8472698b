"""What the gate refuses, whoever asks, and what it tells every browser."""

from collections.abc import Iterator

import httpx
import pytest

from tests.app_process import running_app
from tests.ui.test_guard import PASSWORD


@pytest.fixture(scope="module", params=["alone", "shared"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Pomona for this computer alone, and a shared one as a stranger sees it."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "password").write_text(PASSWORD)
    shared = ["--owner-password-file", str(folder / "password"), "--behind-proxy", "pomona.test"]
    with running_app(folder, shared if request.param == "shared" else []) as app:
        yield app.url


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "",
    "localhost@evil.example", "10.0.0.1", "[::2]", "localhost:1:2", "xn--pomona", "a b",
])  # fmt: skip
def test_a_foreign_host_gets_400(app: str, host: str) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/login", "/nonsense"):
        answer = httpx.get(f"{app}{path}", headers={"host": host}, timeout=30)
        assert answer.status_code == 400, (path, answer.text)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "LOCALHOST", "[::1]:7860"])
def test_this_computer_by_any_of_its_names_is_answered(app: str, host: str) -> None:
    assert httpx.get(f"{app}/config", headers={"host": host}, timeout=30).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "null", "file://", "http://", "x"]
)
def test_another_origin_gets_nothing(app: str, origin: str) -> None:
    for method, path in (
        ("GET", "/"), ("GET", "/config"), ("GET", "/gradio_api/token"),
        ("POST", "/gradio_api/upload"), ("POST", "/gradio_api/queue/join"), ("POST", "/login"),
        ("OPTIONS", "/gradio_api/upload"),
    ):  # fmt: skip
        answer = httpx.request(method, f"{app}{path}", headers={"origin": origin}, timeout=30)
        assert answer.status_code == 403, (path, answer.text)
        assert "access-control-allow-origin" not in answer.headers


def test_our_own_origin_is_served(app: str) -> None:
    answer = httpx.get(f"{app}/config", headers={"origin": app}, timeout=30)
    assert answer.status_code == 200


@pytest.mark.parametrize("mode", ["cors", "no-cors", "websocket"])
def test_a_request_that_another_sites_page_makes_is_refused(app: str, mode: str) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
        assert httpx.get(f"{app}/config", headers=headers, timeout=30).status_code == 403


def test_a_link_on_another_site_may_lead_here(app: str) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert httpx.get(app, headers=headers, timeout=30).status_code == 200


@pytest.mark.parametrize("path", [
    "file=http://127.0.0.1:1/x", "file=https://evil.example/x", "file=HTTP://evil.example/x",
    "file=ftp://evil.example", "file=/etc/passwd", "file=../../../../etc/passwd",
    "file=%2Fetc%2Fpasswd", "file/etc/passwd", "file/http://evil.example/",
    "proxy=https://evil.hf.space/x", "deep_link?session_hash=x", "vibe-code", "monitoring",
    "run-history/buckets", "runs", "profiling/traces", "dev/reload", "token",
])  # fmt: skip
def test_nobody_makes_the_server_fetch_or_read_files(app: str, path: str) -> None:
    answer = httpx.get(f"{app}/gradio_api/{path}", timeout=30)
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert httpx.get(f"{app}/monitoring/summary", timeout=30).status_code == 403


def test_every_answer_tells_browsers_what_this_page_never_does(app: str) -> None:
    for path, status in (("/", 200), ("/config", 200), ("/gradio_api/token", 403)):
        answer = httpx.get(f"{app}{path}", timeout=30)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == status
        for rule in ("img-src 'self' data: blob:", "form-action 'self'", "frame-src 'none'",
                     "frame-ancestors 'none'", "connect-src 'self'"):  # fmt: skip
            assert rule in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_a_proxy_that_was_not_announced_is_refused_with_a_hint(app: str) -> None:
    """Where nothing is shared everybody is the owner, so nobody may come from elsewhere."""
    answer = httpx.get(app, headers={"x-forwarded-for": "203.0.113.9"}, timeout=30)
    is_shared = httpx.get(f"{app}/login", timeout=30).status_code == 200
    assert answer.status_code == (200 if is_shared else 403)
    assert is_shared or "--behind-proxy" in answer.text
