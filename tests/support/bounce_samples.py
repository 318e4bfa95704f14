"""Delivery reports as mail systems write them, made up by us: one of each shape, about any mail and address.

`SAMPLES[name].raw(message_id, to)` is the report's bytes; the rest is what a reader must find in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mail.reports import Kind


@dataclass(frozen=True)
class Sample:
    """One report and what it says."""

    text: str
    kind: Kind
    status: str = ""
    words: str = ""  # what the reason for staff holds
    named: bool = True  # the address stands in it

    def raw(self, message_id: str = "<id@portal.example>", to: str = "gone@x.example") -> bytes:
        """The report's bytes, about this mail and address."""
        text = self.text.strip("\n") + "\n"
        local, _, domain = to.partition("@")
        for key, value in {"ID": message_id, "TO": to, "LOCAL": local, "DOMAIN": domain}.items():
            text = text.replace(f"%{key}%", value)
        return text.replace("\n", "\r\n").encode("utf-8")


ORIGINAL = """\
Received: from portal.example (portal.example [192.0.2.10])
\tby mx.relay.example (Postfix) with ESMTPS id 4AbCdE1
\tfor <%TO%>; Mon, 23 Nov 2026 09:00:00 +0000 (UTC)
From: Northwind Tax <portal@portal.example>
To: Charles Babbage <%TO%>
Subject: Northwind Tax: Dana Reyes sent you a survey
Message-ID: %ID%
Date: Mon, 23 Nov 2026 09:00:00 +0000
Auto-Submitted: auto-generated
"""


def dsn(head: str, words: str, fields: str, kind: str = "message/rfc822") -> str:
    """A report by RFC 3464 in three parts."""
    return f"""\
Return-Path: <>
{head.strip()}
To: portal@portal.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="BB"

--BB
Content-Type: text/plain; charset=us-ascii

{words.strip()}

--BB
Content-Type: message/delivery-status

{fields.strip()}

--BB
Content-Type: {kind}

{ORIGINAL}
--BB--
"""


