"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from models import Base, db, migrating


def test_head_is_what_the_models_say(app: Flask) -> None:
    with app.app_context():
        assert migrating.alembic().compare_metadata() == []


def test_head_has_every_table_and_a_key_on_each(app: Flask) -> None:
    with app.app_context():
        inspector = sa.inspect(db.engine)
        assert set(Base.metadata.tables) <= set(inspector.get_table_names())
        without = [
            name
            for name in Base.metadata.tables
            if not inspector.get_pk_constraint(name)["constrained_columns"]
        ]
        assert without == []


def test_down_to_nothing_and_up_again(app: Flask) -> None:
    with app.app_context():
        alembic = migrating.alembic()
        alembic.downgrade("base")
        assert set(sa.inspect(db.engine).get_table_names()) & set(Base.metadata.tables) == set()
        alembic.upgrade()
        assert alembic.compare_metadata() == []


def test_the_cheap_look_agrees_with_alembic(app: Flask) -> None:
    with app.app_context():
        alembic = migrating.alembic()
        assert migrating.heads() == {script.revision for script in alembic.heads()}
        with db.engine.connect() as connection:
            assert migrating.current(connection) == {script.revision for script in alembic.current()}
        assert migrating.is_at_head(db.engine)
        alembic.downgrade("base")
        assert not migrating.is_at_head(db.engine)


def test_an_empty_database_is_not_at_head() -> None:
    engine = sa.create_engine("sqlite://")
    assert not migrating.is_at_head(engine)
    engine.dispose()
