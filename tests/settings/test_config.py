"""Every file in conf/ composes and passes the checks; choices are those that the modules have; help needs no torch."""

import re
import sys

import pytest
import yaml
from helpers.command_line import ROOT, shell
from helpers.command_line import composed_config as composed

from lstmlm.layers.registry import BACKENDS
from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model import initialization
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import SETTINGS, settings_before
from lstmlm.settings.hydra_yaml import to_words, to_yaml
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.text import batches, preprocess
from lstmlm.training import backprop, optim

CONF = ROOT / "conf"
IN_GROUPS = {"backend", "data.name", "data.path"}  # their values are in the files of a group


@pytest.mark.parametrize("path", sorted(CONF.rglob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_file_composes_and_passes_the_checks(path):
    config = composed(f"{path.parent.name}={path.stem}")
    assert set(flatten(config)) == set(SETTINGS)


def choices(name: str) -> set[str]:
    return set(SETTINGS[name].choices)


def test_choices_are_what_the_modules_have():
    groups = {name: {path.stem for path in (CONF / name).glob("*.yaml")} for name in ("backend", "data")}
    assert choices("backend") == {b for backends in BACKENDS.values() for b in backends} == groups["backend"]
    assert choices("model.cell") | {"gru_before"} == set(BACKENDS) == set(WEIGHT_NAMES)
    assert choices("model.init") == set(initialization.INITS)
    assert choices("data.preprocess") == set(preprocess.PREPROCESS)
    assert choices("data.sampling") == set(batches.STREAMS)
    assert choices("train.optimizer") == set(optim.OPTIMIZERS)
    assert choices("train.schedule") == set(optim.SCHEDULES)
    assert choices("train.precision") == set(backprop.PRECISIONS)


def test_every_setting_is_checked_by_choice_bound_or_type():
    by_type = {
        "resume",
        "init_from",
        "data.name",
        "data.path",
        "data.val_path",
        "data.test_path",
        "data.split",
        "data.encoding",
    }
    by_type |= {"data.column", "data.label", "sample.prompt", "train.book_report", "train.baselines"}
    assert {name for name, facts in SETTINGS.items() if not facts.choices and not facts.is_bounded} == by_type


def test_a_number_that_no_float_holds_is_refused_as_any_other_out_of_bounds():
    with pytest.raises(BadInput, match=r"^train.max_steps: must be finite and 1 or more, got a number of 1,329 bits"):
        SETTINGS["train.max_steps"].check("train.max_steps", 10**400)


def test_the_comments_of_the_configuration_file_are_the_help_texts():
    """In conf/config.yaml the comment behind a setting, continued on lines of comment alone, is its help."""
    found, group, name = {}, "", ""
    for line in (CONF / "config.yaml").read_text(encoding="utf-8").split("\nhydra:")[0].splitlines():
        if match := re.fullmatch(r"(\w+):(?: +#.*)?", line):
            group = match[1] + "."
        elif match := re.fullmatch(r"( *)(\w+): .*?  # (.*)", line):
            name = (group if match[1] else "") + match[2]
            found[name] = match[3].strip()
    told = {name: facts.help for name, facts in SETTINGS.items() if name not in IN_GROUPS}
    assert {name: text for name, text in found.items() if name in SETTINGS} == told


def test_what_a_file_from_before_a_setting_lacks_is_as_it_then_was():
    flat = flatten(composed())
    old = {key: value for key, value in flat.items() if key not in settings_before()}
    assert flatten(config_from_flat(old)) == flat | settings_before()
    changed = {key for key, value in settings_before().items() if flat[key] != value}
    assert changed == {"data.join", "train.rules"}  # new runs follow new rules, old ones keep theirs


@pytest.mark.parametrize("setting", ["encoding=latin-1", "normalize=nfc", "min_freq=2", "preprocess=d2l"])
def test_what_bytes_do_not_need_is_refused(setting):
    with pytest.raises(BadInput, match=f"data.{setting.split('=')[0]}: has no effect with data.vocab=byte"):
        composed("data.vocab=byte", f"data.{setting}")


def test_the_command_line_beats_the_experiment_beats_the_defaults():
    assert composed().train.optimizer == "adamw"
    assert composed("experiment=d2l").train.optimizer == "sgd"
    assert composed("experiment=d2l", "train.optimizer=adamw").train.optimizer == "adamw"
    assert composed("experiment=d2l").data.name == "time_machine"


def test_the_books_run_has_the_books_settings():
    config = composed("experiment=d2l")
    data, train = config.data, config.train
    assert (data.batch_size, data.num_steps, config.model.num_hiddens, train.max_epochs) == (32, 35, 256, 500)
    assert (train.lr, train.grad_clip, config.model.init, data.preprocess) == (1.0, 1.0, "d2l", "d2l_classic")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train.lrr=1"], "train.lrr: no such setting: did you mean train.lr?"),
        (["train.lr=-1"], "train.lr: must be finite and more than 0"),
        (["train.lr=1,2"], "train.lr=1,2: several values are a sweep"),
        (["backend=foo"], "backend=foo: no such option"),
        (["--foo"], "--foo: cannot be read as a setting"),
        (["resume=auto"], "resume: has no effect here"),
        (["hydra.run.dir=x"], "hydra.run.dir: has no effect here"),
    ],
)
def test_overrides_of_a_command_fail_in_one_line_as_those_of_train(words, says):
    with pytest.raises(BadInput, match=re.escape(says)) as caught:
        composed(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["it's.txt", "a,b.txt", "foo(1).txt"])
