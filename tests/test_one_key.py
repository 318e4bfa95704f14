"""One SECRET_KEY for all machines: who has another one is refused at the start, and not ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import commands
import config
import one_key
from models import Switch, db
from tests.support.together import crowd

OTHER = "the key of another machine, long enough to be one"


def settle(app: Flask, **how: bool) -> bool:
    with app.app_context():
        return one_key.settle(app.config["PORTAL"], **how)


def ready(app: Flask) -> tuple[int, str]:
    answer = app.test_client().get("/readyz")
    return answer.status_code, answer.get_json()["parts"]["key"]


def test_the_first_key_counts_and_another_is_refused(make_app: Callable[..., Flask]) -> None:
    first, second = make_app(), make_app(SECRET_KEY=OTHER)
    assert ready(second) == (200, "ok")  # nobody has begun yet
    assert settle(first)
    assert settle(first)
    assert not settle(second)
    assert (ready(first), ready(second)) == ((200, "ok"), (503, "down"))
    with second.app_context(), pytest.raises(commands.CannotStart, match="another SECRET_KEY"):
        commands.need_our_key(second.config["PORTAL"])


def test_a_lost_key_is_replaced_on_purpose_alone(make_app: Callable[..., Flask]) -> None:
    first, second = make_app(), make_app(SECRET_KEY=OTHER)
    assert settle(first)
    assert settle(second, anew=True)
    assert not settle(first)
    with first.app_context():
        kept = str(db.session.scalars(sa.select(Switch.value)).one())
        db.session.rollback()
    assert OTHER not in kept


# A setting from a file ------------------------------------------------------------------------------------------------


def test_a_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(**values: Any) -> config.Settings:
        return config.load({"PORTAL_DATA_DIR": tmp_path / "data", **values})

    path = tmp_path / "secret"
    path.write_text("from a file, with the line end that editors add\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(path))
    assert load().secret_key == "from a file, with the line end that editors add"
    url = tmp_path / "url"
    url.write_text("postgresql://portal:s3cret@db.example/portal\n")
    assert load(DATABASE_URL_FILE=url).database_url.startswith("postgresql+psycopg://portal:s3cret@")
    with pytest.raises(config.WrongSetting, match="MAIL_PASSWORD_FILE"):
        load(MAIL_PASSWORD_FILE=tmp_path / "missing")


# Processes that start at once -----------------------------------------------------------------------------------------


def test_many_that_start_at_once_in_a_new_folder_all_start_and_have_one_key(tmp_path: Path) -> None:
    def begin(folder: Path) -> str:
        config._make_folder(folder)
        return config._kept_secret(folder)

    with crowd(8) as processes:
        for number in range(40):
            folder = tmp_path / str(number)
            found = processes.at_once([lambda folder=folder: begin(folder)] * 8)
            assert len(set(found)) == 1, found
            assert len(found[0]) >= 48
            assert (folder / "secret_key").stat().st_mode & 0o077 == 0
            assert [path.name for path in folder.iterdir()] == ["secret_key"]
