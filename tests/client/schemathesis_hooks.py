"""schemathesis loads this first (SCHEMATHESIS_HOOKS): it puts a payload into a form."""

import json

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """The field is JSON, as the description's `encoding` says. schemathesis heeds that in multipart bodies only."""
    if isinstance(case.body, dict) and not isinstance(case.body.get("payload", ""), str):
        case.body = {**case.body, "payload": json.dumps(case.body["payload"])}
