"""Which pretrained architecture should I use for my images, trained how?"""

from importlib.metadata import version

__version__ = version("bench")
