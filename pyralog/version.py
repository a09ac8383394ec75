"""The version of this distribution, in one place for packaging, the ready line and ApiVersions logs."""

__version__ = "0.1.0"
