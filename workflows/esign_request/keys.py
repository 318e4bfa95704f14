"""The key that seals: made once per installation and kept beside the database, readable by its owner alone.

Key and certificate lie in one file, so that no crash leaves one without the other. Two processes that seal their
first document at once both make a key; the first link of the finished file wins, and the other key is thrown away.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import config
from later import later
from models import utc_now

if TYPE_CHECKING:
    from workflows.esign_request import sealing
else:
    sealing = later("workflows.esign_request.sealing")

FILE = "sealing_key.pem"


def sealing_key(settings: config.Settings) -> sealing.SealingKey:
    """The installation's sealing key, made at the first use. Raises BadSealingKey, OSError."""
    path = settings.data_dir / FILE
    if not path.exists():
        _make(path, f"Portal Invites, {urlsplit(settings.base_url).hostname or 'this installation'}")
    both = path.read_bytes()
    return sealing.SealingKey.load(both, both)


def _make(path: Path, name: str) -> None:
    private, certificate = sealing.make_sealing_key(name, utc_now())
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".sealing")  # mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(private + certificate)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return  # somebody else was first; theirs is the key
    finally:
        os.unlink(temporary)
