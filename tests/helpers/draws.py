"""Settings of a draw, each alone and all together, and a small vocabulary."""

import pytest

from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import Vocab

VOCAB = Vocab("aaabbc\nde")  # 6 characters and <unk>

# Every setting alone, and all together
SETTINGS = {
    "cool": SamplingSettings(temperature=0.7),
    "argmax": SamplingSettings(temperature=0),
    "top_k": SamplingSettings(temperature=1, top_k=3),
    "top_p": SamplingSettings(temperature=1, top_p=0.6),
    "min_p": SamplingSettings(temperature=1, min_p=0.5),
    "penalty": SamplingSettings(temperature=1, repetition_penalty=20, penalty_window=4),
    "all": SamplingSettings(0.9, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.5, penalty_window=2),
}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
