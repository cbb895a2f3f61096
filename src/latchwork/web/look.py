"""A request of somebody who is logged in: who they are, the cloud in their name, and how a page is answered.

    @page("/doors/{door_id:int}", needs="sites:read")
    async def show(look: Look, door_id: int) -> Response[str]:
        return look.show("doors/door.html", door=await look.cloud.get_access_point(door_id))

    @form("/doors/{door_id:int}/unlock", needs="doors:unlock")
    async def unlock(look: Look, door_id: int) -> Response[str]:
        …
        return look.go(f"/doors/{door_id}", said=look.say("doors.opened"))

Pages and forms work without scripts: a form is answered with 303 and a sentence that the next page shows, or with the
page again and what is wrong with it. What a page may not show, the API refuses; nothing here decides who may see what.
"""

from __future__ import annotations

import hmac
import inspect
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, unquote

import litestar
from litestar import Request, Response
from litestar.datastructures import UploadFile
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from latchwork.sdk.client import Client
from latchwork.web.catalogue import Say
from latchwork.web.pages import render
from latchwork.wire.api.accounts import WhoAmI
from latchwork.wire.api.problems import Forbidden

NO_STORE: Final = {"cache-control": "no-store"}
HOME: Final = "/"
SAID: Final = "latchwork-said"
"""The cookie that carries a sentence to the next page."""
_ONCE: Final = 16
"""Random bytes of a form's proof."""
_SECRETS: Final = ("password", "current", "pin", "clientSecret")
"""Fields of which no page shows what was typed."""
Handler = Callable[..., Awaitable[Response[Any]]]


class FormRefused(Exception):
    """A form that no page of this session has sent."""


@dataclass(frozen=True, slots=True)
class Look:
    """One request of somebody who is logged in."""

    cloud: Client
    who: WhoAmI
    say: Say
    language: str
    session: str = field(repr=False)
    csrf: str
    """What the forms of this page carry."""
    request: Request[Any, Any, Any]

    def may(self, scope: str) -> bool:
        """Whether their roles allow it somewhere: for what is offered. What is allowed, the API decides."""
        return scope in self.who.scopes

    def may_everywhere(self, scope: str) -> bool:
        """Whether their roles allow it in the whole organisation."""
        return scope in self.who.everywhere

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields, the last of each name."""
        return dict(self.request.query_params.items())

    @property
    def here(self) -> str:
        """The page that is shown, also where it answers a form of its own."""
        return page_above(self.request)

    @property
    def is_part(self) -> bool:
        """Whether the page's script asks for a part of the page only."""
        return self.request.headers.get("x-part") is not None

    async def form(self) -> dict[str, str]:
        """The form's fields, the last of each name; a box that is not ticked is absent, a file is its text."""
        return dict(await self.fields())

    async def fields(self) -> list[tuple[str, str]]:
        """The form's fields in their order, a name perhaps several times."""
        given = (await self.request.form()).multi_items()
        return [(name, await _text(value)) for name, value in given if name != "csrf"]

    async def once(self) -> str:
        """A name for what this form asks for: sent twice, by a double click or a second try, it is done once."""
        sent = ((await self.request.form()).get("csrf"), await self.fields())
        return sha256(repr(sent).encode("utf-8", "replace")).hexdigest()

    async def is_form_ours(self) -> bool:
        """Whether a page of this session sent it."""
        return is_csrf_of(self.session, await self._proof())

    async def ask_again(self) -> Response[str]:
        """A form that the same person filled in before they logged in anew: nothing is lost, and nothing done yet.

        Raises FormRefused unless the browser says that a page of this host sent it; a secret is typed again.
        """
        fields = await self.fields()
        is_known = (await self._proof()).startswith(holder(self.who) + "_") and is_own(self.request.headers)
        if not is_known or any(name in _SECRETS for name, _ in fields):
            raise FormRefused
        return self.show("again.html", 403, path=self.request.url.path, fields=fields)

    async def _proof(self) -> str:
        return str((await self.request.form()).get("csrf") or "")

    def show(self, template: str, status: int = 200, **values: Any) -> Response[str]:
        """A page: `templates/<template>`, which knows `look` and `say` besides what it is given."""
        said = "" if self.is_part else said_in(self.request)
        html = render(template, look=self, say=self.say, said=said, is_refused=status >= 400, **values)
        response = Response(
            at_what_is_wrong(html) if status >= 400 else html,
            status_code=status,
            media_type="text/html",
            headers=NO_STORE,
        )
        if said:
            response.delete_cookie(SAID)
        return response

    def go(self, path: str, said: str = "") -> Response[Any]:
        """To another page (303), which says a sentence."""
        return saying(redirect(path), said)


