"""Passwords and tokens of addresses are hidden wherever they stand in a text."""

import pickle
from pathlib import Path

import pytest

from gpt_core.artifact import to_json_value
from gpt_core.config import GPT2ImportConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.redaction import redact, split_authorization, split_user

SECRET = "c4n4ry"


@pytest.mark.parametrize(
    "address",
    [
        f"https://me:{SECRET}@host.example",
        f"http://{SECRET}@host.example/path",
        f"https://{SECRET}:x-oauth-basic@host.example/path",
        f"postgresql+psycopg://me:{SECRET}@host:5432/name",
        f"http://me:p@{SECRET}@host/",
        f"http://me:pa/{SECRET}@host/",
        f"http://me:pa#{SECRET}@host/",
        f"{Path(f'http://me:{SECRET}@host/file')}",
        f"HTTPS://me:{SECRET}@host",
        f"https://host/?token={SECRET}",
        f"https://host/?a=1&access_token={SECRET}#part",
        f"https://host/file?X-Amz-Signature={SECRET}&X-Amz-Expires=60",
        f"https://host/file?X-Amz-Credential={SECRET}%2F20261126",
        f"https://host/file?X-Amz-Security-Token={SECRET}",
        f"https://host/file?X-Goog-Signature={SECRET}",
        f"https://host/file?AWSAccessKeyId={SECRET}&Signature={SECRET}",
        f"https://host/file?sv=2020&sig={SECRET}",
        f"https://host/file?api_key={SECRET}&apikey={SECRET}&key={SECRET}",
        f"https://host/file?client_secret={SECRET};password={SECRET}",
        f"https://host/#access_token={SECRET}",
    ],
)
def test_no_part_of_an_address_keeps_a_secret(address: str) -> None:
    for text in (address, f"could not open '{address}': refused", f'["{address}", "{address}"]'):
        hidden = redact(text)
        assert SECRET not in hidden
        assert redact(hidden) == hidden
    assert "host" in redact(address)


@pytest.mark.parametrize(
    "text",
    [
        "https://host.example/@me/page?page=2&author=x",
        "http://127.0.0.1:4200/api",
        "http://127.0.0.1:4200/@me",
        "C:/@me/a:b@c",
        "ssh me@host.example and a:b@c",
        "https://host.example, write to me@host.example",
        "sqlite:////srv/mlflow.db",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_every_error_hides_what_its_message_names() -> None:
    error = DataError(f"https://me:{SECRET}@host answers 404")
    assert str(error) == "https://***@host answers 404"
    assert SECRET not in repr(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(ConfigError()) == ""


def test_configurations_are_hashed_and_recorded_without_passwords() -> None:
    config = GPT2ImportConfig(mirrors=(f"https://me:{SECRET}@host",))
    assert SECRET not in str(to_json_value(config))


def test_an_address_is_split_into_place_and_user() -> None:
    assert split_user("https://host/a?b#c") == ("https://host/a?b#c", "", "")
    assert split_user("http://me@host") == ("http://host", "me", "")
    assert split_authorization("http://:p@h") == ("http://h", "Basic OnA=")
