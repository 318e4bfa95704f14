"""Survey templates: a client request to start from, and one kept for the next time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invites.scope import FirmView
from models import SurveyTemplate, db, new_id, utc_now
from models.errors import Missing
from schemas.base import load
from schemas.client_request import ClientRequestSchema


def one(view: FirmView, template_id: str) -> SurveyTemplate:
    """A template of the firm. Raises Missing."""
    found = db.session.scalars(view.survey_templates().where(SurveyTemplate.id == template_id)).one_or_none()
    if found is None:
        raise Missing
    return found


def as_data(template: SurveyTemplate) -> dict[str, Any]:
    """What the form starts with: data as `ClientRequestSchema` loads it."""
    return {
        "title": template.title,
        "introduction": template.introduction,
        "questions": [dict(question) for question in template.questions],
    }


def keep(view: FirmView, data: Mapping[str, Any]) -> SurveyTemplate:
    """Keep title, introduction and questions for the next time, within the open unit of work.

    `data` is a client request's data or an item's; it is validated as one. Raises Invalid.
    """
    loaded = load(
        ClientRequestSchema(only=("title", "introduction", "questions")),
        {key: data[key] for key in ("title", "introduction", "questions") if data.get(key) is not None},
    )
    template = SurveyTemplate(
        id=new_id(),
        firm_id=view.firm_id,
        title=loaded["title"],
        introduction=loaded["introduction"],
        questions=loaded["questions"],
        created_at=utc_now(),
    )
    db.session.add(template)
    db.session.flush()
    return template
