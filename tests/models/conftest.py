"""A server on this machine that publishes weight files, and can be made to fail."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision import models

from bench.architectures import ARCHITECTURES


class Publisher:
    """Files by name, and what is done to the next answers: a status, or "cut" in the middle."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[int | str] = []
        self.requests: Counter[str] = Counter()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, stem: str, content: bytes) -> str:
        """Address of the content, under a name that carries its hash as torchvision's do."""
        name = f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        self.files[name] = content
        return f"{self.address}/{name}"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                publisher.requests["HEAD"] += 1
                self.send_response(404)
                self.end_headers()

            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                publisher.requests[name] += 1
                fault = publisher.faults.pop(0) if publisher.faults else None
                content = publisher.files.get(name)
                if isinstance(fault, int) or content is None:
                    self.send_error(fault if isinstance(fault, int) else 404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    found = Publisher()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache of this test alone."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def random_state(name: str) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dict(models.get_model(name, weights=None).state_dict())


def content_of(state: object, folder: Path) -> bytes:
    path = folder / "content.pth"
    torch.save(state, path)
    return path.read_bytes()


@pytest.fixture
def published(
    publisher: Publisher, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Addresses of generated weights of two small architectures, in torchvision's own table."""
    addresses = {}
    for name in ("squeezenet1_1", "shufflenet_v2_x0_5"):
        content = content_of(random_state(name), tmp_path)
        addresses[name] = publisher.publish(name, content)
        member = models.get_model_weights(name)[ARCHITECTURES[name].pinned]
        monkeypatch.setattr(member.value, "url", addresses[name])
    return addresses
