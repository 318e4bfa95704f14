"""`backup` and `restore`: rows, files and keys come back; mail doesn't leave, links rest, nobody removed is back unseen."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

import backup
from invites.accept import LinkState, look_up
from invites.access import remove
from mail import outbox
from mail.links import invite_token
from mail.worker import send_due
from models import AccessState, Base, Client, Invite, PortalAccess, StoredFile, db, unit_of_work
from tests.support.drill import many_invites
from tests.support.smtp import MailServer
from tests.support.world import give_access
from workflows import storage


def rows(app: Flask) -> dict[str, list[tuple[object, ...]]]:
    with app.app_context():
        return {
            table.name: sorted((tuple(row) for row in db.session.execute(sa.select(table))), key=str)
            for table in Base.metadata.sorted_tables
            if table.name != "switch"
        }


def test_an_old_backup_comes_back(app: Flask, smtp: MailServer, tmp_path: Path) -> None:
    world = many_invites(app, 5)
    with app.app_context():
        client_id = db.session.scalars(sa.select(Client.id)).one()
        db.session.rollback()
        upload = storage.receive_bytes(b"%PDF-1.7 secret", "Secret.pdf")
        with unit_of_work():
            storage.keep(upload, db.session.get_one(Client, client_id))
        invite_id = db.session.scalars(sa.select(Invite.id)).first()
        token = invite_token(app.config["PORTAL"], invite_id, 1)
    access_id = give_access(world, client_id, "ada@x.example")
    path = tmp_path / "backup.tar.gz"
    with app.app_context():
        assert backup.write(path)[1:] == (1, [])
    assert path.stat().st_mode & 0o077 == 0
    before = rows(app)

    with app.app_context():
        assert send_due(app.config["PORTAL"]) == 5
        with unit_of_work():
            remove(db.session.get_one(PortalAccess, access_id), world.member)
        storage.discard(upload)
    with app.app_context():
        report = "\n".join(backup.restore(path, replace=True))
    assert "ada@x.example: access was removed after the backup, and stays so." in report
    assert "outbox release" in report

    with app.app_context():
        assert db.session.get_one(PortalAccess, access_id).state is AccessState.REMOVED
        assert storage.read(db.session.scalars(sa.select(StoredFile)).one()) == b"%PDF-1.7 secret"
        assert look_up(token).state is LinkState.UNKNOWN
        db.session.rollback()
        assert send_due(app.config["PORTAL"]) == 0
    assert len(smtp.mails) == 5
    after = rows(app)
    for table in before.keys() - {"outbox", "portal_access", *backup._DERIVED}:
        assert after[table] == before[table], table

    with app.app_context():
        with unit_of_work():
            assert outbox.release() == 5
        assert look_up(token).state is LinkState.LIVE
        db.session.rollback()
        assert send_due(app.config["PORTAL"]) == 5


def test_nothing_is_replaced_unasked(app: Flask, tmp_path: Path) -> None:
    many_invites(app, 1)
    path = tmp_path / "backup.tar.gz"
    with app.app_context():
        backup.write(path)
        with pytest.raises(backup.BadBackup, match="--replace"):
            list(backup.restore(path))
        with pytest.raises(backup.BadBackup, match="another version"):
            _other_version(path)
            list(backup.restore(path, replace=True))


def _other_version(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        backup._add(archive, "about.json", b'{"format": 1, "revision": "0000", "made_at": ""}')
