"""An invalid URL is refused in one line when the log is created, not later."""

import shutil
import subprocess

import pytest

from recloser import ConfigError
from recloser.sharing.redis_log import RedisLog
from recloser.sharing.server_url import parse_server_url

HOST = "redis://host:6379/0"
SECURE = "rediss://host:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        HOST,
        f"{HOST}?protocol=3&client_name=shop&health_check_interval=10&socket_keepalive=yes",
        "redis://host?db=3&username=me&password=pa%26ss",
        f"{SECURE}?ssl_cert_reqs=none&ssl_check_hostname=false",
        "valkeys://host",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_valid_urls_are_accepted(url):
    RedisLog(url).close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{HOST}?socket_timeout=30", "socket_timeout; give timeout_seconds to RedisLog"),
        (f"{HOST}?socket_connect_timeout=30", "give timeout_seconds to RedisLog"),
        (f"{HOST}?timeout=30", "give timeout_seconds to RedisLog"),
        (f"{HOST}?decode_responses=true", "'decode_responses'"),
        (f"{HOST}?retry_on_timeout=true", "'retry_on_timeout'"),
        (f"{HOST}?max_connections=1", "'max_connections'"),
        (f"{HOST}?encoding=utf-16", "'encoding'"),
        (f"{HOST}?protcol=3", "did you mean protocol?"),
        (f"{HOST}?whatever=1", "options are db, protocol, "),
        (f"{HOST}?protocol=4", "protocol must be 2 or 3"),
        (f"{HOST}?protocol=", "protocol must be 2 or 3"),
        (f"{HOST}?db=first", "db must be the number of a database"),
        (f"{HOST}?db=-1", "db must be the number of a database"),
        (f"{HOST}?socket_keepalive=perhaps", "socket_keepalive must be yes or no"),
        (f"{HOST}?health_check_interval=soon", "health_check_interval must be a whole number"),
        ("redis://host/first", "ends with the number of a database"),
        ("redis://host/0/1", "ends with the number of a database"),
        ("redis://host:99999/0", "cannot read the URL"),
        (f"{HOST}?ssl_ca_certs=/x", "ssl_ca_certs, which needs rediss://"),
        (
            f"{SECURE}?ssl_ca_certs=/is/not/there.pem",
            "ssl_ca_certs must be a file that can be read",
        ),
        (f"{SECURE}?ssl_ca_path=/is/not/there", "ssl_ca_path must be a folder"),
        (f"{SECURE}?ssl_ca_certs={__file__}", "ssl_ca_certs cannot be used"),
        (f"{SECURE}?ssl_certfile={__file__}", "ssl_certfile cannot be used"),
        (f"{SECURE}?ssl_cert_reqs=maybe", "ssl_cert_reqs must be none, optional or required"),
        (f"{SECURE}?ssl_min_version=9", "ssl_min_version must be a number from ssl.TLSVersion"),
        (f"{SECURE}?ssl_ciphers=ROT13", "ssl_ciphers cannot be used"),
        ("unix:///run/redis.sock?socket_keepalive=yes", "'socket_keepalive'"),
    ],
)
def test_invalid_url_is_refused_in_one_line(url, expected):
    with pytest.raises(ConfigError) as refused:
        RedisLog(url)
    message = str(refused.value)
    assert expected in message
    assert "URL" in message
    assert "\n" not in message


def test_error_message_contains_no_value_of_the_url():
    for option in ("db", "protocol", "password=x&socket_keepalive"):
        with pytest.raises(ConfigError) as refused:
            parse_server_url(f"{HOST}?{option}=hunter2")
        assert "hunter2" not in str(refused.value)


def test_encrypted_key_without_a_password_is_refused_without_a_prompt(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-passout", "pass:open", "-days", "1", "-subj", "/CN=x", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    url = f"{SECURE}?ssl_certfile={certificate}&ssl_keyfile={key}"
    with pytest.raises(ConfigError, match="ssl_certfile cannot be used"):
        parse_server_url(url)
    assert parse_server_url(f"{url}&ssl_password=open").address == SECURE
