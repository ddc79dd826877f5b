"""`send_safe_exec_request_v0`: the one function of the client that talks to the service."""

import pytest
from codejail.safe_exec import SafeExecException
from xblocks_contrib.problem.capa.safe_exec.exceptions import CodejailServiceStatusError
from xblocks_contrib.problem.capa.safe_exec.remote_exec import send_safe_exec_request_v0
from xblocks_contrib.problem.capa.safe_exec.safe_exec import normalize_error_message


def send(code, globals_dict, **changes):
    return send_safe_exec_request_v0(
        {
            "code": code,
            "globals_dict": globals_dict,
            "python_path": None,
            "limit_overrides_context": "course-v1:Org+Course+Run",
            "slug": "a-problem",
            "unsafely": False,
            "extra_files": [],
            **changes,
        }
    )


def test_what_the_code_computes_is_merged_into_the_globals():
    globals_dict = {"a": 17, "b": [1, 2.5, None, True, "text", {"k": ["v"]}]}
    answer = send("c = a + 3\nb.append(c)\ndel a\n", globals_dict)
    assert answer == (None, None)
    assert globals_dict == {
        "a": 17,
        "b": [1, 2.5, None, True, "text", {"k": ["v"]}, 20],
        "c": 20,
    }


@pytest.mark.parametrize(
    "value",
    [10**4000, -(10**30), 5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2, 2**53 + 1],
    ids=lambda value: repr(value)[:25],
)
def test_a_number_comes_back_exactly_as_it_was_sent(value):
    globals_dict = {"sent": value}
    answer = send("received = [sent]", globals_dict)
    assert answer == (None, None)
    assert repr(globals_dict) == repr({"sent": value, "received": [value]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\x01\x7f",
        "äöü €",
        "漢字",
        "\N{GRINNING FACE}",
        "\ud800 unpaired",
        '"\\/\b\n',
        "\u2028<&>",
        "a" * 200_000,
    ],
    ids=lambda text: ascii(text)[:25],
)
def test_text_comes_back_exactly_as_it_was_sent(text):
    globals_dict = {"sent": text}
    answer = send("received = {sent: sent + '!'}", globals_dict)
    assert answer == (None, None)
    assert globals_dict == {"sent": text, "received": {text: text + "!"}}


def test_what_json_cannot_say_is_left_out():
    globals_dict = {}
    answer = send(
        "import math\nclass C: pass\nobject = C()\nset = {1}\nbytes = b'\\xff'\npair = (1, 2)\n",
        globals_dict,
    )
    assert answer == (None, None)
    assert globals_dict == {"pair": [1, 2]}


def test_an_exception_comes_back_as_emsg_and_leaves_the_globals_alone():
    globals_dict = {"a": 1}
    emsg, exception = send("a = 2\nb = 1 / 0\n", globals_dict)
    assert normalize_error_message(emsg) == (
        "Couldn't execute jailed code: stdout: b'', stderr: b'"
        r"Traceback (most recent call last):\n"
        r'  File "jailed_code", line XXX, in <module>\n'
        r"    exec(code, g_dict)\n"
        r'  File "<string>", line XXX, in <module>\n'
        r"ZeroDivisionError: division by zero\n"
        "' with status code: 1"
    )
    assert type(exception) is SafeExecException
    assert str(exception) == f"{emsg}. For more information check Codejail Service logs."
    assert globals_dict == {"a": 1}


def test_the_services_environment_does_not_reach_the_code():
    globals_dict = {}
    answer = send("import os\nnames = sorted(os.environ)\n", globals_dict)
    assert answer == (None, None)
    assert "TMPDIR" in globals_dict["names"]
    assert "CJS_TEST_ENV_LEAKAGE" not in globals_dict["names"]


@pytest.mark.parametrize(
    "changes",
    [
        {"unsafely": True},
        {"python_path": ["/etc"]},
        {"python_path": ["python_lib.zip", "other.zip"]},
        {"extra_files": [("other.zip", b"")]},
        {"slug": 5},
    ],
    ids=str,
)
def test_a_request_the_service_refuses_is_a_status_error(changes):
    globals_dict = {"a": 1}
    with pytest.raises(CodejailServiceStatusError) as refused:
        send("a = 2", globals_dict, **changes)
    assert refused.value.__cause__.response.status_code == 400
    assert globals_dict == {"a": 1}
