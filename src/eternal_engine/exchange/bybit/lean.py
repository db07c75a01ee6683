"""What pybit sends its requests with: requests, without what costs time and does nothing for calls to one host.

Of a call's 1.4 ms half a millisecond went into merging settings that are never set, looking for cookies and following
redirects that are forbidden. pybit builds, signs and reads as it always does; urllib3 sends as it always does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from eternal_engine import clock
from eternal_engine.exchange.bybit.departures import DEPARTURES

_HOOKS: Final[dict[str, list[Any]]] = {"response": []}


class LeanSession(requests.Session):
    """Send what pybit prepares, to one host: proxies and certificates are read from the environment once."""

    def __init__(self, endpoint: str, *, trusts_environment: bool) -> None:
        super().__init__()
        self.max_redirects = 0
        if trusts_environment:
            found = self.merge_environment_settings(endpoint, {}, None, None, None)
            self.proxies, self.verify = dict(found["proxies"]), found["verify"]
        self.trust_env = False
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        self._urls: dict[str, str] = {}

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare one request: an address, headers, and a text or nothing as its body."""
        made = requests.PreparedRequest()
        made.method = request.method
        made.url = self._url(str(request.url))
        made.headers = CaseInsensitiveDict({**self.headers, **request.headers})
        made.hooks = _HOOKS
        if isinstance(request.data, str) and request.data:
            made.body = request.data.encode()
            made.headers["Content-Length"] = str(len(made.body))
        if len(self.cookies):
            made.prepare_cookies(self.cookies)
        return made

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send it once and read the whole answer; one that leads elsewhere is an error."""
        began_s = clock.monotonic()
        adapter = self.get_adapter(str(request.url))
        answer = adapter.send(
            request,
            timeout=options.get("timeout"),
            verify=self.verify is None or self.verify,
            cert=self.cert,
            proxies=self.proxies,
        )
        if "Set-Cookie" in answer.headers:
            extract_cookies_to_jar(self.cookies, request, answer.raw)  # type: ignore[no-untyped-call]
        _ = answer.content
        answer.elapsed = timedelta(seconds=clock.monotonic() - began_s)
        if answer.is_redirect:
            # A redirect with 307 would make requests send the order a second time.
            raise requests.exceptions.TooManyRedirects("redirects are not followed", response=answer)
        return answer

    def _url(self, url: str) -> str | None:
        """Quote an address; those without a query are few and stay as they are."""
        known = self._urls.get(url)
        if known is not None:
            return known
        quoted = requests.PreparedRequest()
        quoted.prepare_url(url, None)
        if "?" not in url and quoted.url is not None:
            self._urls[url] = quoted.url
        return quoted.url


class _Leaving:
    """Say when a request has left, and read no answer before the other orders of the moment have left, too."""

    def getresponse(self) -> Any:
        DEPARTURES.left()
        DEPARTURES.wait()
        return super().getresponse()  # type: ignore[misc]


class _Connection(_Leaving, HTTPConnection):
    pass


class _SafeConnection(_Leaving, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *values: Any, **named: Any) -> None:
        super().init_poolmanager(*values, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