def page_above(request: Request[Any, Any, Any]) -> str:
    """The page on which a form stands, going by their paths: `/people/2` of `/people/2/cards/enrol`."""
    path = request.url.path
    while path and not any(page.fullmatch(path) for page in request.app.state.pages):
        path = path.rpartition("/")[0]
    return path or HOME


_WRONG: Final = re.compile(r"""(<(?:input|select|textarea)\b[^>]*? aria-invalid="true"|class="wrong" role="alert")""")


def at_what_is_wrong(html: str) -> str:
    """Whoever reads a form that came back begins at the first field that is wrong, or at the sentence that says why."""
    found = sorted(_WRONG.finditer(html), key=lambda match: (not match[0].startswith("<"), match.start()))
    if not found:
        return html
    end = found[0].end()
    return f"{html[:end]} {'' if found[0][0].startswith('<') else 'tabindex=-1 '}autofocus{html[end:]}"


def redirect(path: str) -> Response[Any]:
    """303 (RFC 9110 §15.4.4)."""
    return Response(b"", status_code=303, media_type="text/html", headers={**NO_STORE, "location": path})


def saying(response: Response[Any], sentence: str) -> Response[Any]:
    """The next page says it."""
    if sentence:
        response.set_cookie(SAID, quote(sentence[:1_000]), max_age=60, httponly=True, samesite="lax")
    return response


def said_in(request: Request[Any, Any, Any]) -> str:
    """What the page before left to be said."""
    return unquote(request.cookies.get(SAID) or "")


async def _text(value: Any) -> str:
    if not isinstance(value, UploadFile):
        return str(value)
    await value.seek(0)
    return (await value.read()).decode("utf-8-sig", "replace")


def is_own(headers: Mapping[str, str]) -> bool | None:
    """Whether a page of this host sent a form (Sec-Fetch-Site; older browsers: Origin); None: there is no hint."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return None if origin is None else origin.partition("://")[2] == headers.get("host")


def holder(who: WhoAmI) -> str:
    """Somebody, in what their forms carry."""
    return f"{who.organisation_id}_{who.user_id}"


def csrf_of(session: str, who: WhoAmI) -> str:
    """What a form of this session carries: another each time; nobody who does not know the session can make one."""
    once = secrets.token_hex(_ONCE)
    return f"{holder(who)}_{once}{_proof(session, once)}"


def is_csrf_of(session: str, token: str) -> bool:
    token = token.rpartition("_")[2]
    once, proof = token[: 2 * _ONCE], token[2 * _ONCE :]
    return hmac.compare_digest(proof.encode(), _proof(session, once).encode())


def _proof(session: str, once: str) -> str:
    return hmac.new(session.encode(), b"latchwork csrf " + once.encode(), sha256).hexdigest()


def page(path: str, *, needs: str | None = None) -> Callable[[Handler], HTTPRouteHandler]:
    """A GET of somebody who is logged in; `needs`: a scope without which the page is refused at once."""
    return _route("GET", path, needs)


def form(path: str, *, needs: str | None = None) -> Callable[[Handler], HTTPRouteHandler]:
    """A POST of a form that a page of this session has sent: it holds `{{ parts.csrf(look) }}`."""
    return _route("POST", path, needs)


def _route(method: Any, path: str, needs: str | None) -> Callable[[Handler], HTTPRouteHandler]:
    def register(function: Handler) -> HTTPRouteHandler:
        async def handler(request: Request[Any, Any, Any], **values: Any) -> Any:
            look: Look = await request.app.state.entrance.look(request)
            request.state.look = look
            if needs is not None and not look.may(needs):
                raise Forbidden(look.say("frame.not_yours"))
            if method == "POST" and not await look.is_form_ours():
                return await look.ask_again()
            return await function(look, **values)

        hints = inspect.get_annotations(function, eval_str=True)
        path_type: Any = FromPath
        ids = {name: path_type[hint] for name, hint in hints.items() if name not in ("look", "return")}
        keyword = inspect.Parameter.KEYWORD_ONLY
        handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("request", keyword, annotation=Request),
                *(inspect.Parameter(name, keyword, annotation=hint) for name, hint in ids.items()),
            ],
            return_annotation=Response[Any],
        )
        handler.__annotations__ = {"request": Request, **ids, "return": Response[Any]}
        handler.__name__, handler.__module__ = function.__name__, function.__module__
        return litestar.route(path, http_method=method, status_code=200, opt={"needs": needs})(handler)

    return register
