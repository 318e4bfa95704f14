"""The formats that flufl.bounce has detectors for, each in a mail of our own making.

Its wheel ships no mails, and other people's mails are not ours to keep. So each format is written anew from what marks
it: the words a detector looks for, around them what such a mail system might say. Keys begin with the detector's module;
a test holds them against the modules of the installed version, so that a new detector asks for a new mail here.

Its own collection is read where BOUNCE_CORPUS names it (docs/bounces.md).
"""

from __future__ import annotations

from mail.reports import Kind
from tests.support.bounce_samples import ORIGINAL, Sample, dsn

HEAD = """\
Return-Path: <>
From: Mail Delivery Subsystem <MAILER-DAEMON@relay.example>
To: portal@portal.example
Subject: Undeliverable mail
"""


def plain(body: str, head: str = HEAD, kind: Kind = Kind.PERMANENT, *, named: bool = True) -> Sample:
    """A mail of one part, the returned one below it."""
    return Sample(f"{head}\n{body}\n\n{ORIGINAL}\nHello Charles\n", kind, named=named)


def parts(head: str, *bodies: str, kind: str = "multipart/mixed", named: bool = True) -> Sample:
    """A mail of several parts, each written with its own header, the returned one last."""
    text = "".join(f"--PP\n{body}\n\n" for body in (*bodies, f"Content-Type: message/rfc822\n\n{ORIGINAL}"))
    return Sample(
        f'{head}MIME-Version: 1.0\nContent-Type: {kind}; boundary="PP"\n\n{text}--PP--\n',
        Kind.PERMANENT,
        named=named,
    )


# Begin, the line with the address, end: what `simplematch` knows.
BETWEEN = {
    "list of failed recipients": (
        "Here is your list of failed recipients:",
        "  <%TO%>",
        "Here is your returned mail:",
    ),
    "fatal errors": (
        "   ----- The following addresses had permanent fatal errors -----",
        "<%TO%>",
        "   ----- Transcript of session follows -----",
    ),
    "rcpt to": (
        "This message was created automatically by mail delivery software. It could not be sent on:",
        "  after RCPT TO: <%TO%> 550 unknown",
        "Original message follows.",
    ),
    "virus wall": (
        "This is a message from InterScan E-Mail VirusWall NT, which could not deliver",
        "  RCPT TO: <%TO%>",
        "End of message",
    ),
    "smail": ("Failed addresses follow:", " %TO% ... unknown host", "Message text follows:"),
    "newmail": (
        "This is the machine generated message from mail service.",
        "Nobody here is called <%TO%>.",
        "--- Below the next line is a copy of the message.",
    ),
    "mdaemon": (
        "The following addresses did NOT receive a copy of your message:",
        "> %TO%",
        "--- Session Transcript ---",
    ),
    "intended recipient": (
        "Sorry, the mailbox is closed.",
        "Intended recipient: %TO%",
        "--------RETURNED MAIL FOLLOWS--------",
    ),
    "undeliverable address": (
        "We could not deliver this.",
        "Undeliverable Address: %TO%",
        "Original message attached",
    ),
    "addressed to": (
        "This message was created automatically by mail delivery software. What you wrote",
        "addressed to '%TO%' was refused",
        "---- START OF RETURNED MESSAGE ----",
    ),
    "full mailbox": ("", "User's mailbox is full: <%TO%>", "Unable to deliver mail."),
    "smtpsvc": (
        "The email below could not be delivered to the following user:",
        "  <%TO%>",
        "Old message:",
    ),
    "other domains": (
        "Unable to deliver message to the following address(es).",
        "<%TO%>:",
        "--- Original message follows.",
    ),
    "following recipient": (
        "Delivery to the following recipient failed permanently:",
        "     %TO%",
        "----- Original message -----",
    ),
    "could not be delivered": (
        "A message that you sent could not be delivered to all of its recipients:",
        "  <%TO%>: no such user",
        "--- The header of it follows",
    ),
    "could not be delivered, bare": (
        "A message that you sent could not be delivered to all of its recipients:",
        "%TO%: no such user",
        "--- The header of it follows",
    ),
    "could not be delivered, in words": (
        "A message that you sent could not be delivered to somebody",
        "  known as (%TO%) to us",
        "--- The header of it follows",
    ),
    "was aborted": (
        "Delivery to the following recipients was aborted after 3 seconds:",
        "  * %TO%",
        "The rest was not sent",
    ),
    "because": ("Your message", "  %TO%", "because:"),
    "interscan": (
        "Unable to deliver message to",
        "  <%TO%>",
        "****** End of message ******",
    ),
    "sorry": (
        "Sorry, unable to deliver your message to",
        "  %TO% for the following reason: closed",
        "A copy of the original message is below.",
    ),
    "to a person": ("A message could not be delivered to:", "  %TO%", "Subject: a survey"),
    "final delivery": ("Invalid final delivery userid:", " %TO%", "Original message follows."),
    "failed recipients": (
        "------ Failed Recipients ------",
        " <%TO%>: no such user",
        "-------- Returned Mail --------",
    ),
    "lsmtp": (
        "--> Error description:\nError-for:  %TO%",
        "Error-Code: 550",
        "Error-End: one error was reported",
    ),
    "three languages": (
        "Your message could not be delivered. Su mensaje no pudo ser entregado.",
        "<%TO%>: 550",
        "- The end of it -",
    ),
    "to whom": ("Your message could not be delivered to", "somebody known as %TO% here", " "),
    "problems": (
        "Your message has encountered delivery problems",
        "It was addressed to %TO% and did not arrive",
        "Your message reads (in part):",
    ),
    "did not reach": ("Did not reach the following recipient(s):", " %TO% on Monday", " "),
    "deliver program": ("This is the deliver program at relay.example", "%TO%", "- a copy -"),
    "email server": (
        "Hi, this is the email server at relay.example. Delivery failed for",
        "  %TO% , who is unknown",
        "- a copy -",
    ),
    "no such user": ("- no such user here", "%TO% is not known", "There is no user by that name."),
    "address failed": (
        "The following address failed:",
        "  <%TO%>: 550",
        "Included is a copy of the message header:",
    ),
    "could not be reached": (
        "The following recipient(s) could not be reached:",
        "%TO%",
        "   Error Type: SMTP",
    ),
    "failed recipient": (
        "Could not deliver message to the following recipient(s):",
        "Failed Recipient: %TO%",
        "   -- The header and top 20 lines --",
    ),
    "not delivered": (
        "Message not delivered to the following addresses:",
        "  %TO%",
        "  Error detail: unknown",
    ),
    "over quota": (
        "There is no room.",
        "Your message to <%TO%> was automatically rejected:",
        "Reporting the reason: over quota",
    ),
    "rejected": (
        "A message that you sent was rejected by the server:",
        "  %TO% , who is not here",
        "This is a copy of your message:",
    ),
    "mail enable": (
        "Message could not be delivered to some recipients.",
        "Recipient: [SMTP:%TO%]",
        "Message headers follow:",
    ),
    "wasn't able": (
        "The server wasn't able to deliver the following message:",
        "To: %TO%",
        "---Below this line is a copy of the message.",
    ),
    "notification": (
        "This is a delivery failure notification message",
        "-- %TO%",
        "The problem appears to be:",
    ),
    "has failed": (
        "Delivery has failed:",
        "The mailbox [%TO%] is full",
        "Original message details:",
    ),
}

