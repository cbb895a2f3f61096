"""Logging in and out, choosing a password, one's own sessions."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any
from urllib.parse import urlencode, urlsplit

import litestar
from litestar import Request, Response
from litestar.params import FromPath

from latchwork.sdk.client import Client
from latchwork.web.catalogue import chosen, say_in
from latchwork.web.entrance import Entrance, device_of
from latchwork.web.lines import moment_in
from latchwork.web.look import HOME, NO_STORE, SAID, FormRefused, Look, form, is_own, page, redirect, said_in, saying
from latchwork.web.pages import render
from latchwork.web.passages import zone_of
from latchwork.web.people import sites
from latchwork.wire.api.problems import Invalid, LinkOver, Problem, TooManyRequests, Unauthorized
from latchwork.wire.api.sessions import (
    PasswordChange,
    PasswordChoice,
    PasswordReset,
    PasswordToken,
    SignedIn,
    SignInDraft,
)


@litestar.get("/log-in")
async def log_in_page(request: Request[Any, Any, Any]) -> Response[Any]:
    """The form; `?next=` is where to go afterwards, at once for whoever is logged in already.

    Logging in again would end the proofs of all forms that stand open.
    """
    next, entrance = _own_path(request.query_params.get("next")), request.app.state.entrance
    if await entrance.is_in(request):
        return redirect(next)
    return await _log_in_page(request, next=next)


async def _log_in_page(
    request: Request[Any, Any, Any], refused: Problem | None = None, next: str = HOME, email: str = ""
) -> Response[str]:
    offer = await request.app.state.entrance.guest(request).get_sign_in_offer()
    return _guest_page(
        request,
        "login/log_in.html",
        refused.status if refused else 200,
        next=next,
        email=email,
        wrong=refused.detail if refused else "",
        is_offered=offer.is_offered,
    )


@litestar.post("/log-in", status_code=200)
async def log_in(request: Request[Any, Any, Any]) -> Response[Any]:
    fields = await _guest_form(request)
    email, next = fields.get("email", ""), _own_path(fields.get("next"))
    entrance: Entrance = request.app.state.entrance
    try:
        session = await entrance.log_in(request, email, fields.get("password", ""))
    except (Unauthorized, TooManyRequests) as refused:
        return await _log_in_page(request, refused, next, email)
    return entrance.let_in(redirect(next), session)


@litestar.post("/log-in/with", status_code=200)
async def begin_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """To the organisation's own OpenID provider, by the e-mail's domain.

    The browser is sent on by the page, not by a redirect: no form of ours may lead elsewhere.
    """
    fields = await _guest_form(request)
    email, next = fields.get("email", ""), _own_path(fields.get("next"))
    entrance: Entrance = request.app.state.entrance
    try:
        begun = await entrance.guest(request).begin_sign_in(SignInDraft(email))
    except Problem as refused:
        return await _log_in_page(request, refused, next, email)
    return entrance.send_away(_guest_page(request, "login/away.html", url=begun.url), begun.state, next)


@litestar.get("/log-in/callback")
async def finish_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Where the provider sends the browser back to: the one that we sent there, and no other."""
    entrance: Entrance = request.app.state.entrance
    state, next = entrance.sent_away(request)
    given = request.query_params
    try:
        if not state or given.get("state") != state or "code" not in given:
            raise Unauthorized(say_in(_language(request))("log_in.not_signed_in"))
        device = device_of(request.headers.get("user-agent", ""))
        session = await entrance.guest(request).finish_sign_in(SignedIn(state, given["code"], device))
    except Problem as refused:
        return await _log_in_page(request, refused)
    return entrance.let_in(redirect(_own_path(next)), session)


@form("/log-out")
async def log_out(look: Look) -> Response[Any]:
    """Nothing stays in the browser, scripts or not: no key either, of which it may have been one."""
    await look.cloud.log_out()
    entrance: Entrance = look.request.app.state.entrance
    response = entrance.let_out(look.request, look.go("/log-in", said=look.say("log_in.out")))
    response.headers["clear-site-data"] = '"storage"'
    return response


@litestar.get("/reset")
async def reset_page(request: Request[Any, Any, Any]) -> Response[str]:
    return _guest_page(request, "login/reset.html", is_sent=False)


@litestar.post("/reset", status_code=200)
async def reset(request: Request[Any, Any, Any]) -> Response[str]:
    fields = await _guest_form(request)
    await request.app.state.entrance.guest(request).reset_password(PasswordReset(fields.get("email", "")))
    return _guest_page(request, "login/reset.html", is_sent=True)


