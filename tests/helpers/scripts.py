"""Scripts outside the package (docs/), loaded as modules."""

from importlib import util
from types import ModuleType

from helpers.command_line import ROOT


def load_script(path: str) -> ModuleType:
    """The script at `path`, relative to the root of the repository, as a module; its main part does not run."""
    file = ROOT / path
    spec = util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
