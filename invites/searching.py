"""Whom somebody means who types the beginnings of words: of a client's name, or a person's name or address.

Words are kept for this (`search_word`, models/portal_list.py), and how they are used is a choice. Few hits are looked
up, and what hangs on them is sorted; with many, the list is walked in its own order, each row is asked whether it has
the words, and the page is full soon. Either way by itself would read a whole book for one line or one letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from models import Client, Invite, PortalPerson, SearchWord, db
from models.portal_list import SEPARATORS, WORD_LENGTH

# A page of 50 rows out of half a million: looking up so many costs as much as walking on until it is full.
FEW = 4000
LAST = "\U0010ffff"
_SPACED = {ord(char): " " for char in SEPARATORS}

Condition = sa.ColumnElement[bool]


def split_words(text: str) -> list[str]:
    """The words of a name or an address, folded, cut as the triggers cut them."""
    spaced = text.casefold().translate(_SPACED)
    return [word[:WORD_LENGTH] for word in spaced.split()]


def wanted(text: str) -> list[str]:
    """The beginnings of words that are searched, the longest (the rarest, mostly) first."""
    return sorted(set(split_words(text)), key=lambda word: (-len(word), word))


def begins(word: Any, beginning: str) -> Condition:
    """As a range, which an index answers in any collation of ours (LIKE needs settings of the database)."""
    return sa.and_(word >= beginning, word < beginning + LAST)


def has_words(owner_id: Any, beginnings: Sequence[str]) -> Condition:
    """The row of that key has a word that begins so, for each."""
    return sa.and_(sa.true(), *(_words(owner_id, beginning).exists() for beginning in beginnings))


def _words(owner_id: Any, beginning: str) -> sa.Select[str]:
    word = aliased(SearchWord)
    return sa.select(word.word).where(word.owner_id == owner_id, begins(word.word, beginning))


def are_few(rows: sa.Select[Any]) -> bool:
    """Whether a statement finds at most FEW rows. Reads no more than that."""
    some = rows.limit(FEW + 1).subquery()
    return (db.session.scalar(sa.select(sa.func.count()).select_from(some)) or 0) <= FEW


def asked_of_each(rows: sa.Select[Any]) -> Condition:
    """There is such a row, asked as a list is walked: an EXISTS PostgreSQL would answer for all of the list at once."""
    return rows.limit(1).scalar_subquery().is_not(None)


def clients_found(firm_id: str, text: str) -> Condition:
    """Clients of this firm by their own words, or by those of a person there."""
    words = wanted(text)
    if not words:
        return sa.false()
    hits = _hits(firm_id, words)
    if not are_few(hits):
        its_own = sa.and_(*(asked_of_each(_words(Client.id, beginning)) for beginning in words))
        theirs = sa.select(PortalPerson.id).where(
            PortalPerson.client_id == Client.id, has_words(PortalPerson.id, words)
        )
        return sa.or_(its_own, asked_of_each(theirs))
    found = hits.cte("found")
    by_person = sa.select(PortalPerson.client_id).join(found, found.c.owner_id == PortalPerson.id)
    return Client.id.in_(by_person.union_all(sa.select(found.c.owner_id)))


def invites_found(firm_id: str, text: str) -> Condition:
    """Invites of this firm by the words of whom they went to, and at which client."""
    words = wanted(text)
    if not words:
        return sa.false()
    hits = _hits(firm_id, words)
    if not are_few(hits):
        return asked_of_each(sa.select(PortalPerson.id).where(IS_INVITED, has_words(PortalPerson.id, words)))
    found = hits.subquery()
    theirs = sa.select(PortalPerson).join(found, found.c.owner_id == PortalPerson.id)
    return Invite.id.in_(theirs.join(Invite, IS_INVITED).with_only_columns(Invite.id))


def _hits(firm_id: str, words: Sequence[str]) -> sa.Select[str]:
    """The keys of what has all the words: people, and clients without a portal."""
    first, *others = words
    return sa.select(SearchWord.owner_id).where(
        SearchWord.firm_id == firm_id,
        SearchWord.kind.in_(["p", "c"]),
        begins(SearchWord.word, first),
        has_words(SearchWord.owner_id, others),
    )


# The person that an invite went to, among the derived rows.
IS_INVITED = sa.and_(PortalPerson.client_id == Invite.client_id, PortalPerson.mailbox == Invite.email)
