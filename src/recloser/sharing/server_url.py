"""Check the URL of a Redis server, with all its options, before anything connects.

redis-py reports an option that it does not know only when a thread connects, again and again. An
option such as ``socket_timeout`` would replace the timeouts that callers rely on.
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
    "the URL can't be read as that of a Redis server: write redis://user:password@host:6379/0, "
    "with what is special in user and password as %XX"
)
_OURS: Final = {"valkey": "redis", "valkeys": "rediss"}
_TIMES: Final = ("socket_timeout", "socket_connect_timeout", "timeout")


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


_ANYWHERE: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "db": (_is_whole, "the number of a database"),
    "protocol": (lambda value: value in ("2", "3"), "2 or 3"),
    "username": (_is_text, "a name"),
    "password": (_is_text, "a password"),
    "client_name": (_is_text, "a name"),
    "health_check_interval": (_is_whole, "a whole number of seconds"),
}
_OVER_TCP: Final = {"socket_keepalive": (_is_yes_or_no, "yes or no")}
_OVER_TLS: Final = {
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
    "ssl_min_version": (_is_tls_version, "a version as ssl.TLSVersion numbers them"),
    "ssl_ciphers": (_is_text, "names of ciphers"),
}


@frozen
class Address:
    """Where a server is.

    Attributes:
        url: The URL, by a scheme that redis-py knows.
        place: The URL without user, password and options, for messages.
    """

    url: str
    place: str


def address_of(url: str) -> Address:
    """Read and check the URL of a server.

    Raises:
        ConfigError: It is not the URL of a Redis server, or has an option that it can't have; the
            message holds no value of it.
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
        raise ConfigError(UNREADABLE)  # a password with a / ? or # in it
    _check_options(scheme, options)
    rest = url.partition("://")[2]
    address = f"{_OURS.get(scheme, scheme)}://{rest}"
    if scheme == "unix":
        return Address(address, f"unix://{parts.path}")
    if parts.path not in ("", "/") and not _is_whole(parts.path[1:]):
        raise ConfigError(
            "the URL of a Redis server ends with the number of a database: redis://host:6379/0"
        )
    where = f"[{host}]" if ":" in host else host
    port_text = "" if port is None else f":{port}"
    return Address(address, f"{scheme}://{where}{port_text}{parts.path}")


def _check_options(scheme: str, options: list[tuple[str, str]]) -> None:
    is_tls = scheme in ("rediss", "valkeys")
    known: dict[str, tuple[Callable[[str], bool], str]] = dict(_ANYWHERE)
    if scheme != "unix":
        known |= _OVER_TCP
    if is_tls:
        known |= _OVER_TLS
    for name, value in options:
        if name in _TIMES:
            raise ConfigError(
                f"the URL can't have the option {name}; give timeout_seconds to RedisLog"
            )
        if name in _OVER_TLS and not is_tls:
            raise ConfigError(f"the URL has the option {name}, which needs rediss:// in front")
        if name not in known:
            raise ConfigError(_unknown(name, known))
        is_so, wanted = known[name]
        if not is_so(value):
            raise ConfigError(f"the URL's option {name} must be {wanted}")
    if is_tls:
        _check_certificates(dict(options))


def _unknown(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"it can have {', '.join(known)}"
    return f"the URL has an option that it can't have, {name[:50]!r}: {meant}"


def _check_certificates(options: Mapping[str, str]) -> None:
    """Load what a connection would load."""
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name = "ssl_certfile"
    try:
        if "ssl_certfile" in options or "ssl_keyfile" in options:
            context.load_cert_chain(
                options.get("ssl_certfile", options.get("ssl_keyfile")),
                options.get("ssl_keyfile"),
                # Without one, OpenSSL would ask for it at the terminal.
                options.get("ssl_password", ""),
            )
        name = "ssl_ca_certs"
        if name in options or "ssl_ca_path" in options:
            context.load_verify_locations(options.get(name), options.get("ssl_ca_path"))
        name = "ssl_ciphers"
        if name in options:
            context.set_ciphers(options[name])
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(f"the URL's option {name} names nothing that can be used") from None
