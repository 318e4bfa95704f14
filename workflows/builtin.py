"""The workflows that come with the product, in the order in which staff find them."""

from __future__ import annotations

from workflows.client_request.declaration import CLIENT_REQUEST
from workflows.esign_request.declaration import ESIGN_REQUEST
from workflows.file_visibility.declaration import FILE_VISIBILITY
from workflows.registry import Workflow


def builtin() -> list[Workflow]:
    """One of each."""
    return [CLIENT_REQUEST, FILE_VISIBILITY, ESIGN_REQUEST]