SAMPLES: dict[str, Sample] = {
    "postfix": Sample(
        dsn(
            "From: MAILER-DAEMON@mx.relay.example (Mail Delivery System)\n"
            "Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied",
            "This is the mail system at host mx.relay.example.\n\nI'm sorry to have to inform you that your message\n"
            "could not be delivered to one or more recipients.\n\n<%TO%>: host mx.%DOMAIN% said: 550 5.1.1 <%TO%>:\n"
            "    Recipient address rejected: User unknown (in reply to RCPT TO command)",
            "Reporting-MTA: dns; mx.relay.example\nX-Postfix-Queue-ID: 4AbCdE1\nArrival-Date: Mon, 23 Nov 2026 09:00:00\n\n"
            "Final-Recipient: rfc822; %TO%\nOriginal-Recipient: rfc822;%TO%\nAction: failed\nStatus: 5.1.1\n"
            "Remote-MTA: dns; mx.%DOMAIN%\nDiagnostic-Code: smtp; 550 5.1.1 <%TO%>: Recipient address\n"
            "    rejected: User unknown",
            "text/rfc822-headers",
        ),
        Kind.PERMANENT,
        "5.1.1",
        "no such mailbox",
    ),
    "exim": Sample(
        f"""
Return-path: <>
X-Failed-Recipients: %TO%
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@relay.example>
To: portal@portal.example
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1exim-0000@relay.example>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  %TO%
    host mx.%DOMAIN% [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<%TO%>:
    550 5.2.1 Mailbox disabled

------ This is a copy of the message, including all the headers. ------

{ORIGINAL}

Hello Charles
""",
        Kind.PERMANENT,
        "5.2.1",
        "switched off",
    ),
    "qmail": Sample(
        f"""
Return-Path: <>
From: MAILER-DAEMON@qmail.example
To: portal@portal.example
Subject: failure notice

Hi. This is the qmail-send program at qmail.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<%TO%>:
Sorry, no mailbox here by that name. vpopmail (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <portal@portal.example>
{ORIGINAL}

Hello Charles
""",
        Kind.PERMANENT,
        "5.1.1",
        "no such mailbox",
    ),
    "sendmail": Sample(
        dsn(
            "From: Mail Delivery Subsystem <MAILER-DAEMON@sendmail.example>\n"
            "Subject: Returned mail: see transcript for details\nAuto-Submitted: auto-generated (failure)",
            "   ----- The following addresses had permanent fatal errors -----\n<%TO%>\n\n"
            "   ----- Transcript of session follows -----\n550 5.1.2 <%TO%>... Host unknown (Name server: host not found)",
            "Reporting-MTA: dns; sendmail.example\n\nFinal-Recipient: RFC822; %TO%\nAction: failed\nStatus: 5.1.2\n"
            "Remote-MTA: DNS; %DOMAIN%\nLast-Attempt-Date: Mon, 23 Nov 2026 09:00:01 GMT",
        ),
        Kind.PERMANENT,
        "5.1.2",
        "after the @ can't be found",
    ),
    "exchange": Sample(
        dsn(
            "From: Microsoft Exchange <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.example>\n"
            "Subject: Undeliverable: Northwind Tax: Dana Reyes sent you a survey\nX-MS-Exchange-Message-Is-Ndr:\n"
            "In-Reply-To: %ID%\nReferences: %ID%",
            "Delivery has failed to these recipients or groups:\n\n%TO%\nThe recipient's mailbox is full.\n\n"
            "Diagnostic information for administrators:\n#554-5.2.2 mailbox full;\n#550 5.2.2 STOREDRV.Deliver: mailbox full ##",
            "Reporting-MTA: dns;ex01.corp.example\nReceived-From-MTA: dns;mail.corp.example\n\n"
            "Original-Recipient: rfc822;%TO%\nFinal-Recipient: rfc822;%TO%\nAction: failed\nStatus: 5.2.2\n"
            "Diagnostic-Code: smtp;554-5.2.2 mailbox full\nX-Display-Name: Charles",
        ),
        Kind.PERMANENT,
        "5.2.2",
        "mailbox is full",
    ),
    "gmail": Sample(
        dsn(
            "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nAuto-Submitted: auto-replied\n"
            "Subject: Delivery Status Notification (Failure)\nIn-Reply-To: %ID%\nReferences: %ID%\n"
            "X-Failed-Recipients: %TO%",
            "** Address not found **\n\nYour message wasn't delivered to %TO% because the address couldn't be found.",
            "Reporting-MTA: dns; googlemail.com\nArrival-Date: Mon, 23 Nov 2026 01:00:00 -0800 (PST)\n\n"
            "Final-Recipient: rfc822; %TO%\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; gmail-smtp-in.l.google.com.\n"
            "Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.\n"
            " 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser 5si1 - gsmtp",
        ),
        Kind.PERMANENT,
        "5.1.1",
        "no such mailbox",
    ),
    "office365": Sample(
        dsn(
            "From: postmaster@contoso.onmicrosoft.com\nSubject: Undeliverable: Northwind Tax: a survey\n"
            "X-MS-Exchange-Message-Is-Ndr:\nIn-Reply-To: %ID%",
            "Your message to %TO% couldn't be delivered.\nA custom mail flow rule has blocked your message.",
            "Reporting-MTA: dns;AM0PR01.eurprd01.prod.exchangelabs.example\n\nFinal-Recipient: rfc822;%TO%\n"
            "Action: failed\nStatus: 5.7.124\nDiagnostic-Code: smtp;550 5.7.124 RESOLVER.RST.SenderNotInAllowedList; not"
            "\n allowed",
        ),
        Kind.PERMANENT,
        "5.7.124",
        "did not let it in",
    ),
    "yahoo": Sample(
        f"""
Return-Path: <>
From: MAILER-DAEMON@yahoo.example
To: portal@portal.example
Subject: Failure Notice
X-Yahoo-Newman-Property: bmbounce

Sorry, we were unable to deliver your message to the following address.

<%TO%>:
554: delivery error: dd This user doesn't have a yahoo.example account (%TO%) [-5] - mta1.mail.yahoo.example

--- Below this line is a copy of the message.

{ORIGINAL}
""",
        Kind.PERMANENT,
        "5.0.0",
        "no such mailbox",
    ),
    "aol": Sample(
        f"""
From: Mail Delivery Subsystem <MAILER-DAEMON@aol.example>
To: portal@portal.example
Subject: Mail Delivery Problem
Return-Path: <>

Your mail to the following recipients could not be delivered because they are not accepting mail from you:
\t%TO%

--- Below this line is a copy of the message.

{ORIGINAL}
""",
        Kind.PERMANENT,
        named=False,
    ),
    "arf": Sample(
        f"""
From: <abuse-reports@provider.example>
To: portal@portal.example
Subject: FW: Northwind Tax: Dana Reyes sent you a survey
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="FB"

--FB
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message received from IP 192.0.2.10.

--FB
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <%TO%>
Reported-Domain: portal.example

--FB
Content-Type: message/rfc822
Content-Disposition: inline

{ORIGINAL}
Hello Charles

--FB--
""",
        Kind.COMPLAINT,
        "",
        "unwanted",
    ),
    "arf-redacted": Sample(
        f"""
From: feedback@arf.mail.yahoo.example
To: portal@portal.example
Subject: Northwind Tax: Dana Reyes sent you a survey
MIME-Version: 1.0
Content-Type: multipart/report; boundary="FB"; report-type="feedback-report"

--FB
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Yahoo!-Mail-Feedback/2.0
Version: 0.1

--FB
Content-Type: text/rfc822-headers

{ORIGINAL}
--FB--
""",
        Kind.COMPLAINT,
        "",
        "unwanted",
        named=False,
    ),
    "jmrp": Sample(
        f"""
From: staff@hotmail.example
To: portal@portal.example
Subject: complaint about message from 192.0.2.10
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="JM"

--JM
Content-Type: message/rfc822
Content-Disposition: inline

X-HmXmrOriginalRecipient: %TO%
{ORIGINAL}
Hello Charles

--JM--
""",
        Kind.COMPLAINT,
        "",
        "unwanted",
    ),
    "delayed": Sample(
        dsn(
            "From: MAILER-DAEMON@mx.relay.example (Mail Delivery System)\nSubject: Delayed Mail (still being retried)",
            "THIS IS A WARNING ONLY. YOU DO NOT NEED TO RESEND YOUR MESSAGE.\n\n"
            "<%TO%>: connect to mx.%DOMAIN%[192.0.2.1]:25: Connection timed out",
            "Reporting-MTA: dns; mx.relay.example\n\nFinal-Recipient: rfc822; %TO%\nAction: delayed\nStatus: 4.4.1\n"
            "Diagnostic-Code: X-Postfix; connect to mx.%DOMAIN%[192.0.2.1]:25: Connection timed out\n"
            "Will-Retry-Until: Sat, 28 Nov 2026 09:00:00 +0000 (UTC)",
            "text/rfc822-headers",
        ),
        Kind.TEMPORARY,
        "4.4.1",
        "could not be reached",
    ),
    "exim-delayed": Sample(
        """
Return-path: <>
From: Mail Delivery System <Mailer-Daemon@relay.example>
To: portal@portal.example
Subject: Warning: message 1exim-0000 delayed 24 hours
Auto-Submitted: auto-replied
In-Reply-To: %ID%
References: %ID%

This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on relay.example.

The address to which the message has not yet been delivered is:

  %TO%
    Delay reason: Connection timed out

No action is required on your part. Delivery attempts will continue for some time.
""",
        Kind.TEMPORARY,
    ),
    "german": Sample(
        """
Return-Path: <>
From: MAILER-DAEMON@provider.example
To: portal@portal.example
Subject: =?utf-8?q?Mail_delivery_failed=3A_Nachricht_nicht_zustellbar?=
In-Reply-To: %ID%
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body><p>Folgende Empfänger konnten nicht erreicht werden:</p>
<div>&lt;%TO%&gt;<br>550 5.1.1 Der Empfänger existiert nicht</div></body></html>
""",
        Kind.PERMANENT,
        "5.1.1",
        "no such mailbox",
        named=False,
    ),
    "opensmtpd": Sample(
        dsn(
            "From: Mailer Daemon <MAILER-DAEMON@opensmtpd.example>\nSubject: Delivery status notification: error",
            "Hi!\n\nThis is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n550 Invalid recipient: <%TO%>",
            "Reporting-MTA: dns; opensmtpd.example\n\nFinal-Recipient: rfc822; %TO%\nAction: error\nStatus: 5.0.0\n"
            "Diagnostic-Code: smtp; 550 Invalid recipient",
            "text/rfc822-headers",
        ),
        Kind.PERMANENT,
        "5.0.0",
        "no such mailbox",
    ),
    "delivered": Sample(
        dsn(
            "From: MAILER-DAEMON@mx.relay.example\nSubject: Successful Mail Delivery Report",
            "Your message was successfully delivered.",
            "Reporting-MTA: dns; mx.relay.example\n\nFinal-Recipient: rfc822; %TO%\nAction: delivered\nStatus: 2.0.0",
        ),
        Kind.DELIVERED,
    ),
    "read": Sample(
        """
From: Charles Babbage <%TO%>
To: portal@portal.example
Subject: Read: Northwind Tax: Dana Reyes sent you a survey
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="MD"

--MD
Content-Type: text/plain

Your message was read on Monday.

--MD
Content-Type: message/disposition-notification

Final-Recipient: rfc822; %TO%
Original-Message-ID: %ID%
Disposition: manual-action/MDN-sent-manually; displayed

--MD--
""",
        Kind.DELIVERED,
        named=False,
    ),
    "vacation": Sample(
        """
Return-Path: <>
From: Charles Babbage <%TO%>
To: portal@portal.example
Subject: Out of office: Northwind Tax: Dana Reyes sent you a survey
Auto-Submitted: auto-replied
In-Reply-To: %ID%
References: %ID%

I am away until Monday. Mail to old@x.example is undeliverable: 550 5.1.1 no such user. Delivery failed for ever.
""",
        Kind.AUTO_REPLY,
        named=False,
    ),
    "answer": Sample(
        """
From: Charles Babbage <%TO%>
To: portal@portal.example
Subject: Re: Northwind Tax: Dana Reyes sent you a survey
In-Reply-To: %ID%
References: %ID%

Thanks. My other address gave me this, what does it mean?

> Delivery to the following recipients failed.
>
>        someone@else.example
> 550 5.1.1 user unknown
""",
        Kind.NO_REPORT,
        named=False,
    ),
    "not-spam": Sample(
        f"""
From: <reports@provider.example>
Subject: not spam
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="FB"

--FB
Content-Type: message/feedback-report

Feedback-Type: not-spam
Version: 1

--FB
Content-Type: text/rfc822-headers

{ORIGINAL}
--FB--
""",
        Kind.NO_REPORT,
        named=False,
    ),
}
