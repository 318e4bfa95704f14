"""Prints the catalogue of signals as docs/signals.md. `python -m hooks.page > docs/signals.md`; a test compares."""

from __future__ import annotations

import sys

from hooks.signals import Fact, Question, Signal, Trigger, catalogue

KINDS: tuple[tuple[type[Signal], str, str], ...] = (
    (
        Question,
        "Questions",
        "Asked before something is shown. Receivers answer or return nothing; they write nothing.",
    ),
    (
        Trigger,
        "Triggers",
        "Fired inside the transaction of the work item. A receiver that raises `Refused` refuses the whole action with"
        " its sentence, and nothing is kept.",
    ),
    (
        Fact,
        "Facts",
        "Made by the worker from committed events, at least once. A receiver that raises, hangs or recurses harms"
        " nobody.",
    ),
)


def catalogue_page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# Signals",
        "",
        "Printed from `hooks/signals.py` by `python -m hooks.page`; change the code, not this page.",
        "How to use them: [hooks.md](hooks.md).",
    ]
    for kind, title, meaning in KINDS:
        parts += ["", f"## {title}", "", meaning]
        for signal in catalogue(kind):
            parts += [
                "",
                f"### `{signal.name}`",
                "",
                f"**When** {signal.when}",
                "",
                "| argument | meaning |",
                "| --- | --- |",
            ]
            parts += [f"| `{name}` | {meaning} |" for name, meaning in signal.arguments.items()]
            parts += ["", f"**Answer** {signal.answer}"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
