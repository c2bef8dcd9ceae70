"""Every recipe in conf/experiment says what it is, composes, and runs, here on a small text with small sizes."""

import re

import pytest
from helpers.command_line import ROOT, composed_config

from lstmlm.settings.hydra_yaml import to_words

RECIPES = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
SMALL = ["data=file", "data.path=small.txt", "data.vocab=char", "data.preprocess=raw", "data.split=[0.6,0.2,0.2]"]
SMALL += ["data.batch_size=4", "data.num_steps=8", "model.num_hiddens=8", "train.max_steps=3", "train.eval_every=2"]
SMALL += ["sample.prompt=null", "sample.length=5", "device=cpu"]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


@every_recipe
def test_a_recipe_opens_with_its_command_its_outcome_or_that_it_was_not_run_and_the_date(recipe):
    opening = " ".join(line[2:] for line in recipe.read_text().splitlines() if line.startswith("# "))
    assert f"python train.py experiment={recipe.stem}" in opening
    outcome = r"\[[\d., ]+\].* seeds?.*(CPU-seconds|minutes).*(Xeon|EPYC)"
    assert re.search(outcome, opening) or re.search(r"Not run: .*Estimate: .*because", opening)
    assert re.search(r"20\d\d-\d\d-\d\d", opening)


@every_recipe
def test_a_recipe_composes_and_runs(recipe, train, tmp_path):
    (tmp_path / "small.txt").write_text("the tide comes in and goes out.\n" * 30)
    words = [word for word in to_words(composed_config(f"experiment={recipe.stem}")) if not word.startswith("data")]
    assert words, "it changes nothing"
    code, out, err = train(f"experiment={recipe.stem}", *SMALL, "hydra.run.dir=run")
    assert (code, err) == (0, "")
    assert "val" in out