def test_overrides_of_a_command_take_odd_file_names_as_typed(name):
    assert composed("data=file", f"data.path={name}").data.path == name


OVERRIDES = [
    ["init_from=runs/it's mine", "model.num_hiddens=24"],
    ["experiment=d2l", "backend=nn"],
    ["data=file", "data.path=it's (1), [a].txt", "data.split=[[0,10],[10,20],[20,31]]", "train.lr=1e-5"],
    ["model.cell=gru", "model.embedding_dim=16", "train.max_epochs=null", "train.max_seconds=90.5"],
    ["sample.prompt=two words\n", "train.book_report=true", "train.grad_clip=null"],
    ["sample.prompt='\\'tis null'"],
    ["sample.prompt=''"],
    ["sample.prompt='null'"],
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=str)
def test_words_give_back_the_settings(overrides):
    config = composed(*overrides)
    assert flatten(composed(*to_words(config))) == flatten(config)


def test_words_name_only_what_is_not_default():
    assert to_words(composed()) == []
    assert to_words(composed("seed=3", "data=time_machine", "backend=nn")) == [
        "backend=nn",
        "seed=3",
        "data=time_machine",
    ]


def test_yaml_gives_back_the_settings():
    assert flatten(yaml.safe_load(to_yaml(composed()))) == flatten(composed())


def test_help_and_import_do_not_import_torch():
    probe = "import sys; {}; assert 'torch' not in sys.modules, 'torch was imported'"
    assert shell("-c", probe.format("import lstmlm, lstmlm.settings.config, lstmlm.cli")).returncode == 0
    for words in (["train.py", "--help"], ["train.py", "-sc", "query=bash"], ["-m", "lstmlm", "--help"]):
        done = shell("-X", "importtime", *words, env={"COMP_LINE": "train.py backend=", "COMP_POINT": "17"})
        assert done.returncode == 0 and " torch\n" not in done.stderr


def test_completion_offers_the_backends():
    done = shell("train.py", "-sc", "query=bash", env={"COMP_LINE": "python train.py backend=", "COMP_POINT": "24"})
    assert done.returncode == 0 and set(done.stdout.split()) == {
        f"backend={name}" for name in SETTINGS["backend"].choices
    }


def test_the_python_of_this_test_is_one_that_the_project_names():
    requires = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert sys.version_info >= (int(requires[1]), int(requires[2]))
