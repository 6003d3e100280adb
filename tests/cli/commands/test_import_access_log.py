"""``recloser import access-log`` reads Envoy's text and JSON of any proxy."""

import json

import pytest

from recloser.cli import status_of

ENVOY = '[2026-01-01T00:00:00.250Z] "GET /p HTTP/1.1" 503 UO 0 1 2 3 "-" "c" "i" "b" "u"\n'
NGINX = {"time_iso8601": "2026-01-01T00:00:02Z", "request_time": "1.500", "host": "h"}
RETRIED = NGINX | {
    "status": "200",
    "upstream_status": "502, 200",
    "upstream_response_time": "1, 0.5",
}


def run(capsys, tmp_path, text, *options):
    (tmp_path / "trace").write_text(text)
    command = ["import", "access-log", str(tmp_path / "trace"), "-o", str(tmp_path / "log")]
    status = status_of([*command, "--breaker", "{target}", *options])
    return status, *capsys.readouterr()


def counts(text):
    answer = json.loads(text)
    return [answer[name] for name in ("calls", "succeeded", "failed", "ignored")]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("envoy", ENVOY, [1, 0, 0, 1]),
        ("envoy", ENVOY.replace("UO", "UF"), [1, 0, 1, 0]),
        ("json", json.dumps(RETRIED), [2, 1, 1, 0]),
        ("json", json.dumps(NGINX | {"status": "499"}), [1, 0, 0, 1]),
    ],
)
def test_access_log_defaults_are_those_of_the_format(capsys, tmp_path, form, text, expected):
    status, out, _ = run(capsys, tmp_path, text, "--format", form, "--json")
    assert (status, counts(out)) == (0, expected)


def test_failure_option_overrides_the_rules_of_the_format(capsys, tmp_path):
    status, out, _ = run(capsys, tmp_path, ENVOY, "--format", "envoy", "--failure", "UO", "--json")
    assert (status, counts(out)) == (0, [1, 0, 1, 0])


def test_key_option_names_the_keys_of_roles(capsys, tmp_path):
    text = json.dumps({"t": 1767225600, "ms": 5, "code": 500, "up": "bank", "status": "x"})
    keys = ["--key=start=t", "--key=duration_ms=ms", "--key=status=code", "--key=target=up"]
    status, out, _ = run(capsys, tmp_path, text, "--format", "json", *keys, "--json")
    assert (status, counts(out)) == (0, [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--key", "status=s"], "--key is for --format json, not for combined"),
        (["--format", "json", "--key", "x=y"], "--key is ROLE=KEY with a role of start, end"),
        (["--format", "json"], "no known format reads these lines"),
    ],
)
def test_wrong_options_are_reported_in_one_line(capsys, tmp_path, options, why):
    status, _, err = run(capsys, tmp_path, ENVOY, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert why in err
