"""Pomona's command line: read it, open the engine, serve the page until told to stop."""

import argparse
import errno
import functools
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr

from engine import Engine, Settings, __version__
from engine.access import Access
from engine.errors import EngineError
from engine.guests import Guests
from engine.library.folder import describe_folder
from engine.log import set_up_logging
from engine.passwords import make_password, read_password
from engine.quotas import GuestLimits
from engine.settings import GUIDE_ID
from ui.app import build_app, launch_options
from ui.edges import hang_up, keep_uploads_in, rest_between_polls
from ui.guard import visitor_now
from ui.hosts import Hosts
from ui.openai_api import openai_routes
from ui.serving import behind_gate
from ui.sharing import Sharing
from ui.tunnel import Tunnel

DEFAULT_PORT = 7860
EXIT_TIMEOUT_S = 4.0
SHARE_HOURS = 24.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"pomona: {message}\n")


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use 0 to 65535")
    return port


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= 8760:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of hours up to 8760")
    return hours


def _folder(text: str) -> Path:
    path = os.path.expanduser(text)
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError("a folder needs a name")
    if os.path.exists(path) and not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{text[:120]!r} is a file, not a folder")
    return Path(path)


def build_parser() -> argparse.ArgumentParser:
    """The command line, as the README documents it."""
    parser = _Parser(
        prog="pomona", description="Find, download and chat with MLX language models.",
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 picks a free port")
    parser.add_argument("--share", action="store_true", help="make a public link")
    parser.add_argument("--model", metavar="REPO_OR_PATH", help="the model to start with")
    parser.add_argument("--models-dir", type=_folder, metavar="DIR", help="where models live")
    parser.add_argument("--data-dir", type=_folder, metavar="DIR", help="where Pomona keeps data")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--owner-password-file", metavar="F", help="the owner's password")
    parser.add_argument("--guest-model", metavar="REPO", action="append", default=[],
                        help="a model that guests may use; repeatable")  # fmt: skip
    parser.add_argument("--behind-proxy", metavar="NAME", action="append", default=[],
                        help="the host name of a proxy that serves this; repeatable")  # fmt: skip
    parser.add_argument("--guest-hours", type=_hours, metavar="H", help="when guests' time ends")
    parser.add_argument("--version", action="version", version=f"Pomona {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run Pomona; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    password = _password(parser, args)
    extra_models, default_model = _chosen_model(parser, args.model)
    settings = Settings.from_environment(
        models_dir=args.models_dir, data_dir=args.data_dir, extra_models=extra_models
    )
    set_up_logging(settings.log_dir)
    try:
        engine = Engine.open(settings)
        keep_uploads_in(settings.cache_dir / "uploads")
    except OSError as error:
        parser.error(f"cannot use the folder {str(error.filename)[:120]}: {error.strerror}")
    if default_model not in engine.library.names():
        parser.error(
            f"no model {default_model[:120]!r} on this computer: --model takes a name or a folder"
        )
    hours = args.guest_hours or (SHARE_HOURS if args.share else None)
    access = Access(password, None if hours is None else time.time() + hours * 3600)
    hosts = Hosts(args.host, args.behind_proxy)
    sharing = _sharing(parser, args, engine, access, hosts) if access.is_shared else None
    port = _bind(parser, args.host, args.port)
    if password and args.owner_password_file is None:
        print(f"The owner's password, until this Pomona ends: {password}", file=sys.stderr)
    demo = build_app(engine, default_model, access, sharing)
    options = launch_options(behind_gate(access, hosts, sharing))
    serving = _Serving(engine, demo, options, default_model, args.host, port, sharing)
    return _serve(serving, not args.no_browser)


def _password(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str | None:
    """The owner's; None where nothing lets others reach the page, and nobody needs to sign in."""
    if args.owner_password_file is None:
        is_shared = args.share or args.behind_proxy or args.guest_model or args.guest_hours
        return make_password() if is_shared or args.host not in _LOOPBACK else None
    name = args.owner_password_file[:120]
    try:
        return read_password(Path(os.path.expanduser(args.owner_password_file)))
    except OSError as error:
        parser.error(f"cannot read the password file {name!r}: {error.strerror}")
    except ValueError as error:
        parser.error(f"the password file {name!r} is no good: {error}")


def _sharing(
    parser: argparse.ArgumentParser, args: argparse.Namespace, engine: Engine, access: Access,
    hosts: Hosts,
) -> Sharing:  # fmt: skip
    """What guests may use: the models named, the Guide where none is; and the link to it."""
    for model in args.guest_model:
        if model not in engine.library.names():
            parser.error(f"no model {model[:120]!r} on this computer for --guest-model")
    pinned = tuple(dict.fromkeys(args.guest_model)) or (GUIDE_ID,)
    guests = Guests(engine, pinned, GuestLimits(), visitor_now)
    tunnel = Tunnel(engine.settings.cache_dir / "link") if args.share else None
    return Sharing(access, guests, hosts, tunnel)


def _chosen_model(
    parser: argparse.ArgumentParser, chosen: str | None
) -> tuple[tuple[Path, ...], str]:
    """Folders to add to the library, and the name of the model to start with."""
    if chosen is None:
        return (), GUIDE_ID
    path = Path(os.path.expanduser(chosen))
    if not os.path.isdir(path):  # unlike Path.is_dir, it takes names of any length
        return (), chosen
    try:
        describe_folder(path)
    except EngineError as error:
        parser.error(error.text)
    return (path.resolve(),), path.resolve().name


def _bind(parser: argparse.ArgumentParser, host: str, port: int) -> int:
    """A port that can be served on; exits 2 when the one asked for cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        parser.error(f"{host!r} is not an address of this computer")
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                parser.error(f"cannot serve on {host} port {port}: {error.strerror}")
        probe.close()
    with socket.socket(family) as probe:
        probe.bind((address[0], 0, *address[2:]))
        parser.error(f"port {port} is busy; port {probe.getsockname()[1]} is free: use --port")


@dataclass(frozen=True)
class _Serving:
    """What is served, and where."""

    engine: Engine
    demo: gr.Blocks
    options: dict[str, Any]
    default_model: str
    host: str
    port: int
    sharing: Sharing | None


def _reach_loopback_directly() -> None:
    """Gradio asks its own server at the start, which a proxy cannot answer."""
    hosts = ",".join(filter(None, (os.environ.get("NO_PROXY"), os.environ.get("no_proxy"))))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, (hosts, *_LOOPBACK)))


def _serve(this: _Serving, open_browser: bool) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit status is 0 then."""
    told_to_stop = _hear_signals()
    engine, demo, host, port = this.engine, this.demo, this.host, this.port
    rest_between_polls(demo)
    _reach_loopback_directly()
    server, _, _ = demo.launch(
        server_name=host, server_port=port, prevent_thread_lock=True, **this.options
    )
    routes = openai_routes(engine, functools.partial(hang_up, demo.server))
    server.router.routes.insert(0, routes)  # before Gradio's pages of any name
    engine.inference.start()
    engine.inference.load(this.default_model)
    shown_host = f"[{host}]" if ":" in host else host
    print(f"Pomona is ready on http://{shown_host}:{port}", flush=True)
    if open_browser:
        webbrowser.open(
            f"http://localhost:{port}" if host in _LOOPBACK else f"http://{host}:{port}"
        )
    if this.sharing is not None:
        threading.Thread(target=_open_link, args=(this,), name="pomona-link", daemon=True).start()
    told_to_stop.recv(1)
    _end_after(EXIT_TIMEOUT_S)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    demo.server.force_exit = demo.server.should_exit = True
    if this.sharing is not None:
        this.sharing.close()
    engine.close()
    return 0


def _open_link(this: _Serving) -> None:
    """Make the link while the page is served already, and say what came of it."""
    assert this.sharing is not None
    host = "127.0.0.1" if this.host in ("0.0.0.0", "localhost") else this.host
    try:
        if url := this.sharing.open_link(host, this.port):
            print(f"Shared on {url}", file=sys.stderr, flush=True)
    except EngineError as error:
        print(f"No link: {error.text}", file=sys.stderr, flush=True)


def _hear_signals() -> socket.socket:
    """What can be read from once Ctrl-C or SIGTERM came, however soon.

    The system writes there by itself. An event set by a handler is missed for ever when the signal
    comes just before the main thread falls asleep.
    """
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: None)
    return heard


def _end_after(seconds: float) -> None:
    """Make sure that nothing keeps the process alive for longer than this."""
    timer = threading.Timer(seconds, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
