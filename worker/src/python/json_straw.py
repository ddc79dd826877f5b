def json_safe(d):
    """The part of a dict that survives a round trip through JSON, as that round trip leaves it."""
    kept = {}
    for key, value in d.items():
        if key == "__builtins__":
            continue
        if not isinstance(value, (type(None), int, float, bytes, str, list, tuple, dict)):
            continue
        try:
            value = json.loads(json.dumps(_text_only(value)))
            key = json.loads(json.dumps(_text_only(key)))
        except Exception:
            continue
        kept[key] = value
    return json.loads(json.dumps(kept))


def _text_only(value):
    """The same value with byte strings decoded, also inside containers; raises if one is not UTF-8.

    Loops and no comprehensions: before Python 3.12 these are frames too, and a value of half the depth
    would meet the recursion limit.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, (list, tuple)):
        items = []
        for item in value:
            items.append(_text_only(item))
        return items
    if isinstance(value, dict):
        members = {}
        for key, item in value.items():
            members[_text_only(key)] = _text_only(item)
        return members
    return value
