"""Pomona's look: warm paper, orchard green, nothing else that shouts."""

from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).resolve().parent.parent / "assets"
STYLE_PATH = ASSETS / "style.css"
LOGO_PATH = ASSETS / "logo.svg"
HEAD_PATH = ASSETS / "head.html"

# Pages of ours that are not Gradio's: the sign-in, and the end of a link.
PLAIN_STYLE = """
:root { color-scheme: light dark; --back: #fbf9f5; --card: #fff; --text: #2d2821; --quiet: #6a6051;
  --line: #d3c9ba; --leaf: #357048; --on-leaf: #fff; }
@media (prefers-color-scheme: dark) { :root { --back: #161310; --card: #1f1b16; --text: #efe9df;
  --quiet: #b0a594; --line: #463f35; --leaf: #8cc79b; --on-leaf: #102117; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; padding: 20px;
  background: var(--back); color: var(--text); font: 15.5px/1.55 ui-sans-serif, system-ui,
  -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: 100%; max-width: 400px; padding: 28px; border: 1px solid var(--line);
  border-radius: 16px; background: var(--card); }
.brand { display: flex; align-items: center; gap: 9px; font-size: 19px; letter-spacing: -.015em; }
.brand svg { width: 28px; height: 28px; }
h1 { margin: 18px 0 4px; font-size: 22px; font-weight: 600; letter-spacing: -.02em; }
p { margin: 0 0 16px; color: var(--quiet); } .note { margin: 12px 0 0; font-size: 13.5px; }
label { display: block; margin-bottom: 6px; font-size: 14px; }
input { width: 100%; padding: 10px 12px; border: 1px solid var(--line); border-radius: 10px;
  background: var(--back); color: inherit; font: inherit; }
button { width: 100%; margin-top: 14px; padding: 10px; border: 0; border-radius: 10px;
  background: var(--leaf); color: var(--on-leaf); font: inherit; font-weight: 600;
  cursor: pointer; }
:is(input, button, a):focus-visible { outline: 2px solid var(--leaf); outline-offset: 2px; }
a { color: var(--leaf); }
"""

# On a phone a panel opens below the list that it belongs to, out of sight.
REVEAL_JS = """() => {
  if (innerWidth > 700) return;
  setTimeout(() => document.getElementById("%s")?.scrollIntoView({ behavior: "smooth" }), 150);
}"""

_SANS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"]

_ORCHARD = gr.themes.Color(
    name="orchard", c50="#f1f7f2", c100="#dfeee2", c200="#c0ddc6", c300="#96c5a1", c400="#66a777",
    c500="#458a59", c600="#357048", c700="#2b5a3b", c800="#244831", c900="#1e3b29", c950="#102117",
)  # fmt: skip
_PAPER = gr.themes.Color(
    name="paper", c50="#fbf9f5", c100="#f4f0e9", c200="#e7e0d5", c300="#d3c9ba", c400="#a79b89",
    c500="#7b7061", c600="#5f5649", c700="#463f35", c800="#2d2821", c900="#1f1b16", c950="#161310",
)  # fmt: skip


_VALUES = {
    "body_background_fill": "#fbf9f5",
    "body_background_fill_dark": "#161310",
    "body_text_color": "#2d2821",
    "body_text_color_dark": "#efe9df",
    "body_text_color_subdued": "#6a6051",
    "body_text_color_subdued_dark": "#b0a594",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "#1f1b16",
    "background_fill_secondary": "#f4f0e9",
    "background_fill_secondary_dark": "#1b1713",
    "block_background_fill": "#ffffff",
    "block_background_fill_dark": "#1f1b16",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_text_color": "#6a6051",
    "block_label_text_color_dark": "#b0a594",
    "border_color_primary": "#e7e0d5",
    "border_color_primary_dark": "#38322a",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#1b1713",
    "input_border_color": "#d3c9ba",
    "input_border_color_dark": "#463f35",
    "input_placeholder_color": "#7b7061",
    "input_placeholder_color_dark": "#a79b89",
    "color_accent": "#357048",
    "color_accent_soft": "#e9f1ea",
    "color_accent_soft_dark": "#233127",
    "button_primary_background_fill": "#357048",
    "button_primary_background_fill_hover": "#2b5a3b",
    "button_primary_background_fill_dark": "#8cc79b",
    "button_primary_background_fill_hover_dark": "#a7d6b3",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#102117",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_dark": "#262119",
    "button_secondary_border_color": "#d3c9ba",
    "button_secondary_border_color_dark": "#463f35",
    "button_border_width": "1px",
    "button_cancel_background_fill": "#fdf1ef",
    "button_cancel_background_fill_dark": "#341c18",
    "button_cancel_text_color": "#a1301b",
    "button_cancel_text_color_dark": "#f0a596",
    "link_text_color": "#2b5a3b",
    "link_text_color_dark": "#9bd0a8",
    "slider_color": "#458a59",
    "slider_color_dark": "#8cc79b",
}


def build_theme() -> gr.themes.Base:
    """The theme, in light and dark."""
    theme = gr.themes.Base(
        primary_hue=_ORCHARD,
        secondary_hue=_ORCHARD,
        neutral_hue=_PAPER,
        radius_size="lg",
        text_size="md",
        font=_SANS,
        font_mono=_MONO,
    )
    return theme.set(**_VALUES)
