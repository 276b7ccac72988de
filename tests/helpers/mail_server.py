"""A small SMTP server on loopback, by asyncio alone: takes mail, refuses what a test asks for, with and without TLS."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """What the server is told to do, and what it took.

    Attributes:
        refusals: answers to the next MAIL commands, one each, such as "451 later"; then all is taken.
        refused: recipients that are answered with a code, until they are taken out.
        user, password: a login that must be given where not empty.
    """

    refusals: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    user: str = ""
    password: str = ""
    port: int = 0
    took: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    sessions: int = 0
    encrypted: list[bool] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: object) -> None:
        self.sessions += 1
        recipients: list[str] = []
        allowed = not self.user

        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        await say("220 test")
        while line := await reader.readline():
            words = line.decode().strip()
            verb = words[:4].upper()
            if verb == "EHLO":
                secure = writer.get_extra_info("sslcontext") is not None
                more = [] if secure or context is None else ["STARTTLS"]
                await say("\r\n".join(f"250-{word}" for word in ["test", *more, "AUTH PLAIN"]) + "\r\n250 SMTPUTF8")
            elif verb == "STAR":
                await say("220 go")
                await writer.start_tls(context)  # type: ignore[arg-type]
            elif verb == "AUTH":
                _, user, password = base64.b64decode(words.split()[-1]).decode().split("\0")
                allowed = (user, password) == (self.user, self.password)
                await say("235 welcome" if allowed else "535 no")
            elif verb == "MAIL":
                recipients.clear()
                answer = self.refusals.pop(0) if self.refusals else "250 ok"
                await say(answer if allowed else "530 login first")
            elif verb == "RCPT":
                address = words[words.index("<") + 1 : words.index(">")]
                answer = self.refused.get(address, "250 ok")
                if answer.startswith("250"):
                    recipients.append(address)
                await say(answer)
            elif verb == "DATA":
                await say("354 go")
                data = await reader.readuntil(b"\r\n.\r\n")
                self.took.append((list(recipients), message_from_bytes(data[:-3], policy=policy.default)))  # type: ignore[arg-type]
                self.encrypted.append(writer.get_extra_info("sslcontext") is not None)
                await say("250 taken")
            elif verb == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 ok")


@contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **told: object
) -> Iterator[MailServer]:
    """Serve until the block ends."""
    server = MailServer(**told)  # type: ignore[arg-type]
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    sessions: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        try:
            await server.handle(reader, writer, starttls)
        finally:
            writer.close()
            # A client may leave without a word of TLS.
            with suppress(OSError):
                await writer.wait_closed()

    async def serve() -> None:
        listening = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        async with listening:
            await stop.wait()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
