"""Formats are detected inside what container runtimes and loggers put around their lines."""

import json

import pytest
from import_support import ready

from recloser.importers.formats.format_description import format_named

CRI = "2021-09-15T16:13:47.1Z stdout F "
SYSLOG = "Sep 15 16:13:46 web nginx[2869]: "


def docker(line):
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": "2021-09-15T16:13:47Z"})


@pytest.mark.parametrize(
    ("name", "wrap", "wrapper"),
    [
        ("envoy-json", CRI.__add__, "cri"),
        ("envoy-default", docker, "docker-json"),
        ("istio", CRI.__add__, "cri"),
        ("ingress-nginx", docker, "docker-json"),
        ("nginx-combined", SYSLOG.__add__, "syslog"),
        ("apache-combined-us", SYSLOG.__add__, "syslog"),
        ("traefik-json", docker, "docker-json"),
        ("pino-http", CRI.__add__, "cri"),
        ("zap", docker, "docker-json"),
    ],
)
def test_format_is_detected_inside_a_wrapper(tmp_path, name, wrap, wrapper):
    sample = format_named(name).sample.strip().splitlines()
    breaker = format_named(name).breaker or "b"
    plain = ready(tmp_path, "\n".join(sample), breaker=breaker)
    expected = [(list(c.breaker), list(c.start), list(c.took), c.outcome) for c in plain.calls()]
    wrapped = ready(tmp_path, "\n".join(map(wrap, sample)), breaker=breaker)
    assert [each.name for each in wrapped.wrappers] == [wrapper]
    assert wrapped.format.description.name == name
    found = [(list(c.breaker), list(c.start), list(c.took), c.outcome) for c in wrapped.calls()]
    assert found == expected


def test_user_name_of_two_words_does_not_shift_the_host(tmp_path):
    line = '192.0.2.1 - jane doe [15/Sep/2021:16:13:48 +0000] "GET / HTTP/1.1" 200 5364 "-" "-"\n'
    assert ready(tmp_path, line, breaker="b").format.description.name != "apache-vhost"
