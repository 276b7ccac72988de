"""Send a notice by mail: SMTP with TLS, tried a few times, to those who have not got it yet."""

import os
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import formatdate

from covidctnet.errors import NotificationError
from integrations.notifications import MailTarget, Notice, NotificationSettings

_PERMANENT = 500


def send_mail(target: MailTarget, notice: Notice, settings: NotificationSettings) -> None:
    """Send until the server takes it for every recipient.

    Raises:
        NotificationError: it was refused, or all tries failed; no address is named.
    """
    message = _compose(target, notice)
    left, problem = list(target.recipients), ""
    for number in range(settings.tries):
        if number:
            time.sleep(settings.wait_seconds * 2.0 ** (number - 1))
        try:
            refused = _send(target, message, left, settings.timeout_seconds)
        except smtplib.SMTPRecipientsRefused as error:
            refused = {address: code for address, (code, _) in error.recipients.items()}
        except smtplib.SMTPResponseException as error:
            problem = f"code {error.smtp_code}"
            if error.smtp_code >= _PERMANENT:
                break
            continue
        except (OSError, smtplib.SMTPException) as error:
            problem = type(error).__name__
            continue
        if not refused:
            return
        left = [address for address in left if address in refused]
        problem = f"{len(left)} of {len(target.recipients)} recipients refused"
        if all(code >= _PERMANENT for code in refused.values()):
            break
    raise NotificationError(f"the mail server did not take the notice ({problem})")


def _compose(target: MailTarget, notice: Notice) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"covidctnet: {notice.title}"
    message["From"] = target.sender
    message["To"] = ", ".join(target.recipients)
    message["Date"] = formatdate(usegmt=True)
    # The same for the same notice: a mail that was sent twice is known as one.
    message["Message-ID"] = f"<{notice.identifier}@covidctnet.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.to_text())
    return message


def _send(target: MailTarget, message: EmailMessage, recipients: list[str], timeout: float) -> dict[str, int]:
    context = ssl.create_default_context(cafile=target.ca_file or None)
    # A name of this machine is nobody's business.
    if target.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            target.host, target.port, local_hostname="localhost", timeout=timeout, context=context
        )
    else:
        server = smtplib.SMTP(target.host, target.port, local_hostname="localhost", timeout=timeout)
    with server:
        if target.security == "starttls":
            server.starttls(context=context)
        user = os.environ.get(target.user_variable, "")
        if user:
            server.login(user, os.environ.get(target.password_variable, ""))
        refused = server.send_message(message, target.sender, recipients)
    return {address: code for address, (code, _) in refused.items()}
