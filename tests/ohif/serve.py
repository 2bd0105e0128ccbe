"""Serves the viewer OHIF for an Orthanc: `python -m tests.ohif.serve http://127.0.0.1:8042`.

OHIF's files come from the npm registry once, into build/ohif. Requests below /dicom-web are passed
on to Orthanc, so that the browser has one origin. The first page shows the newest study of the
Orthanc.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.ohif.packages import OHIF, require_package

HERE = Path(__file__).parent
LOOPBACK = "127.0.0.1"
PORT = 8050
DICOMWEB = "/dicom-web/"
TIMEOUT_SECONDS = 120
# OHIF's decoders share memory, which browsers allow pages with these headers only.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class ViewerHandler(SimpleHTTPRequestHandler):
    """Answers with OHIF's files, our settings of it, or what Orthanc answers."""

    orthanc_url: ClassVar[str]
    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012  the base class declares it without ClassVar
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def do_GET(self) -> None:
        if self.path.startswith(DICOMWEB):
            self._pass_on()
        elif self.path == "/":
            self._lead_to_newest_study()
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """Returns the file of an address; addresses of the viewer's pages are its index."""
        if path.partition("?")[0] == "/app-config.js":
            return str(HERE / "app-config.js")
        found = Path(super().translate_path(path))
        return str(found if found.is_file() else OHIF.folder / "dist" / "index.html")

    def end_headers(self) -> None:
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing: addresses name studies."""

    def _pass_on(self) -> None:
        status, content_type, body = self._ask(self.path)
        self._answer(status, {"Content-Type": content_type}, body)

    def _lead_to_newest_study(self) -> None:
        _, _, body = self._ask("/dicom-web/studies?limit=100")
        studies = [study["0020000D"]["Value"][0] for study in json.loads(body or b"[]")]
        if not studies:
            text = b"Orthanc holds no study."
            self._answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, text)
            return
        viewer = f"/viewer?StudyInstanceUIDs={studies[-1]}"
        self._answer(HTTPStatus.FOUND, {"Location": viewer}, b"")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _ask(self, path: str) -> tuple[int, str, bytes]:
        headers = {"Accept": self.headers.get("Accept", "*/*")}
        request = Request(self.orthanc_url + path, headers=headers)  # noqa: S310  http
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310  http
                return response.status, response.headers["Content-Type"], response.read()
        except HTTPError as error:
            return error.code, "text/plain", error.read()
        except URLError as error:
            return HTTPStatus.BAD_GATEWAY, "text/plain", str(error.reason).encode()


@contextmanager
def serving_viewer(orthanc_url: str, port: int = 0) -> Iterator[str]:
    """Yields the address of a viewer for an Orthanc; it ends with the block.

    Args:
        orthanc_url: Where Orthanc is, without a path.
        port: 0 takes one that is free.
    """

    class Handler(ViewerHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(OHIF.folder / "dist"))  # type: ignore[arg-type]

    Handler.orthanc_url = orthanc_url.rstrip("/")
    with ThreadingHTTPServer((LOOPBACK, port), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.ohif.serve", description="Serves the viewer OHIF for an Orthanc."
    )
    parser.add_argument("orthanc", help="address of Orthanc, such as http://127.0.0.1:8042")
    parser.add_argument("--port", type=int, default=PORT, help=f"of the viewer (default: {PORT})")
    arguments = parser.parse_args()
    try:
        require_package(OHIF)
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))
    with serving_viewer(arguments.orthanc, arguments.port) as url:
        sys.stdout.write(f"The viewer: {url} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        # A shell starts what runs in its background with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