@litestar.get("/password/{token:str}")
async def password_page(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Where the link of an invitation or a reset leads; looking does not use it up."""
    return await _password_page(request, token)


async def _password_page(request: Request[Any, Any, Any], token: str, refused: Problem | None = None) -> Response[str]:
    guest: Client = request.app.state.entrance.guest(request)
    try:
        link = await guest.show_password_link(PasswordToken(token))
    except LinkOver as over:
        return _guest_page(request, "login/over.html", over.status)
    status, wrong = (refused.status, refused.detail) if refused else (200, "")
    return _guest_page(request, "login/password.html", status, token=token, email=link.email, wrong=wrong)


@litestar.post("/password/{token:str}", status_code=200)
async def choose_password(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    fields = await _guest_form(request)
    try:
        choice = PasswordChoice(token, fields.get("password", ""))
        await request.app.state.entrance.guest(request).choose_password(choice)
    except (Invalid, LinkOver) as refused:
        return await _password_page(request, token, refused)
    say = say_in(_language(request))
    return saying(redirect("/log-in"), say("password.done"))


@page("/account")
async def account(look: Look) -> Response[str]:
    return await _account(look)


@form("/account/password")
async def change_password(look: Look) -> Response[Any]:
    fields = await look.form()
    try:
        await look.cloud.change_password(PasswordChange(fields.get("current", ""), fields.get("password", "")))
    except (Invalid, TooManyRequests) as refused:
        return await _account(look, refused)
    return look.go("/account", said=look.say("account.changed"))


@form("/account/sessions/others/end")
async def end_other_sessions(look: Look) -> Response[Any]:
    await look.cloud.end_other_sessions()
    return look.go("/account", said=look.say("account.others_ended"))


@form("/account/sessions/{session_id:int}/end")
async def end_session(look: Look, session_id: int) -> Response[Any]:
    await look.cloud.end_session(session_id)
    return look.go("/account", said=look.say("account.ended"))


async def _account(look: Look, wrong: Problem | None = None) -> Response[str]:
    zone = await _zone(look)
    sessions = await look.cloud.list_sessions()
    return look.show(
        "login/account.html",
        wrong.status if wrong else 200,
        account=await look.cloud.get_account(),
        sessions=[(s, moment_in(s.created_at, zone), moment_in(s.seen_at, zone)) for s in sessions],
        wrong=(wrong.errors[0].detail if wrong.errors else wrong.detail) if wrong else "",
    )


async def _zone(look: Look) -> tzinfo:
    """Of the first site; for somebody who sees no sites, of a door of theirs."""
    if look.may("sites:read"):
        return (await sites(look)).zone(None)
    own = (await look.cloud.page_own_doors(limit=1)).items
    return zone_of(own[0].timezone if own else None)


def _language(request: Request[Any, Any, Any]) -> str:
    return chosen(request.headers.get("accept-language", ""))


def _guest_page(request: Request[Any, Any, Any], template: str, status: int = 200, **values: Any) -> Response[str]:
    language = _language(request)
    said = said_in(request)
    html = render(
        template,
        say=say_in(language),
        language=language,
        said=said,
        is_refused=status >= 400,
        **{"wrong": "", **values},
    )
    response = Response(html, status_code=status, media_type="text/html", headers=NO_STORE)
    if said:
        response.delete_cookie(SAID)
    return response


async def _guest_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a form of somebody who has no session to prove it with: it came from a page of this host."""
    if is_own(request.headers) is False:
        raise FormRefused
    return {name: str(value) for name, value in (await request.form()).multi_items()}


def _own_path(text: str | None) -> str:
    """A path of this website; anything else is the first page."""
    if text is None or not text.startswith("/") or text.startswith(("//", "/\\", "/log-in")) or not text.isprintable():
        return HOME
    return text


def to_log_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Whoever is not logged in comes back to where they wanted to go, or to the page whose form is lost."""
    is_form, say = request.method != "GET", say_in(_language(request))
    if is_form and request.url.path == "/log-out":
        return saying(redirect("/log-in"), say("log_in.out"))
    wanted = _page_of_form(request) if is_form else _with_query(request.url.path, request.url.query)
    way = redirect("/log-in" if wanted == HOME else "/log-in?" + urlencode({"next": wanted}))
    return saying(way, say("log_in.lost") if is_form else "")


def _page_of_form(request: Request[Any, Any, Any]) -> str:
    """As the browser says (RFC 9110 §10.1.3); the first page when it does not."""
    page = urlsplit(request.headers.get("referer", ""))
    return _with_query(page.path, page.query) if page.netloc == request.headers.get("host") else HOME


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


endpoints = [
    log_in_page,
    log_in,
    begin_sign_in,
    finish_sign_in,
    log_out,
    reset_page,
    reset,
    password_page,
    choose_password,
    account,
    change_password,
    end_other_sessions,
    end_session,
]
