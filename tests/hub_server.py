"""A small server on 127.0.0.1 that speaks what the Hub client needs to download one file.

HEAD and GET of `/{repo}/resolve/{revision}/{file}` with the Hub's headers, ranges, errors by
`X-Error-Code`; and of any other path as a plain file. Uploads: a repository is created and files
arrive in one commit. `faults` is a queue of misbehaviours: each request that matches takes one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """One misbehaviour.

    Attributes:
        status: answer with it instead of the file.
        headers: sent with that status, or in place of the usual ones.
        cut_after: bytes of the body after which the connection closes.
        body: another body in place of the file's, with the file's headers of identity.
        method: which requests it applies to.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    body: bytes | None = None
    method: str = "GET"


@dataclass
class Repo:
    """Commits (40 hex) -> files; branches -> commits; a token if it is private."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None


class HubServer(ThreadingHTTPServer):
    """Repositories, plain files, faults to come, and the requests that were made."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repo] = {}
        self.files: dict[str, bytes] = {}
        self.faults: deque[Fault] = deque()
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, method: str) -> Fault | None:
        with self.lock:
            if self.faults and self.faults[0].method in (method, "*"):
                return self.faults.popleft()
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def do_POST(self) -> None:
        """Create a repository, ask how to upload, commit."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.requests.append((self.command, self.path, None))
        fault = self.server.fault(self.command)
        if fault is not None and fault.status is not None:
            self._error(fault.status, fault.headers)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            repo_id = f"{asked['organization']}/{asked['name']}"
            self.server.repos.setdefault(repo_id, Repo({}))
            self._json({"url": f"{self.server.url}/{repo_id}", "id": repo_id})
        elif self.path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            answers = [{"path": f["path"], "uploadMode": "regular"} for f in files]
            self._json({"files": [a | {"shouldIgnore": False} for a in answers]})
        elif self.path.endswith("/commit/main"):
            self._commit(body)
        else:
            self._error(404, {})

    def _commit(self, body: bytes) -> None:
        repo_id = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        commit = hashlib.sha1(body).hexdigest()
        repo = self.server.repos[repo_id]
        repo.commits[commit], repo.branches["main"] = files, commit
        self._json(
            {"commitUrl": f"{self.server.url}/{repo_id}/commit/{commit}", "commitOid": commit}
        )

    def _json(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, *, send_body: bool) -> None:
        with self.server.lock:
            self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        fault = self.server.fault(self.command)
        if fault is not None and fault.status is not None:
            self._error(fault.status, fault.headers)
            return
        headers: dict[str, str] = {}
        data = self._plain() if "/resolve/" not in self.path else self._from_repo(headers)
        if data is None:
            return
        headers["Accept-Ranges"] = "bytes"
        headers.setdefault("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        if fault is not None:
            headers.update(fault.headers)
            data = data if fault.body is None else fault.body
        status, start = 200, 0
        if (wanted := self.headers.get("Range")) and send_body:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(data):
                self._error(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(data) - start))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if not send_body:
            return
        stop = len(data)
        if fault is not None and fault.cut_after is not None:
            stop = min(stop, start + fault.cut_after)
            self.close_connection = True
        self.wfile.write(data[start:stop])
        self.wfile.flush()

    def _plain(self) -> bytes | None:
        data = self.server.files.get(self.path)
        if data is None:
            self._error(404, {})
        return data

    def _from_repo(self, headers: dict[str, str]) -> bytes | None:
        repo_id, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        repo = self.server.repos.get(repo_id)
        allowed = repo and repo.token in (
            None,
            (self.headers.get("Authorization") or "").removeprefix("Bearer "),
        )
        if repo is None or not allowed:
            self._error(401, {"X-Error-Code": "RepoNotFound"})
            return None
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._error(404, {"X-Error-Code": "RevisionNotFound"})
            return None
        headers["X-Repo-Commit"] = commit
        data = repo.commits[commit].get(file)
        if data is None:
            self._error(404, {"X-Error-Code": "EntryNotFound", **headers})
        return data

    def _error(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def running_hub() -> Iterator[HubServer]:
    """The server, in a thread, until the block ends."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def downloads(server: HubServer) -> list[str]:
    """The methods of the requests for files, in order."""
    return [method for method, path, _ in server.requests if "/api/" not in path]
