"""runlane itself under `runlane exec`, wherever it is installed: programs of other environments find it, too.

This module becomes the package three directories up. It is short because only its folder, and not everything that is installed
beside runlane, may stand in front of the program's own modules.
"""

import os
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - the program's interpreter, not the one that this was installed for
    raise ImportError(
        "runlane needs Python 3.10 or newer, this is Python {}.{} ({})".format(
            *sys.version_info[:2], sys.executable
        )
    )

from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

_package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
__file__ = os.path.join(_package, "__init__.py")
__path__ = [_package]
__loader__ = SourceFileLoader(__name__, __file__)
__spec__ = spec_from_file_location(__name__, __file__, loader=__loader__, submodule_search_locations=__path__)  # type: ignore[assignment]
__loader__.exec_module(sys.modules[__name__])
