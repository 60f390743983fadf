"""Hide the passwords and tokens of addresses in text that is shown, logged or recorded."""

import base64
import re
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN = "***"

_USER = re.compile(
    r"""(?P<scheme>\b(?!models:)         # a model's name and alias in MLflow
      [a-z][a-z0-9+.-]+:/{1,2})           # one slash in what was taken for a path
    (?: [^/?\#\s]*                          # a name and a password up to the host's "@"
      | [^/?\#\s@:]+:(?!\d*(?:[/?\#\s]|$))[^\s"'<>]*  # a password with a "/" or "#", unescaped
    )@""",
    re.VERBOSE | re.IGNORECASE,
)
_QUERY = re.compile(
    r"""(?P<name>[?&;\#](?:[\w.~%+-]*
        (?:token|secret|passw|signature|credential|api[_-]?key|accesskey|auth(?!or))[\w.~%+-]*
        |key|sig|pwd|pass)=)
    [^&;\#\s"'<>]+""",
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace the user's name and password, and the tokens in the query, of every address.

    Both of user and password, because services take tokens in either place.

    Example:
        >>> redact("https://me:secret@host.example/a?page=2&X-Amz-Signature=0f3a is gone")
        'https://***@host.example/a?page=2&X-Amz-Signature=*** is gone'
        >>> redact("models:/mine@champion")
        'models:/mine@champion'
        >>> redact("https://host.example/@me?page=2")
        'https://host.example/@me?page=2'
    """
    if ":/" not in text:
        return text
    hidden = _USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _QUERY.sub(rf"\g<name>{HIDDEN}", hidden)


def split_user(url: str) -> tuple[str, str, str]:
    """Split an address into one without a user, the user's name and the password.

    Example:
        >>> split_user("https://me:p%40ss@host.example:8443/path")
        ('https://host.example:8443/path', 'me', 'p@ss')
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, which is for the caller to say
        return url, "", ""
    user, separator, place = parts.netloc.rpartition("@")
    if not separator:
        return url, "", ""
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=place)), unquote(name), unquote(password)


def split_authorization(url: str) -> tuple[str, str]:
    """Split an address into one without a user, and the header that authorizes that user.

    Example:
        >>> split_authorization("https://me:secret@host.example/")
        ('https://host.example/', 'Basic bWU6c2VjcmV0')
        >>> split_authorization("https://host.example/")
        ('https://host.example/', '')
    """
    plain, user, password = split_user(url)
    if plain == url:
        return url, ""
    return plain, f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
