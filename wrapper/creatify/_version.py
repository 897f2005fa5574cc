"""The version of the distribution `creatify-client`."""

__version__ = "0.1.0"
