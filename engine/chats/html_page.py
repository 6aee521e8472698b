"""A conversation as one file of HTML that needs nothing else. No scripts; every text is escaped."""

import html
import re
import time

from engine.chats.attached import attachments_of
from engine.chats.fences import iter_blocks
from engine.chats.records import ChatTree, StoredMessage

_SPEAKERS = {"user": "You", "assistant": "Assistant", "system": "System"}
# What HTML forbids even as a reference, and marks that turn the order of the text around it.
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef]"
)
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 2rem 1rem;
  background: #faf7f0; color: #26241f; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: .85rem; margin: 2rem 0 .25rem; color: #3d6b35; overflow-wrap: anywhere; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre { background: #efe9dc; padding: .75rem; border-radius: .5rem; overflow-x: auto; }
details, .quiet { color: #6b665b; font-size: .9rem; }
@media (prefers-color-scheme: dark) {
  body { background: #1d1c19; color: #ece7db; } pre { background: #2a2823; }
  h2 { color: #a3cc97; } details, .quiet { color: #b0a999; }
}
""".strip()
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
<h1 dir="auto">{title}</h1>
{body}
</main>
</body>
</html>
"""


def html_page(tree: ChatTree) -> str:
    """The shown path as a whole page, with its style in it."""
    sections = []
    if prompt := str(tree.params.get("system_prompt") or "").strip():
        sections.append(_section("System", _blocks(prompt)))
    sections += [_message(message) for message in tree.shown()]
    return _PAGE.format(title=_escaped(tree.title), style=_STYLE, body="\n".join(sections))


def speaker(message: StoredMessage) -> str:
    """Who said it, and with which model, on one line."""
    name = _SPEAKERS.get(message.role, "Assistant")
    model = " ".join(message.model_id.split())
    return f"{name} ({model})" if model and message.role == "assistant" else name


def _message(message: StoredMessage) -> str:
    body = ""
    if message.reasoning.strip():
        inside = _blocks(message.reasoning.strip())
        body += f"<details><summary>Thinking</summary>\n{inside}</details>\n"
    for one in attachments_of(message):
        body += f"<details><summary>{_escaped(one.name)}</summary>\n"
        body += f"<pre><code>{_escaped(one.text)}</code></pre></details>\n"
    body += _blocks(message.text.strip("\n"))
    if message.state != "done":
        body += '<p class="quiet">This answer was cut off.</p>\n'
    if message.created_at:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(message.created_at))
        body += f'<p class="quiet"><time>{at}</time></p>\n'
    return _section(speaker(message), body)


def _section(name: str, body: str) -> str:
    return f"<section>\n<h2>{_escaped(name)}</h2>\n{body}</section>"


def _blocks(text: str) -> str:
    """Code in boxes of its own; everything else as it was typed."""
    shown = ""
    for is_code, piece in iter_blocks(text):
        if is_code:
            shown += f"<pre><code>{_escaped(piece)}</code></pre>\n"
        elif piece.strip():
            shown += f'<p dir="auto">{_escaped(piece.strip(chr(10)))}</p>\n'
    return shown


def _escaped(text: str) -> str:
    return html.escape(_UNPRINTABLE.sub("\ufffd", text))
