"""Mail: from the row in the outbox to the relay's 250.

`outbox` is the truth, `compose` writes, `transport` is the only module that talks SMTP, `worker` is the edge that
drives them. `docs/mail.md` says what is promised.
"""
