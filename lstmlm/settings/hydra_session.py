"""Hydra's compose API on conf/, without a trace left in the process."""

import contextlib
from collections.abc import Iterator

from lstmlm.settings.hydra_yaml import register_schema
from lstmlm.system.paths import find_shipped


@contextlib.contextmanager
def hydra_session() -> Iterator[None]:
    """For the block, `hydra.compose("config")` composes conf/. Afterwards Hydra is as it was.

    The caller's program may be one of Hydra's own, in which Hydra is initialized already.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.version import VersionBase

    register_schema()
    before, base = GlobalHydra.instance().hydra, VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(find_shipped("conf")), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before
        VersionBase.instance().version_base = base
