"""What the author of a problem reads if its code fails."""

import pytest
from problems import grades
from xblocks_contrib.problem.capa.responsetypes import LoncapaProblemError, ResponseError
from xblocks_contrib.problem.capa.safe_exec.safe_exec import normalize_error_message

FAILURE = "Couldn't execute jailed code: stdout: b'', stderr: b'{}' with status code: {}"
SEE_LOGS = ". For more information check Codejail Service logs."


def author_reads(failure):
    """The message, without the client's HTML escapes and without the parts that differ from run to run."""
    return normalize_error_message(failure.value.args[0].unescape())


def test_a_script_that_raises_is_shown_to_the_author(problem):
    with pytest.raises(LoncapaProblemError) as failure:
        problem("""
            <problem>
              <script type="loncapa/python">
            limit = 3
            raise ValueError('no root below ' + str(limit))
              </script>
            </problem>
        """)
    traceback = (
        r"Traceback (most recent call last):\n"
        r'  File "jailed_code", line XXX, in <module>\n'
        r"    exec(code, g_dict)\n"
        r'  File "<string>", line XXX, in <module>\n'
        r"ValueError: no root below 3\n"
    )
    assert author_reads(failure) == ("Error while executing script code: " + FAILURE.format(traceback, 1) + SEE_LOGS)


def test_a_script_that_never_ends_is_stopped_at_its_time_limit(problem):
    with pytest.raises(LoncapaProblemError) as failure:
        problem("""
            <problem>
              <script type="loncapa/python">
            import time
            time.sleep(3600)
              </script>
            </problem>
        """)
    assert author_reads(failure) == ("Error while executing script code: " + FAILURE.format("", -9) + SEE_LOGS)


@pytest.mark.parametrize(
    ("answer", "stderr", "status"),
    [
        (
            "oops",
            r"Traceback (most recent call last):\n"
            r'  File "jailed_code", line XXX, in <module>\n'
            r"    exec(code, g_dict)\n"
            r'  File "<string>", line XXX, in <module>\n'
            r'  File "<string>", line XXX, in check\n'
            r"KeyError: 'oops'\n",
            1,
        ),
        ("sleep", "", -9),
        ("crash", "", -6),
    ],
)
def test_a_check_function_that_fails_is_a_response_error(problem, answer, stderr, status):
    fragile = problem("""
        <problem>
          <script type="loncapa/python">
        import os, time

        def check(expect, answer):
            {'sleep': lambda: time.sleep(3600), 'crash': os.abort, 'fine': int}[answer]()
            return True
          </script>
          <customresponse cfn="check"><textline label="Anything"/></customresponse>
        </problem>
    """)
    with pytest.raises(ResponseError) as failure:
        grades(fragile, _2_1=answer)
    # Python's repr of the bytes escapes the quote.
    stderr = stderr.replace("'oops'", r"\'oops\'")
    message = normalize_error_message(failure.value.args[0])
    assert message == FAILURE.format(stderr, status) + SEE_LOGS
    assert grades(fragile, _2_1="fine") == [("correct", 1, "")]
