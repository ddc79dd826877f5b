"""What schemathesis loads before it begins (SCHEMATHESIS_HOOKS): how a form holds a payload."""

import json

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """The field is JSON, as the description's `encoding` says; schemathesis reads that for parts alone."""
    if isinstance(case.body, dict) and not isinstance(case.body.get("payload", ""), str):
        case.body = {**case.body, "payload": json.dumps(case.body["payload"])}
