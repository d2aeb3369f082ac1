"""The only door to the dataset: knows paths and names, no mathematics.

What ``__init__.pyi`` lists is imported when it is first used as ``bids.…``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
