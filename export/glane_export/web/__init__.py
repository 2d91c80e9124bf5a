"""Static files that search an index in a browser, without a server (`docs/browser.md`)."""

from glane_export.web.exporting import WebSettings, export_web
from glane_export.web.refusing import NotForBrowsers

__all__ = ["NotForBrowsers", "WebSettings", "export_web"]
