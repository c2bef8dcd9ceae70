"""JSON output is strict: an infinity or a NaN is a string, wherever it lies."""

import json
import math

from lstmlm.system.json_text import encode_json


def test_infinities_and_nans_become_strings_at_any_depth():
    text = encode_json({"a": math.inf, "b": [1.5, -math.inf, {"c": (math.nan, 2)}], "d": "inf"})
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "a": "inf",
        "b": [1.5, "-inf", {"c": ["nan", 2]}],
        "d": "inf",
    }


def test_other_values_are_encoded_as_by_json():
    value = {"a": [1, 2.5, None, True, "naïve"], "b": {"c": 1e300}}
    assert encode_json(value) == json.dumps(value)
