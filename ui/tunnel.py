"""The share link: Gradio's tunnel, with its program checked before every run.

Gradio checks the program's hash only right after it has downloaded it, and leaves a wrong one where
the next start runs it unchecked (``gradio.tunneling.Tunnel.download_binary``). Here a program is in
its place only once its hash was right, it is hashed again before each run, and one without a known
hash is never run. It gets no environment, so no token either.
"""

import hashlib
import logging
import os
import re
import secrets
import subprocess
import threading
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from gradio import networking, tunneling

from engine.errors import LinkFailed

TIMEOUT_S = 30.0
MOST_PROGRAM_BYTES = 100_000_000
_STARTED = re.compile(r"start proxy success: (\S+)")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_OFFLINE = "Check the network, or serve it yourself with --host."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TunnelService:
    """Where the tunnel's program and server come from. ``sha256`` is empty where none is known."""

    api_url: str
    program_url: str
    sha256: str

    @classmethod
    def of_gradio(cls) -> "TunnelService":
        """The service that Gradio runs, with the hashes that Gradio ships."""
        url = tunneling.BINARY_URL
        return cls(networking.GRADIO_API_SERVER, url, tunneling.CHECKSUMS.get(url, ""))


class Tunnel:
    """One link at a time to a port of this computer. Its files are kept in ``folder``."""

    def __init__(self, folder: Path, service: TunnelService | None = None) -> None:
        self._folder = folder
        self._service = service or TunnelService.of_gradio()
        self._process: subprocess.Popen[str] | None = None

    def open(self, host: str, port: int) -> str:
        """Make a link; returns its address. Raises LinkFailed."""
        try:
            program = self._program()
            server, certificate = self._server()
        except httpx.HTTPError as error:
            raise LinkFailed("The link's server cannot be reached.", _OFFLINE) from error
        except OSError as error:
            raise LinkFailed(
                "The link's program cannot be kept on this disk.", str(error.strerror)
            ) from error
        self._process = subprocess.Popen(
            [
                str(program), "http", "-n", secrets.token_urlsafe(32), "-l", str(port), "-i", host,
                "--uc", "--sd", "random", "--ue", "--server_addr", server, "--disable_log_color",
                "--tls_enable", "--tls_trusted_ca_file", str(certificate),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={"PATH": os.defpath}, cwd=self._folder,
        )  # fmt: skip
        said: Future[str] = Future()
        threading.Thread(
            target=_listen, args=(self._process, said), name="pomona-tunnel", daemon=True
        ).start()
        try:
            name = urlsplit(said.result(TIMEOUT_S)).hostname or ""
        except Late:
            name = ""
        if not _NAME.fullmatch(name):
            self.close()
            raise LinkFailed("The link's server gave no link.", _OFFLINE)
        return f"https://{name}"

    def close(self) -> None:
        """End the link. Twice is once."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _program(self) -> Path:
        """The program, downloaded if need be; what is returned has the right hash."""
        if not self._service.sha256:
            raise LinkFailed("There is no program for links that is known to be right for this"
                             " computer.", "Serve it yourself with --host.")  # fmt: skip
        self._folder.mkdir(parents=True, exist_ok=True)
        program = self._folder / f"frpc-{self._service.sha256[:16]}"
        if program.exists() and _sha256(program) == self._service.sha256:
            return program
        program.unlink(missing_ok=True)
        draft = program.with_suffix(".draft")
        try:
            _fetch(self._service.program_url, draft)
            if _sha256(draft) != self._service.sha256:
                raise LinkFailed(
                    "The link's program is not the one that Gradio vouches for, and was not run.",
                    "Try again later, or serve it yourself with --host.",
                )
            draft.chmod(0o700)
            draft.replace(program)
        finally:
            draft.unlink(missing_ok=True)
        return program

    def _server(self) -> tuple[str, Path]:
        """(address of the server, the certificate that it must show)."""
        answer = httpx.get(self._service.api_url, timeout=TIMEOUT_S).raise_for_status()
        try:
            found = answer.json()[0]
            host, port, certificate = found["host"], int(found["port"]), found["root_ca"]
        except (ValueError, TypeError, LookupError) as error:
            raise LinkFailed("The link's server gave no link.", _OFFLINE) from error
        if not isinstance(certificate, str) or not _NAME.fullmatch(str(host)):
            raise LinkFailed("The link's server gave no link.", _OFFLINE)
        path = self._folder / "certificate.pem"
        path.write_text(certificate, encoding="utf-8")
        return f"{host}:{port}", path


def _fetch(url: str, path: Path) -> None:
    with httpx.stream("GET", url, timeout=TIMEOUT_S, follow_redirects=True) as answer:
        answer.raise_for_status()
        left = MOST_PROGRAM_BYTES
        with path.open("wb") as file:
            for chunk in answer.iter_bytes():
                left -= len(chunk)
                if left < 0:
                    raise LinkFailed("The link's program is far too large.", _OFFLINE)
                file.write(chunk)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listen(process: Any, said: "Future[str]") -> None:
    """Read what the program says as long as it lives; the first link that it names is the one."""
    for line in process.stdout:
        if not said.done() and (found := _STARTED.search(line[:2_000])):
            said.set_result(found[1])
    process.stdout.close()
    try:
        said.set_result("")
    except InvalidStateError:
        logger.warning("The link has ended: its program stopped.")
