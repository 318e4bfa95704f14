"""One thing that staff can do about a person or an item, as a button."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Action:
    """One thing that can be done. `how`: post (at once), ask (asks first), link or window."""

    label: str
    url: str
    how: str = "post"
    kind: str = "quiet"
    hidden: Mapping[str, str] = field(default_factory=dict)
