"""Two machines on one PostgreSQL, one bucket and one queue, one of them lost in the middle (bench/drills/README.md).

What deploy/ describes, as it runs there: gunicorn and a worker on each machine, with a data folder of its own, behind a
proxy. Nothing but the settings tells them that there are two.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from bench.sink import Sink, running_sink
from models import db
from tests.support.drill import assert_each_once, finish, size, states, tell, unsent, wait_until
from tests.support.fleet import HOST, Machine, Visitor, fleet
from tests.support.outside import Bucket, running_bucket, running_redis
from tests.support.postgres import Cluster
from tests.support.quick import quick
from tests.support.together import TOKEN, racing_world

pytestmark = [pytest.mark.drill, pytest.mark.postgres, pytest.mark.one_database]
FILE = b"%PDF-1.7 " + bytes(range(256)) * 3000


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with running_sink(tmp_path / "taken", delay=0.01) as sink:
        yield sink


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with running_bucket("fleet") as bucket:
        yield bucket


@pytest.fixture(params=["postgresql", "redis"])
def queue(request: pytest.FixtureRequest) -> str:
    """What carries the wake-ups."""
    return str(request.param)


@pytest.fixture
def queue_setting(queue: str) -> Iterator[dict[str, str]]:
    """The queue's setting; unset it follows the database."""
    with contextlib.ExitStack() as running:
        yield {"QUEUE_URL": running.enter_context(running_redis())} if queue == "redis" else {}


@pytest.fixture
def values(
    cluster: Cluster,
    migrated_template: str,
    sink: Sink,
    bucket: Bucket,
    queue_setting: dict[str, str],
    tmp_path: Path,
) -> Iterator[dict[str, str]]:
    """The settings that all machines share; secrets lie in files."""
    name = f"fleet_{cluster.worker}"
    secrets = {"SECRET_KEY": "the fleet's own key, long enough to be one", "DATABASE_URL": cluster.create(name, migrated_template)}  # fmt: skip
    for secret, text in secrets.items():
        (tmp_path / secret).write_text(f"{text}\n")
    yield {
        **{f"{secret}_FILE": str(tmp_path / secret) for secret in secrets},
        "PORTAL_BASE_URL": f"https://{HOST}",
        "TRUSTED_PROXIES": "1",
        "MAIL_CONNECTIONS": "1",
        "LEASE_SECONDS": "300",
        **sink.settings,
        **bucket.settings,
        **queue_setting,
    }
    cluster.drop(name)


