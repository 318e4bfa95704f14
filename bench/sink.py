"""A quick SMTP sink in a process of its own: takes mail, answers as told, and keeps a line for each mail it took.

    python -m bench.sink KEEP [--delay SECONDS] [--fail PERCENT] [--hang-up] [--port N]

It prints its port. KEEP gets `recipient message-id link sha256` for each 250. `--fail` refuses that share of mails at
their first attempt with 451; `--hang-up` closes the line right behind each 250; `--delay` is the time a mail takes.
Several thousand mails a second, which aiosmtpd does not reach. To mute@... it never answers; to drip@... a byte a second.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import quopri
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_ID = re.compile(rb"(?im)^Message-ID: (\S+)")
_LINK = re.compile(rb"https?://\S+/portal/\S+")
_OK, _TAKEN, _BYE = b"250 ok\r\n", b"250 taken\r\n", b"221 bye\r\n"


class _Line(asyncio.Protocol):
    """One connection. Pipelining and line ends are taken as they come; what came together is answered together."""

    def __init__(self, options: argparse.Namespace, kept: IO[bytes], failed: set[bytes]) -> None:
        self.options, self.kept, self.failed = options, kept, failed
        self.buffer, self.recipient, self.in_data, self.stuck = b"", b"", False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        answers = b""
        while not self.stuck:
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            found, ending, rest = self.buffer.partition(end)
            if not ending:
                break
            self.buffer = rest
            answers += self.content(found) if self.in_data else self.command(found)
        if answers:
            self.transport.write(answers)
        if answers.endswith(_BYE) or (self.options.hang_up and answers.endswith(_TAKEN)):
            self.transport.close()

    def command(self, line: bytes) -> bytes:
        word = line[:4].upper()
        if word == b"RCPT":
            self.recipient = line.partition(b"<")[2].partition(b">")[0]
            self.stuck = self.recipient.startswith((b"mute@", b"drip@"))
            if self.stuck and self.recipient.startswith(b"drip@"):
                asyncio.get_running_loop().call_later(1, self.drip)
            return b"" if self.stuck else _OK
        if word == b"DATA":
            self.in_data = True
            return b"354 go on\r\n"
        if word == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        return _BYE if word == b"QUIT" else _OK

    def drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"2")
            asyncio.get_running_loop().call_later(1, self.drip)

    def content(self, raw: bytes) -> bytes:
        self.in_data = False
        if self.options.delay:
            asyncio.get_running_loop().call_later(self.options.delay, self.late, raw)
            return b""
        return self.answer(raw)

    def late(self, raw: bytes) -> None:
        answer = self.answer(raw)
        self.transport.write(answer)
        if self.options.hang_up and answer == _TAKEN:
            self.transport.close()

    def answer(self, raw: bytes) -> bytes:
        found = _ID.search(raw)
        message_id = found[1] if found else b"-"
        if self.options.fail and message_id not in self.failed:
            share = int.from_bytes(hashlib.sha256(message_id).digest()[:4], "big") % 100
            if share < self.options.fail:
                self.failed.add(message_id)
                return b"451 4.3.0 not now\r\n"
        line = [self.recipient, message_id]
        if self.options.links:
            text = quopri.decodestring(raw.split(b"text/html", 1)[0])
            link = _LINK.search(text)
            line += [link[0] if link else b"-", hashlib.sha256(raw).hexdigest().encode()]
        self.kept.write(b" ".join(line) + b"\n")
        return _TAKEN


async def _serve(options: argparse.Namespace) -> None:
    failed: set[bytes] = set()
    with options.keep.open("ab", buffering=0) as kept:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Line(options, kept, failed), "127.0.0.1", options.port)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


@dataclass(frozen=True)
class Taken:
    """A mail the sink said 250 to."""

    recipient: str
    message_id: str
    link: str = ""
    digest: str = ""


@dataclass
class Sink:
    """A running sink."""

    port: int
    keep: Path
    _counted: int = 0
    _read: int = 0  # bytes of `keep`

    def taken(self) -> list[Taken]:
        """What it took so far."""
        return [Taken(*line.split(" ")) for line in self.keep.read_text().split("\n")[:-1]]

    def count(self) -> int:
        """How many it took so far."""
        with self.keep.open("rb") as kept:
            kept.seek(self._read)
            more = kept.read()
        self._read += len(more)
        self._counted += more.count(b"\n")
        return self._counted

    @property
    def settings(self) -> dict[str, str]:
        """The product's settings that send there."""
        return {
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": str(self.port),
            "MAIL_DEFAULT_SENDER": "portal@example.com",
        }


@contextmanager
def running_sink(
    keep: Path, *, delay: float = 0, fail: int = 0, hang_up: bool = False, links: bool = True
) -> Iterator[Sink]:
    """A sink in a process of its own, ended with the block."""
    keep.touch()
    command = [sys.executable, "-m", "bench.sink", str(keep), "--delay", str(delay), "--fail", str(fail)]
    command += ["--hang-up"] * hang_up + ["--no-links"] * (not links)
    home = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=home) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()), keep)
        finally:
            process.kill()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("keep", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--fail", type=int, default=0)
    parser.add_argument("--hang-up", action="store_true")
    parser.add_argument("--no-links", dest="links", action="store_false")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
