"""Check the URL of a Redis server and all its options, before anything connects.

redis-py reports an unknown option only when a thread connects, and does so at each attempt. An option
such as ``socket_timeout`` would override the timeouts that callers rely on.
"""

import ssl
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from recloser.errors import ConfigError

SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys", "unix")
UNREADABLE: Final = (
    "cannot read the URL as that of a Redis server: write redis://user:password@host:6379/0, "
    "with special characters in user and password as %XX"
)
_REDIS_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
_TIMEOUT_OPTIONS: Final = ("socket_timeout", "socket_connect_timeout", "timeout")


def _is_text(value: str) -> bool:
    return value != ""


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _is_yes_or_no(value: str) -> bool:
    return value.lower() in ("0", "f", "false", "n", "no", "1", "t", "true", "y", "yes")


def _is_file(value: str) -> bool:
    try:
        with Path(value).open("rb"):
            return True
    except (OSError, ValueError):
        return False


def _is_folder(value: str) -> bool:
    try:
        return Path(value).is_dir()
    except (OSError, ValueError):
        return False


def _is_tls_version(value: str) -> bool:
    return _is_whole(value) and int(value) in list(ssl.TLSVersion)


_COMMON_OPTIONS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "db": (_is_whole, "the number of a database"),
    "protocol": (lambda value: value in ("2", "3"), "2 or 3"),
    "username": (_is_text, "a name"),
    "password": (_is_text, "a password"),
    "client_name": (_is_text, "a name"),
    "health_check_interval": (_is_whole, "a whole number of seconds"),
}
_TCP_OPTIONS: Final = {"socket_keepalive": (_is_yes_or_no, "yes or no")}
_TLS_OPTIONS: Final = {
    "ssl_ca_certs": (_is_file, "a file that can be read"),
    "ssl_ca_path": (_is_folder, "a folder"),
    "ssl_certfile": (_is_file, "a file that can be read"),
    "ssl_keyfile": (_is_file, "a file that can be read"),
    "ssl_password": (_is_text, "a password"),
    "ssl_cert_reqs": (
        lambda value: value in ("none", "optional", "required"),
        "none, optional or required",
    ),
    "ssl_check_hostname": (_is_yes_or_no, "yes or no"),
    "ssl_min_version": (_is_tls_version, "a number from ssl.TLSVersion"),
    "ssl_ciphers": (_is_text, "names of ciphers"),
}


@frozen
class ServerUrl:
    """A checked URL of a server.

    Attributes:
        url: The URL, with a scheme that redis-py knows.
        address: The URL without user, password and options, for messages.
    """

    url: str
    address: str


def parse_server_url(url: str) -> ServerUrl:
    """Parse and check the URL of a server.

    Raises:
        ConfigError: It is not the URL of a Redis server, or has an option that is not allowed. The
            message contains no values from the URL.
    """
    scheme = url.partition("://")[0] if isinstance(url, str) else ""
    if scheme not in SCHEMES or "://" not in url:
        raise ConfigError(f"the URL of a Redis server begins with {'://, '.join(SCHEMES)}://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise ConfigError(UNREADABLE) from None
    if "@" in url and "@" not in parts.netloc:
        raise ConfigError(UNREADABLE)  # a / ? or # in the password ended the host
    _check_options(scheme, options)
    rest = url.partition("://")[2]
    known_url = f"{_REDIS_SCHEMES.get(scheme, scheme)}://{rest}"
    if scheme == "unix":
        return ServerUrl(known_url, f"unix://{parts.path}")
    if parts.path not in ("", "/") and not _is_whole(parts.path[1:]):
        raise ConfigError(
            "the URL of a Redis server ends with the number of a database: redis://host:6379/0"
        )
    where = f"[{host}]" if ":" in host else host
    port_text = "" if port is None else f":{port}"
    return ServerUrl(known_url, f"{scheme}://{where}{port_text}{parts.path}")


def _check_options(scheme: str, options: list[tuple[str, str]]) -> None:
    is_tls = scheme in ("rediss", "valkeys")
    known: dict[str, tuple[Callable[[str], bool], str]] = dict(_COMMON_OPTIONS)
    if scheme != "unix":
        known |= _TCP_OPTIONS
    if is_tls:
        known |= _TLS_OPTIONS
    for name, value in options:
        if name in _TIMEOUT_OPTIONS:
            raise ConfigError(
                f"the URL cannot have the option {name}; give timeout_seconds to RedisLog"
            )
        if name in _TLS_OPTIONS and not is_tls:
            raise ConfigError(f"the URL has the option {name}, which needs rediss://")
        if name not in known:
            raise ConfigError(_unknown_option(name, known))
        is_valid, wanted = known[name]
        if not is_valid(value):
            raise ConfigError(f"the URL's option {name} must be {wanted}")
    if is_tls:
        _check_certificates(dict(options))


def _unknown_option(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(known)}"
    return f"the URL has an unknown option, {name[:50]!r}: {hint}"


def _check_certificates(options: Mapping[str, str]) -> None:
    """Load the certificates and ciphers as a connection would."""
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name = "ssl_certfile"
    try:
        if "ssl_certfile" in options or "ssl_keyfile" in options:
            context.load_cert_chain(
                options.get("ssl_certfile", options.get("ssl_keyfile")),
                options.get("ssl_keyfile"),
                # Without a password, OpenSSL would ask for it at the terminal.
                options.get("ssl_password", ""),
            )
        name = "ssl_ca_certs"
        if name in options or "ssl_ca_path" in options:
            context.load_verify_locations(options.get(name), options.get("ssl_ca_path"))
        name = "ssl_ciphers"
        if name in options:
            context.set_ciphers(options[name])
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(f"the URL's option {name} cannot be used") from None