@pytest.fixture
def heir(values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application of this process beside the machines: it makes the firm, counts, and moves the clock."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    app = quick(create_app({"PORTAL_DATA_DIR": tmp_path / "heir"}))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_two_machines_are_one_portal_and_one_is_lost(
    heir: Flask,
    values: dict[str, str],
    sink: Sink,
    bucket: Bucket,
    queue: str,
    tmp_path: Path,
) -> None:
    """It comes back with its disk, and what its relay took is known; or it doesn't, and that comes a second time."""
    comes_back = queue == "postgresql"
    _, client_id = racing_world(heir)
    with fleet(tmp_path, values) as (first, second):
        for machine in (first, second):
            machine.start()
        for machine in (first, second):
            machine.wait_until_up()
        dana = one_session(first, second)
        wrong_passwords_are_counted_together(first, second)
        a_file_of_one_is_read_at_the_other(first, second, dana, client_id, bucket)

        number = size(90, 3000)
        send(dana, first, client_id, range(number // 3))
        send(dana, second, client_id, range(number // 3, number * 2 // 3))
        wait_until(lambda: sink.count() > number // 4, 120, lambda: (states(heir), first.log()))
        connections = count_connections(heir)
        first.kill()
        send(dana, second, client_id, range(number * 2 // 3, number))
        wait_until(lambda: "queued" not in states(heir), 300, lambda: (states(heir), second.log()))
        if comes_back:
            journals = list((first.folder / "data" / "accepted").glob("*.log"))
            first.start()
            first.wait_until_up()
            assert dana.ask(first, "GET", "/clients").status_code == 200
            wait_until(lambda: not any(path.exists() for path in journals), 120, first.log)
            assert first.told_to_stop("portal-worker@.service").wait(60) == 0, first.log()
        begun = time.monotonic()
        an_upload_under_way_ends_before_the_web_part(second, client_id)
        assert second.told_to_stop("portal-worker@.service").wait(60) == 0, second.log()
        took = time.monotonic() - begun
        assert "Traceback" not in second.log()

    claimed = unsent(heir)  # by the lost machine, and taken up again when its lease ends
    finish(heir)
    doubles = assert_each_once(sink, number, duplicates=1 if comes_back else claimed)
    assert states(heir) == {"sent": number}
    tell(
        f"a fleet that loses a machine, {'which comes back' if comes_back else 'for good'}",
        f"postgresql, queue {queue}",
        f"{number} mails: {doubles} twice, 0 lost; {connections} connections; the other ended after {took:.1f} s",
    )


def one_session(first: Machine, second: Machine) -> Visitor:
    """A sign-in page of one machine is sent to the other, and both know who it is from then on."""
    dana = Visitor()
    assert dana.ask(first, "GET", "/clients").status_code in {302, 303}
    assert dana.sign_in(first, second).status_code in {302, 303}
    assert [dana.ask(machine, "GET", "/clients").status_code for machine in (first, second) * 4] == [200] * 8
    return dana


def wrong_passwords_are_counted_together(first: Machine, second: Machine) -> None:
    """Ten wrong ones over both machines, and neither takes an eleventh; another source may."""
    stranger = Visitor("198.51.100.9")
    refused = [
        stranger.sign_in(machine, machine, "not her password").status_code for machine in (first, second) * 6
    ]
    assert refused[10:] == [429, 429], refused
    assert 429 not in refused[:10]
    assert Visitor("192.0.2.44").sign_in(second, first).status_code in {302, 303}


def a_file_of_one_is_read_at_the_other(
    first: Machine, second: Machine, dana: Visitor, client_id: str, bucket: Bucket
) -> None:
    """Uploaded at one, asked for again at the other with the same key, read there; its bytes are in the bucket once."""
    before = bucket.listed()
    answers = [
        dana.call(
            machine,
            "POST",
            f"/clients/{client_id}/files",
            TOKEN,
            headers={"Idempotency-Key": "one upload"},
            files={"file": ("Return 2026.pdf", FILE, "text/html")},
        )
        for machine in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    file = answers[0].json()
    assert answers[1].json()["id"] == file["id"]
    for machine in (second, first):
        read = dana.ask(machine, "GET", f"/items/{file['id']}/download")
        assert (read.status_code, read.content) == (200, FILE)
        assert read.headers["Content-Type"] == "application/pdf"
        assert read.headers["Content-Disposition"].startswith("attachment;")
    assert len(bucket.listed()) == len(before) + 1


def send(dana: Visitor, machine: Machine, client_id: str, numbers: range) -> None:
    """Invite so many people at that machine, thirty a request."""
    people = [{"email": f"p{number}@northwind.example"} for number in numbers]
    for begin in range(0, len(people), 30):
        body = {"recipients": people[begin : begin + 30]}
        answer = dana.call(machine, "POST", f"/clients/{client_id}/invites", TOKEN, json=body)
        assert answer.status_code == 201, answer.text


def count_connections(app: Flask) -> int:
    """How many connections PostgreSQL has for us now."""
    with app.app_context():
        found = db.session.scalar(
            sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        )
        db.session.rollback()
    return int(found or 0)


def an_upload_under_way_ends_before_the_web_part(machine: Machine, client_id: str) -> None:
    """SIGTERM in the middle of a request's body: it is read to its end and answered, and then gunicorn ends well."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="late.txt"\r\n\r\nlate\r\n--x--\r\n'
    head = (
        f"POST /api/v1/clients/{client_id}/files HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with contextlib.closing(socket.create_connection(("127.0.0.1", machine.port), 60)) as line:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 100")  # somebody reads it now
        line.sendall(body[:40])
        web = machine.told_to_stop("portal-web.service")
        line.sendall(body[40:])
        answer = b""
        while piece := line.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 201"), (answer, machine.log())
    assert web.wait(60) == 0, machine.log()
    with pytest.raises(ProcessLookupError):  # none of its processes is left
        os.killpg(web.pid, signal.SIGCONT)
