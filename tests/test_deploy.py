"""The files of deploy/ are what they say: each command, setting, name and delay in them is a real one."""

from __future__ import annotations

import configparser
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import background
import commands
import config
from tests.support.fleet import DEPLOY, HOME, command_of, unit
from tests.support.live import OURS, PROJECT

UNITS = ["portal-web.service", "portal-worker@.service"]
# Read by gunicorn's file, by Amazon's library, by Python and by the shell; all others are ours.
OTHERS = {"WEB_CONCURRENCY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "PYTHONUNBUFFERED", "PATH"}  # fmt: skip
ENVIRONMENT = {name: value for name, value in os.environ.items() if not OURS.match(name)}


def known_settings() -> set[str]:
    """Every name that config.py reads, and each from a file."""
    names = set(re.findall(r'"([A-Z]{2,}[A-Z_]+)"', (PROJECT / "config.py").read_text()))
    return names | {f"{name}_FILE" for name in names} | OTHERS


def check_command(command: list[str]) -> None:
    """Our own command line knows it, or gunicorn takes it, its file and the application that it names."""
    program, *arguments = command
    if Path(program).name == "gunicorn":
        assert gunicorn_says(tuple(arguments)) == (0, "")
        return
    assert Path(program).name == "python"
    assert arguments.pop(0) == "app.py"
    group: click.Command = commands.cli
    for name in arguments:
        assert isinstance(group, click.Group)
        group = group.commands[name]
    assert not isinstance(group, click.Group)


@functools.cache
def gunicorn_says(arguments: tuple[str, ...]) -> tuple[int, str]:
    """How its look at its own arguments ended."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(Path(sys.prefix, "bin", "gunicorn")), "--check-config", *arguments],
            cwd=PROJECT,
            env=ENVIRONMENT | {"PORTAL_DATA_DIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, done.stderr


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def graceful_timeout() -> int:
    """What gunicorn gives the requests under way."""
    found = re.search(r"^graceful_timeout = (\d+)", (DEPLOY / "gunicorn.conf.py").read_text(), re.M)
    assert found
    return int(found[1])


# systemd ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=UNITS)
def service(request: pytest.FixtureRequest) -> configparser.SectionProxy:
    return unit(request.param)["Service"]


def test_a_unit_starts_what_there_is(service: configparser.SectionProxy) -> None:
    assert service["WorkingDirectory"] == HOME
    for line in (service["ExecStartPre"], service["ExecStart"]):
        command = command_of(line)
        assert os.access(command[0], os.X_OK)
        check_command(command)
    name, _, folder = service["Environment"].partition("=")
    assert (name, folder) == ("PORTAL_DATA_DIR", f"/var/lib/{service['StateDirectory']}")


def test_a_unit_waits_for_what_must_end(service: configparser.SectionProxy) -> None:
    needed = graceful_timeout() if "gunicorn" in service["ExecStart"] else background.STOP_SECONDS
    assert seconds(service["TimeoutStopSec"]) >= needed + 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        # Nothing but the place differs: systemd looks whether the programs are there.
        text = text.replace(f"{HOME}/.venv", sys.prefix).replace(HOME, str(PROJECT))
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *[str(tmp_path / name) for name in UNITS]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "portal-" in line] == []


# Containers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return made


@pytest.fixture(scope="module")
def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Our own services, by name."""
    return {name: one for name, one in compose["services"].items() if "build" in one}


def test_every_service_runs_a_real_command(ours: dict[str, dict[str, Any]]) -> None:
    assert {"web", "worker", "migrate"} == set(ours)
    for service in ours.values():
        check_command(service.get("command", image_command()))
        assert set(service["environment"]) <= known_settings()
        context = DEPLOY / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_services_name_only_what_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
        files = [value for name, value in service["environment"].items() if name.endswith("_FILE")]
        assert {Path(file).name for file in files} == set(service.get("secrets", []))
        for needed in service.get("depends_on", {}).values():
            assert needed["condition"] in {"service_healthy", "service_completed_successfully"}


def test_services_get_the_time_to_end(ours: dict[str, dict[str, Any]]) -> None:
    assert seconds(ours["worker"]["stop_grace_period"]) >= background.STOP_SECONDS + 5
    assert seconds(ours["web"]["stop_grace_period"]) >= graceful_timeout() + 5
    assert ours["worker"]["deploy"]["replicas"] == 2
    assert [name for name, one in ours.items() if not one.get("healthcheck", {}).get("disable")] == ["web"]


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def image_command() -> list[str]:
    command: list[str] = yaml.safe_load(dict(steps())["CMD"])
    return command


def test_the_image_holds_locked_packages_and_runs_as_nobody_special() -> None:
    kinds = [kind for kind, _ in steps()]
    last = dict(steps())
    assert last["WORKDIR"] == HOME
    assert last["USER"] == "portal"
    assert kinds.index("USER") > max(place for place, kind in enumerate(kinds) if kind in {"RUN", "COPY"})
    assert last["RUN"] == "deploy/install"
    assert os.access(DEPLOY / "install", os.X_OK)
    assert "setup_environment deploy" in (DEPLOY / "install").read_text()
    assert "http://127.0.0.1:8000/healthz" in last["HEALTHCHECK"]
    names = re.findall(r"([A-Z_]+)=", last["ENV"])
    assert set(names) <= known_settings()
    check_command(image_command())


def test_the_image_leaves_out_secrets_and_nothing_that_runs() -> None:
    left_out = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {".git", ".venv", "instance", "deploy/portal.env", "deploy/secrets"} <= set(left_out)
    needed = {path.name for path in PROJECT.glob("*.py")} | {"deploy", "script", "requirements-deploy.txt"}
    assert not needed & set(left_out)


def test_the_lock_of_a_fleet_is_the_product_s_and_two_more() -> None:
    def locked(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==\S+)", (PROJECT / name).read_text(), re.M))

    fleet = locked("requirements-deploy.txt")
    assert locked("requirements.txt") <= fleet <= locked("requirements-test.txt")
    assert {"gunicorn", "redis", "s3fs"} <= {line.partition("==")[0] for line in fleet}


# Settings -----------------------------------------------------------------------------------------------------------


def example() -> Iterator[tuple[str, str]]:
    """Name and value of each line, of those that are left out by a # too."""
    for line in (DEPLOY / "portal.env.example").read_text().splitlines():
        if found := re.match(r"#?([A-Z_]+)=(.*)$", line):
            yield found[1], found[2]


def test_the_example_s_settings_are_ours_and_start(tmp_path: Path) -> None:
    values = dict(example())
    assert set(values) <= known_settings()
    settings = config.load(
        {name: value for name, value in values.items() if name not in OTHERS} | {"PORTAL_DATA_DIR": tmp_path}
    )
    assert settings.https
    assert settings.files_url.startswith("s3://")


def test_the_guide_names_only_what_there_is() -> None:
    guide = (PROJECT / "docs" / "deploy.md").read_text()
    for name in re.findall(r"`deploy/([\w.@-]+)`", guide):
        assert (DEPLOY / name).exists(), name
    words = set(re.findall(r"`([A-Z]{2,}[A-Z]*_[A-Z_]+)`", guide))
    assert words <= known_settings() | {"NAME_FILE"}
    assert {path.name for path in DEPLOY.iterdir() if path.is_file()} <= set(
        re.findall(r"deploy/([\w.@-]+)", guide)
    )