# The same of those that only warn.
LATE = {
    "not yet": (
        "The address to which the message has not yet been delivered is:",
        "   %TO%",
        "No action is required on your part.",
    ),
    "just a warning": (
        "Your message to:",
        "   %TO%",
        "This is just a warning, you do not need to take any action.",
    ),
    "gateway": (
        "Your message with Subject: a survey is still waiting for",
        "   %TO%",
        "Delivery attempts will continue to be made for 3 days.",
    ),
    "delayed": (
        "Delivery to the following recipient has been delayed:",
        "   %TO%",
        "Message will be retried for 2 more days",
    ),
    "advisory": (
        "This is an advisory-only email. There is nothing to be done:",
        'the mail to "%TO%"',
        "has been postponed.",
    ),
    "not yet, in brackets": (
        "It has not yet been delivered to",
        "   <%TO%>",
        "No action is required on your part.",
    ),
}

FORMATS: dict[str, Sample] = {
    **{f"simplematch: {name}": plain("\n".join(lines)) for name, lines in BETWEEN.items()},
    **{
        f"simplewarning: {name}": plain(
            "\n".join(lines), HEAD.replace("Undeliverable mail", "Warning: your mail is delayed"), Kind.TEMPORARY
        )
        for name, lines in LATE.items()
    },
    "aol: screen name": plain(
        "Your mail to the following recipients could not be delivered because they refuse it:\n\t%LOCAL%",
        HEAD.replace("relay.example", "aol.com"),
        named=False,
    ),
    "caiwireless: a list": parts(
        HEAD, "\nThe following recipients did not receive this message:\n\n<%TO%>"
    ),
    "dsn: failed": Sample(
        dsn(
            "From: postmaster@relay.example\nSubject: Delivery report",
            "It failed.",
            "Reporting-MTA: dns; relay.example\n\nFinal-Recipient: rfc822; %TO%\nAction: failed\nStatus: 5.0.0",
        ),
        Kind.PERMANENT,
    ),
    "dsn: original recipient alone": Sample(
        dsn(
            "From: postmaster@relay.example\nSubject: Delivery report",
            "It failed.",
            "Reporting-MTA: dns; relay.example\n\nOriginal-Recipient: rfc822; %TO%\nAction: Failed\nStatus: 5.1.10",
        ),
        Kind.PERMANENT,
    ),
    "exchange: did not reach": plain(
        "Your message did not reach the following recipient(s):\n\n"
        "c=US;a= ;p=Corp;o=Site;dda:SMTP=%TO%; on Mon, 23 Nov 2026 09:00:00\n    Unknown\n"
        "    MSEXCH:IMS:Corp:Site:EX01 0 (000C05A6) Unknown Recipient"
    ),
    "exchange: bare": plain(
        "Your message did not reach the following recipient(s):\n\n%TO% on Mon, 23 Nov 2026 09:00:00\n"
        "    MSEXCH:IMS:Corp:Site:EX01 0 (000C05A6) Unknown Recipient"
    ),
    "exim: header": plain(
        "It could not be delivered.",
        HEAD.replace("Subject:", "X-Failed-Recipients: %TO%\nSubject:"),
    ),
    "groupwise: novell": parts(
        f"{HEAD}X-Mailer: Novell GroupWise Internet Agent 5.5\n",
        "Content-Type: text/plain\n\nThe message that you sent was undeliverable to the following:\n\t%LOCAL% <%TO%>",
    ),
    "groupwise: ntmail": parts(
        f"{HEAD}X-Mailer: NTMail v5.06\n",
        "Content-Type: text/plain\n\nYour message was not delivered to\n%TO%\nThis mail account is closed.",
    ),
    "llnl: transcript": plain("The user listed below is gone:\n   name, %TO%, is not known here any more, sorry"),
    "microsoft: transcript": parts(
        HEAD, "Content-Type: text/plain\n\n  ----- Transcript of session follows -----\n%TO%\n550 unknown"
    ),
    "netscape: reason": parts(
        HEAD,
        "Content-Type: text/plain\n\nThis Message was undeliverable due to the following reason:\n\n"
        "Nobody is called <%TO%> here.\n\nPlease reply to <postmaster@relay.example>",
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example",
        kind="multipart/report; report-type=delivery-status",
    ),
    "postfix: without a status": parts(
        HEAD.replace("Mail Delivery Subsystem", "Mail Delivery System"),
        "Content-Description: Notification\nContent-Type: text/plain\n\nThis is the Postfix program at host relay.example.\n\n"
        "Your message could not be delivered to one or more recipients.\n\n\t\t\tThe Postfix program\n\n"
        "<%TO%>: unknown user",
    ),
    "qmail: permanent": plain(
        "Hi. This is the qmail-send program at relay.example.\nI'm afraid I wasn't able to deliver your message.\n\n"
        "<%TO%>:\nThis address no longer accepts mail.\n\n--- Below this line is a copy of the message."
    ),
    "qmail: other words": plain(
        "We're sorry. There's a problem with this e-mail address.\n\n<%TO%>:\n550 no such user\n\n"
        "-- a copy of the message follows"
    ),
    "sina: mailer daemon": parts(
        HEAD.replace("Mail Delivery Subsystem <MAILER-DAEMON@relay.example>", "MAILER-DAEMON@sina.com"),
        "Content-Type: text/plain\n\n<%TO%>: the user does not exist",
    ),
    **{
        f"smtp32: {words}": plain(
            f"{words} {address}\n\nOriginal message follows.", f"{HEAD}X-Mailer: <SMTP32 v20010731>\n", named=named
        )
        for words, address, named in (
            ("User mailbox exceeds allowed size:", "%TO%", True),
            ("Delivery failed 20 attempts:", "%TO%", True),
            ("unknown user:", "%TO%", True),
            ("undeliverable to", "%TO%", True),
            ("Invalid delivery userid:", "%LOCAL%", False),
        )
    },
    "yahoo: below this line": plain(
        "Message from yahoo.com.\nUnable to deliver message to the following address(es).\n\n<%TO%>:\n"
        "This user doesn't have an account (%TO%) [0]\n\n--- Original message follows.",
        HEAD.replace("relay.example", "yahoo.com"),
    ),
    "yale: by name": plain(
        "Message not delivered to the following:\n\n  %LOCAL%   User unknown\n\nError Detail (phquery):",
        HEAD.replace("relay.example", "yale.edu"),
        named=False,
    ),
}  # fmt: skip
