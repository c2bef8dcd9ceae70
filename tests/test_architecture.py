"""The folders show the architecture: a folder imports only from folders above it, and nothing imports in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from helpers.command_line import ROOT

# From the top down. The doors in the root may import anything
FOLDERS = ["scratch", "system", "kernels", "settings", "text", "layers", "model", "checkpoints", "generation"]
FOLDERS += ["evaluation", "distributed", "training", "inspection", "runs", "api", "d2l", "commands"]
DOORS = {"__init__", "__main__", "api", "cli", "d2l"}

# What sampling without torch is built on
NO_TORCH = ["text.vocab", "checkpoints.validation", "model.shapes", "model.model_config", "settings.sampling"]
NO_TORCH += ["generation.stepper", "generation.native_stepper", "generation.packing", "generation.sampling"]
NO_TORCH += ["generation.writer"]
NO_TORCH += ["generation.conversation", "checkpoints.arrays", "checkpoints.shipped", "evaluation.given_text"]
NO_TORCH += ["text.documents", "text.labels", "text.identity", "generation.documents", "commands.documents"]
NO_TORCH += ["runs.find", "commands.generate", "commands.models", "commands.prompts", "cli"]


def module_name(path: Path) -> str:
    """`training.trainer` for lstmlm/training/trainer.py; a package goes by its folder."""
    parts = path.relative_to(ROOT / "lstmlm").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


PATHS = {module_name(path): path for path in sorted((ROOT / "lstmlm").rglob("*.py"))}


def imports_of(name: str) -> list[tuple[int, str]]:
    """(line, module) of every import of a module of ours in this one, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(PATHS[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            found.append((node.lineno, "relative import"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lstmlm":
            inside = node.module.removeprefix("lstmlm").removeprefix(".")
            for alias in node.names:
                deeper = f"{inside}.{alias.name}".removeprefix(".")
                found.append((node.lineno, deeper if deeper in PATHS else inside or "__init__"))
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "lstmlm"]
            found += [(node.lineno, name.removeprefix("lstmlm").removeprefix(".") or "__init__") for name in names]
    return found


IMPORTS = {name: imports_of(name) for name in PATHS}


def rank(name: str) -> int:
    """The place of a module's folder in FOLDERS; the doors, but for api and d2l, stand below all."""
    folder = name.partition(".")[0]
    return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)


def test_every_module_lies_in_a_folder_of_the_architecture_or_is_a_door():
    strays = [name for name in PATHS if name.partition(".")[0] not in FOLDERS and name not in DOORS]
    assert not strays, f"not in a folder of DESIGN, and not a door: {', '.join(strays)}"


def test_a_folder_imports_only_from_folders_above_it():
    upward = [
        f"lstmlm/{name.replace('.', '/')}.py:{line} imports {imported}, which stands below it"
        for name, found in IMPORTS.items()
        for line, imported in found
        if imported == "relative import" or rank(imported) > rank(name)
    ]
    assert not upward, "\n".join(upward)


def test_scratch_imports_nothing_of_ours():
    assert not [(name, found) for name, found in IMPORTS.items() if name.startswith("scratch") and found]


def test_nothing_imports_in_a_circle():
    graph = {name: {imported for _, imported in found} - {name} for name, found in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def imports_torch(name: str, seen: set[str]) -> list[str]:
    """The chain of modules from `name` to one that imports torch as it is imported; empty if there is none."""
    seen.add(name)
    tree = ast.parse(PATHS[name].read_text(encoding="utf-8"))
    for node in tree.body:  # at the top of the module: an import inside a function does not count
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(imported.split(".")[0] == "torch" or imported == "safetensors.torch" for imported in names):
            return [name]
    top = {node.lineno for node in tree.body}
    for line, imported in IMPORTS[name]:
        if line in top and imported in PATHS and imported not in seen and (chain := imports_torch(imported, seen)):
            return [name, *chain]
    return []


@pytest.mark.parametrize("name", NO_TORCH)
def test_what_sampling_without_torch_needs_imports_no_torch(name):
    assert name in PATHS
    assert not imports_torch(name, set())


def test_no_test_imports_another_test():
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert not module.split(".")[-1].startswith(("test_", "conftest")), f"{path}: {module}"


def test_tests_have_the_folders_of_the_package():
    others = {"helpers", "catalogue", "fixtures", "benchmarks", "docs"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - others <= set(FOLDERS)
