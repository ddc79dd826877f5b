"""The description of the API that the service serves says what the service answers."""

import json

import jsonschema
import pytest
import requests

PATH = "/api/v0/code-exec"
GOOD = '{"code": "x = 1", "globals_dict": {}}'


@pytest.fixture(scope="module")
def document(service):
    return requests.get(f"{service}/api/v0/openapi.json", timeout=10).json()


def resolved(document, value):
    """The value that a `$ref` leads to; any other value as it is."""
    while isinstance(value, dict) and "$ref" in value:
        place = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        value = place
    return value


def assert_described(document, path, answer):
    """The document describes this answer for its path, method and status."""
    item = document["paths"][path]
    # A method that is not described gets an answer that a described method of the path can get.
    method = answer.request.method.lower()
    operations = [item[method]] if method in item else list(item.values())
    found = [operation["responses"].get(str(answer.status_code)) for operation in operations]
    response = next(filter(None, found), None)
    assert response, f"{method} {path}: {answer.status_code} is not described"
    for name, header in response.get("headers", {}).items():
        assert name in answer.headers, f"{method} {path}: no {name}"
        jsonschema.validate(answer.headers[name], resolved(document, header)["schema"])
    if method == "head":
        assert not answer.content
        return
    content_type = answer.headers["Content-Type"].split(";")[0]
    schema = response["content"][content_type]["schema"]
    body = json.loads(answer.text) if content_type == "application/json" else answer.text
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)


def test_the_document_is_openapi(document):
    assert document["openapi"].startswith("3.1.")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["responses"], f"{method} {path}"
            assert operation["operationId"]
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"]["Payload"])


@pytest.mark.parametrize(
    "status, body",
    [
        (200, {"data": {"payload": GOOD}}),
        (200, {"data": {"payload": '{"code": "1/0", "globals_dict": {"x": NaN}}'}}),
        (200, {"data": {"payload": GOOD}, "files": {"python_lib.zip": b""}}),
        (400, {"data": {"payload": "{"}}),
        (400, {"data": {"payload": "{}"}}),
        (400, {"data": {}}),
        (400, {"data": {"payload": GOOD}, "files": {"other": b""}}),
        (415, {"json": {}}),
    ],
)
def test_executions_are_answered_as_described(service, document, status, body):
    answer = requests.post(service + PATH, timeout=10, **body)
    assert answer.status_code == status
    assert_described(document, PATH, answer)
    if "json" not in body and status == 200:
        payload = json.loads(body["data"]["payload"])
        schema = {"$ref": "#/components/schemas/Payload", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(payload)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_other_path_and_method_is_answered_as_described(service, document, method):
    for path in document["paths"]:
        if (path, method) != (PATH, "POST"):
            assert_described(document, path, requests.request(method, service + path, timeout=10))


def test_allow_names_the_methods_that_are_described(service, document):
    for path, item in document["paths"].items():
        allow = requests.delete(service + path, timeout=10).headers["Allow"]
        assert sorted(allow.split(", ")) == sorted(method.upper() for method in item), path


def test_a_wrong_description_would_be_found(service, document):
    wrong = json.loads(json.dumps(document))
    wrong["components"]["schemas"]["Result"]["required"] = ["other"]
    answer = requests.post(service + PATH, data={"payload": GOOD}, timeout=10)
    with pytest.raises(jsonschema.ValidationError):
        assert_described(wrong, PATH, answer)
