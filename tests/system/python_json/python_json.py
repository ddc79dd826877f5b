"""The other side of the Rust tests here: it answers each line (a JSON array: a question and its texts) with one ASCII
line.

It asks CPython and jsonschema. They decide what is right, never this file.
"""

import json
import sys
import unicodedata

# The schema of the original's api/v0/views.py. jsonschema's choice among errors depends on it.
SCHEMA = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "globals_dict": {"type": "object"},
        "python_path": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "limit_overrides_context": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "slug": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "unsafely": {"type": "boolean"},
    },
    "required": ["code", "globals_dict"],
}


def hexed(text):
    return text.encode("utf-8", "surrogatepass").hex()


def version():
    return "{}.{}".format(*sys.version_info[:2])


def is_unassigned(char):
    """Whether a newer Unicode may have assigned it: any unassigned character but the last two of each plane."""
    return unicodedata.category(char) == "Cn" and ord(char) & 0xFFFE != 0xFFFE


def loads(text):
    """The result of json.loads: an error, or the value's repr, which tells 1, 1.0 and True apart."""
    try:
        value = json.loads(text)
        return "newer" if any(map(is_unassigned, json.dumps(value, ensure_ascii=False))) else "ok " + hexed(repr(value))
    except json.JSONDecodeError as error:
        return "syntax " + str(error)
    except ValueError as error:
        assert "Exceeds the limit" in str(error), error
        return "integer"


def nests(text):
    try:
        json.loads(text)
        return "ok"
    except RecursionError:
        return "deep"


def decode(text):
    return hexed(json.loads(text))


def bytes_repr(hex_bytes):
    return hexed(repr(bytes.fromhex(hex_bytes)))


def keys(text):
    """The keys of an object in their order, also those that are repeated."""
    return [key for key, _ in json.loads(text, object_pairs_hook=list)]


def merge(input_text, result_text, merged_text):
    result = json.loads(result_text)
    expected = json.loads(input_text) | result
    merged = json.loads(merged_text)
    same = expected.keys() == merged.keys() and all(repr(expected[key]) == repr(merged[key]) for key in expected)
    # No key may come from both sides, or the answer would grow with each call.
    kept = [key for key in keys(input_text) if key not in result]
    same = same and keys(merged_text) == kept + keys(result_text)
    return "same" if same else "expected " + ascii(expected)


def printable():
    """One letter for each code point, as far as this Python knows: Printable, Escaped or Unassigned."""

    def letter(char):
        return "P" if char.isprintable() else "U" if is_unassigned(char) else "E"

    return "".join(map(letter, map(chr, range(0x110000))))


def schema(text):
    import jsonschema

    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(json.loads(text))
    error = jsonschema.exceptions.best_match(errors)
    if error is None:
        return "fits"
    return hexed(f"Payload JSON did not match schema at path {error.json_path}: {error.message}")


QUESTIONS = {f.__name__: f for f in (version, loads, nests, decode, bytes_repr, merge, printable, schema)}

if __name__ == "__main__":
    for line in sys.stdin:
        question, *texts = json.loads(line)
        print(QUESTIONS[question](*texts))
