"""Messages reach a webhook, a mail server and a block of Prefect; their addresses stay secret."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler
from aiosmtpd.smtp import AuthResult, LoginPassword
from http_server import free_port
from typing_extensions import override
from webhook import Hook

from gpt_core.config import NotifyConfig
from gpt_core.errors import ConfigError
from tasks import notifications
from tasks.notifications import ADDRESSES, Message, check_addresses, flush, send_message
from tasks.progress import Display, use_display

MESSAGE = Message("failed", "pretrain small failed", "source https://me:word@host is gone\nlink")
REDACTED = "source https://***@host is gone\nlink"
CONFIG = NotifyConfig()


class Notices(Display):
    def __init__(self) -> None:
        self.seen: list[str] = []

    @override
    def notice(self, message: str) -> None:
        self.seen.append(message)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().serving() as hook:
        yield hook


@pytest.fixture
def display() -> Iterator[Notices]:
    notices = Notices()
    with use_display(notices):
        yield notices


def test_a_webhook_gets_the_text_after_it_refused(
    hook: Hook, display: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESSES, hook.address)
    hook.refusals = 2
    started = time.monotonic()
    send_message(MESSAGE, CONFIG)
    assert time.monotonic() - started < 0.5, "nothing waits for a service"
    flush()
    ((path, body),) = hook.got
    assert path == "/hooks/s3cret?token=s3cret-too"
    assert body["text"] == f"{MESSAGE.title}\n{REDACTED}"
    assert display.seen == []


def test_only_the_events_that_are_wanted_are_sent(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESSES, hook.address)
    for event in ("completed", "failed", "crashed", "better"):
        send_message(Message(event, event, ""), NotifyConfig(on=("completed", "better")))
    flush()
    assert {body["text"].strip() for _, body in hook.got} == {"completed", "better"}


def test_a_service_that_is_away_is_a_notice_without_its_address(
    display: Notices, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notifications, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv(ADDRESSES, "http://127.0.0.1:1/hooks/s3cret nothing://s3cret")
    send_message(MESSAGE, CONFIG)
    flush()
    assert display.seen == [
        f"a notification was not sent: address {number} of {ADDRESSES}{error} did not take it"
        for number, error in ((1, ""), (2, ": ConfigError"))
    ]
    out, err = capfd.readouterr()
    assert "s3cret" not in out + err
    with pytest.raises(ConfigError, match=rf"address 2 of {ADDRESSES} must be") as refused:
        check_addresses()
    assert "s3cret" not in str(refused.value)


class Mails(MailHandler):
    """Keeps the mails that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    @override
    def handle_message(self, message: Any) -> None:
        self.got.append(message)


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate that nobody vouches for."""
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
        "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_mail_is_sent_with_a_password_over_tls(
    tmp_path: Path, display: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LoginPassword] = []

    def authenticate(server: object, session: object, *rest: Any) -> AuthResult:
        given.append(rest[-1])
        return AuthResult(success=rest[-1].password == b"s3cret")

    mails = Mails()
    controller = Controller(
        mails, hostname="127.0.0.1", port=free_port(), tls_context=certificate(tmp_path),
        require_starttls=True, auth_required=True, authenticator=authenticate,
    )  # fmt: skip
    controller.start()
    try:
        place = f"127.0.0.1:{controller.port}"
        people = "to=you@example.com&from=gptflow@example.com"
        monkeypatch.setenv(ADDRESSES, f"mailtos://me:s3cret@{place}/?{people}&verify=no")
        send_message(MESSAGE, CONFIG)
        flush()
    finally:
        controller.stop()
    assert display.seen == []
    (mail,) = mails.got
    assert mail["subject"] == MESSAGE.title
    assert mail["to"] == "you@example.com"
    text = "".join(part.get_payload(decode=True).decode() for part in mail.walk() if
                   not part.is_multipart())  # fmt: skip
    assert "source https://***@host is gone" in text
    assert given[0].login == b"me"


def test_a_block_of_prefect_is_used(
    hook: Hook, display: Notices, prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    monkeypatch.delenv(ADDRESSES, raising=False)
    block = CustomWebhookNotificationBlock(
        name="team", url=hook.address, json_data={"text": "{{subject}}: {{body}}"}
    )
    block.save("team", overwrite=True)
    send_message(MESSAGE, NotifyConfig(block=f"{block.get_block_type_slug()}/team"))
    send_message(MESSAGE, NotifyConfig(block="slack-webhook/nobody"))
    flush()
    assert [body["text"] for _, body in hook.got] == [f"{MESSAGE.title}: {REDACTED}"]
    assert len(display.seen) == 1
    assert "slack-webhook/nobody" in display.seen[0]
