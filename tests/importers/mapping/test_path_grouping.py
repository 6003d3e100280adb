"""Ids in paths are replaced, so that requests for different things have one breaker."""

import pytest
from import_support import imported

from recloser.importers.mapping.path_grouping import group_ids


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/users/123", "/users/{id}"),
        ("GET /users/123/orders/7?page=2", "GET /users/{id}/orders/{id}"),
        ("/o/3fa85f64-5717-4562-b3fc-2c963f66afa6", "/o/{id}"),
        ("/o/507f1f77bcf86cd799439011#top", "/o/{id}"),
        ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"),
        ("/days/2024-05-01", "/days/{id}"),
        ("https://shop.example:8080/users/9", "https://shop.example:8080/users/{id}"),
        ("/api/v1/deadbeef/internationalization", "/api/v1/deadbeef/internationalization"),
        ("/", "/"),
        ("12345", "12345"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        (7, "7"),
        ("/" + "a" * 500_000, "/" + "a" * 500_000),
    ],
)
def test_ids_in_paths_are_replaced(path, group):
    assert group_ids(path) == group


def test_group_option_replaces_ids_in_breakers_and_not_in_labels(tmp_path):
    text = (
        '{"start_time":"2026-01-01T00:00:00Z","status":200,"method":"GET","path":"/users/12?x"}\n'
    )
    options = {"breaker": "{route}", "labels": ["path"]}
    (call,), _ = imported(tmp_path, text, is_grouped=True, **options)
    assert (call.breaker, call.labels) == ("GET /users/{id}", {"path": "/users/12?x"})
    (call,), _ = imported(tmp_path, text, **options)
    assert call.breaker == "GET /users/12"
