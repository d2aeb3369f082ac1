"""One module per file format, read and write: no BIDS names, no mathematics.

What ``__init__.pyi`` lists is imported when it is first used as ``io.…``, and numpy with it: who
looks for files opens few of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
