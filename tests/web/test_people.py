"""People and why a door refused, on the real cloud: what the pages show, do and refuse."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest
from tests.sdk.town import Town
from tests.web.cast import browser, employ, send, stranger
from tests.web.test_doors import dora, front_door, until_in_step
from tests.web.test_page import HOSTILE, NOON, House, entry, opened_house

from latchwork.web.app import Website
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.people import AccessPatch, CardDraft, GrantDraft, PermissionsPatch, UserDraft, UserPatch
from latchwork.wire.api.sites import AccessPointPatch, SiteDraft
from latchwork.wire.facts import AccessDecided


def text(html: str) -> str:
    """What a reader sees of the main part, spaces as one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html[html.index("<main") :]))


async def bob_of(house: House, **more: object) -> int:
    return (await house.alice.add_user(UserDraft("Bob Builder", **more))).id  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- the list


async def test_people_are_found_by_the_beginning_of_any_word_and_paged(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        for n in range(60):
            await house.alice.add_user(UserDraft(f"Worker {n}"))
        bob = await bob_of(house)
        await house.alice.change_user(bob, UserPatch(is_active=False))
        first = (await http.get("/people")).text
        following = re.search(r'href="(/people\?cursor=[^"]+)" rel="next"', first)
        assert following is not None
        assert "Bob Builder" not in first
        assert "Bob Builder" in (await http.get(following[1])).text
        found = (await http.get("/people?search=buil", headers={"x-part": "people"})).text
        assert (found.lstrip().startswith('<div id="people">'), "Bob Builder" in found) == (True, True)
        assert "deactivated" in found
        assert "Bob Builder" not in (await http.get("/people?search=buil&active=yes")).text
        assert "Nobody was found" in (await http.get("/people?search=zz")).text


async def test_people_are_found_without_accents_by_e_mail_code_and_the_end_of_a_card(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        draft = UserDraft("Zoë Łukasz O'Brien", email="z.lukasz@Example.org", employee_code="E-0017")
        zoe = (await house.alice.add_user(draft)).id
        ann = (await house.alice.add_user(UserDraft("Ann 4711", email="Müller@example.org"))).id
        await house.alice.add_card(zoe, CardDraft(1_234_564_711))
        await house.alice.add_card(ann, CardDraft(994_711))
        for search, found in (
            ("zoe", {zoe}),
            ("ZOË o'b", {zoe}),
            ("z.luk", {zoe}),
            ("z.lukasz@example.org", {zoe}),
            ("müller@example.org", {ann}),
            ("e-00", {zoe}),
            ("e0017", {zoe}),
            ("4711", {zoe, ann}),
            ("0017", set()),
            ("564711", set()),
            ("@", set()),
            ("'", set()),
        ):  # fmt: skip
            shown = (await http.get("/people", params={"search": search})).text
            assert {int(id) for id in re.findall(r'href="/people/(\d+)"', shown)} == found, search
        for search in ("z.luk", "zluk", "e-00", "e0017", "4711"):  # which is no name of hers
            hosts = (await http.get("/visitors/hosts", params={"search": search})).text
            assert "Zoë" not in hosts


async def test_a_person_is_made_or_the_form_comes_back_with_what_is_wrong_at_its_field(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        await house.alice.change_access_point(house.front, AccessPointPatch(is_default=True))
        assert "these doors at once: Front door" in text((await http.get("/people/new")).text)
        filled = {
            "name": "Zoë",
            "email": "no",
            "roles": "end_user",
            "card": "yes",
            "accessExpiresAt": "2030-01-31T18:00",
        }
        again = await send(http, "/people/new", **filled)
        assert again.status_code == 400
        assert 'value="Zoë"' in again.text
        assert 'id="email-wrong">This is not an e-mail address.' in again.text
        made = await send(http, "/people/new", **{**filled, "email": "zoe@example.org"})
        assert made.status_code == 303
        zoe = await house.alice.get_user(int(made.headers["location"].rpartition("/")[2]))
        page = text((await http.get(made.headers["location"])).text)
    assert (zoe.access.card, zoe.access.mobile, zoe.access_expires_at) == (
        True,
        False,
        1_896_109_200,
    )  # 18:00 in Berlin
    assert "Front door pending since" in page
    assert "31 Jan 2030, 18:00" in page


async def test_a_second_person_with_the_same_e_mail_is_asked_about(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house, email="Desk@example.org")
        await _grown_old(town)
        same = {"name": "Zoë", "email": "desk@example.org"}
        for path in ("/people/new", f"/people/{await bob_of(house)}/edit"):
            asked = await send(http, path, **same)
            assert (asked.status_code, "Bob Builder has this e-mail already" in asked.text) == (400, True)
            assert (await send(http, path, **same, emailAnyway="yes")).status_code == 303
        assert (await send(http, f"/people/{bob}/edit", name="Bob B", email="desk@example.org")).status_code == 303


async def _grown_old(town: Town) -> None:
    conn = await asyncpg.connect(town.dsn)
    await conn.execute("UPDATE users SET created_at = created_at - 3600")
    await conn.close()


async def test_a_form_that_comes_back_begins_at_what_is_wrong(town: Town) -> None:
    async with opened_house(town), browser(town) as http:
        refused = await send(http, "/people/new", name="Bob", email="no address", roles="end_user")
        assert "<title>Error: New person" in refused.text
        assert re.findall(r"name=\"(\w+)\"[^>]* autofocus", refused.text) == ["email"]
        refused = await send(http, "/people/import", csv="")
        assert 'role="alert" tabindex=-1 autofocus' in refused.text
        assert "Error:" not in (await http.get("/people/new")).text


async def test_somebody_is_made_to_report_to_somebody(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house)
        assert "Reports to" not in (await http.get(f"/people/{bob}/edit")).text
        await house.alice.change_organisation(OrganisationPatch(attendance_module=True))
        mia, twin, _ = [(await house.alice.add_user(UserDraft(name))).id for name in ("Mia Chief", "Twin", "Twin")]
        form = {"name": "Bob Builder", "roles": "end_user", "homeSiteId": "1", "card": "yes", "mobile": "yes"}

        async def sent(chief: str) -> tuple[int, int | None]:
            answer = await send(http, f"/people/{bob}/edit", **form, reportingTo=chief)
            return answer.status_code, (await house.alice.get_user(bob)).reporting_to

        assert f'value="Mia Chief ({mia})"' in (await http.get("/people/names?search=chi")).text
        assert await sent("mia chief") == (303, mia)
        assert f'value="Mia Chief ({mia})"' in (await http.get(f"/people/{bob}/edit")).text
        assert await sent("Nobody") == (400, mia)
        assert await sent("Twin") == (400, mia)
        assert await sent(f"Twin ({twin})") == (303, twin)
        assert (await send(http, f"/people/{bob}/edit", **form, employeeCode="E1")).status_code == 303
        assert (await house.alice.get_user(bob)).reporting_to == twin, "a form that does not ask changes nothing"
        assert await sent("") == (303, None)


async def test_an_edit_changes_what_differs(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house, roles=["super_admin"], phone="+49 30 123", access_expires_at=1_896_109_201)
        before = await house.alice.get_user(bob)
        form = {
            "name": "Robert", "phone": "+49 30 123", "roles": "super_admin", "homeSiteId": str(before.home_site_id),
            "card": "yes", "mobile": "yes", "accessExpiresAt": "2030-01-31T18:00:01",
        }  # fmt: skip
        assert (await send(http, f"/people/{bob}/edit", **form)).status_code == 303
        after = await house.alice.get_user(bob)
        assert (after.name, after.phone, after.roles) == ("Robert", "+49 30 123", ["super_admin"])
        assert (after.access, after.access_expires_at) == (before.access, before.access_expires_at)


# ------------------------------------------------------------------------------------------------- spreadsheets


async def test_an_import_is_previewed_and_then_confirmed(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bad = await send(http, "/people/import", csv="name,email\r\nGood,\r\nBad,x@\r\n")
        assert "Bad lines: 1." in text(bad.text)
        assert '<th scope="row">3</th><td>email</td>' in bad.text
        sheet = "name,email\r\nAnn,\r\nBen,ben@example.org\r\n"
        shown = await send(http, "/people/import", csv=sheet)
        assert "New people: 2." in text(shown.text)
        assert "<td>Ben</td><td>ben@example.org</td>" in shown.text
        assert (await house.alice.page_users(search="ann")).items == []
        assert (await send(http, "/people/import", csv=sheet, confirmed="yes")).status_code == 303
        assert "Imported. New people: 2, " in (await http.get("/people")).text
        for wrong, sentence in (("", "nothing in it"), ("name\r\n\ufffd", "UTF-8")):
            assert sentence in (await send(http, "/people/import", csv=wrong)).text


async def test_a_sheet_with_semicolons_comes_in_as_excel_saves_it(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        sheet = f'name;email;roles;accessPoints\r\nZoë;zoe@example.org;end_user|front_desk;"{house.front}"\r\n'
        shown = await send(http, "/people/import", csv=sheet)
        assert '<th scope="col">email</th>' in shown.text and "<td>Zoë</td><td>zoe@example.org</td>" in shown.text
        assert (await send(http, "/people/import", csv=sheet, confirmed="yes")).status_code == 303
        (zoe,) = (await house.alice.page_users(search="zoë")).items
        assert (zoe.email, sorted(zoe.roles)) == ("zoe@example.org", ["end_user", "front_desk"])
        assert [each.access_point_id async for each in house.alice.page_permissions(zoe.id)] == [house.front]


async def test_a_preview_says_whom_it_would_change_and_how(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob, ann = await bob_of(house, email="bob@example.org"), await bob_of(house)
        sheet = f"id,name,email,accessPoints\r\n{bob},Mallory,m@example.org,{house.front}\r\n{ann},Bob Builder,,\r\n"
        shown = (await send(http, "/people/import", csv=sheet)).text
        for said in (
            "The name is another", "<del>bob@example.org</del>", "<ins>m@example.org</ins>", "<ins>Front door</ins>",
        ):  # fmt: skip
            assert said in shown
        assert f'href="/people/{bob}"' in shown and f'href="/people/{ann}"' not in shown
        assert (await house.alice.get_user(bob)).name == "Bob Builder"
        same = (await send(http, "/people/import", csv=f"id,name\r\n{bob},Bob Builder\r\n")).text
        assert "Nothing changes about the people who are here" in same


async def test_an_uploaded_file_is_read_and_an_export_comes_in_again(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        await bob_of(house, phone="+49 30 123")
        await house.alice.add_user(UserDraft("=HYPERLINK(0)"))
        sheet = (await http.get("/people/export.csv")).content
        assert b"'=HYPERLINK(0)" in sheet
        assert (await http.get("/people/template.csv")).content.startswith(b"\xef\xbb\xbfname,email,")
        token = re.search(r'name="csrf" value="(\w+)"', (await http.get("/people/import")).text)
        assert token is not None
        shown = await http.post(
            "/people/import", data={"csrf": token[1], "csv": ""}, files={"file": ("people.csv", sheet, "text/csv")}
        )
    assert "take over what their line says: 3." in text(shown.text)


# ------------------------------------------------------------------------------------------------- a person


async def test_doors_are_given_limited_withdrawn_and_taken_away(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house)
        path = f"/people/{bob}"
        limits = {"startsAt": "2030-01-01T08:00", "endsAt": "", "schedule": ""}
        assert (await send(http, f"{path}/doors", path, door=[house.front, house.lab], **limits)).status_code == 303
        given = [each async for each in house.alice.page_permissions(bob)]
        assert {each.access_point_id: each.starts_at for each in given} == dict.fromkeys(
            (house.front, house.lab), 1_893_481_200
        )  # 08:00 in Berlin
        page = (await http.get(path)).text
        assert "Given. Each opens as soon as it has confirmed it." in page
        assert "from 1 Jan 2030, 08:00" in page
        assert 'data-again="2"' in page
        part = (await http.get(path, headers={"x-part": "doors"})).text
        assert part.lstrip().startswith('<section id="doors"')
        wrong = await send(http, f"{path}/doors/{house.lab}", startsAt="2030-01-02T08:00", endsAt="2030-01-01T08:00")
        assert (wrong.status_code, "It must end after it starts." in wrong.text) == (400, True)
        await send(http, f"{path}/doors/{house.lab}", startsAt="", endsAt="2030-01-01T08:00", schedule="")
        assert "until 1 Jan 2030, 08:00" in (await http.get(path)).text
        await send(http, f"{path}/doors/{house.lab}/withdraw", path)
        assert "Withdrawn before the door had it." in (await http.get(path)).text
        await send(http, f"{path}/doors/{house.front}/take", path)
        held = [each async for each in house.alice.page_permissions(bob) if each.state != "removing"]
    assert held == []


async def test_cards_and_pins_come_and_go_and_are_never_shown(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob, path = await bob_of(house), ""
        path = f"/people/{bob}"
        await send(http, f"{path}/cards", path, number="4711 0815")
        await send(http, f"{path}/pin", path, pin="2468")
        page = (await http.get(path)).text
        assert "Card ending in 0815" in page
        assert ("47110815" in page, "2468" in page, "A PIN is set" in page) == (False, False, True)
        other = await house.alice.add_user(UserDraft("Eve"))
        taken = await send(http, f"/people/{other.id}/cards", path, number="47110815")
        assert (taken.status_code, 'class="wrong"' in taken.text) == (409, True)
        wrong = await send(http, f"{path}/pin", path, pin="12")
        assert (wrong.status_code, "A PIN has 4 to 8 digits." in wrong.text) == (400, True)
        offline = await send(http, f"{path}/cards/enrol", path, door=str(house.front))
        assert (offline.status_code, "cannot be reached" in offline.text) == (409, True)
        (card,) = await house.alice.list_cards(bob)
        await send(http, f"{path}/cards/{card.id}/remove", path)
        await send(http, f"{path}/pin/remove", path)
        assert "No card yet." in (await http.get(path)).text
        assert not (await house.alice.get_user(bob)).has_pin


async def test_whose_card_it_is_is_said_to_whoever_may_know(town: Town) -> None:
    async with opened_house(town) as house:
        bob = await bob_of(house)
        await house.alice.add_card(bob, CardDraft(47_110_815))
        annexe = (await house.alice.add_site(SiteDraft("Annexe"))).id
        zoe = (await house.alice.add_user(UserDraft("Zoë", home_site_id=annexe))).id
        for name, role, said in (("Ada", "super_admin", "to Bob Builder."), ("Sam", "site_admin", "to somebody else.")):
            more = {"home_site_id": annexe, "admin_of_sites": [annexe]} if role == "site_admin" else {}
            async with browser(town, [role], name=name, **more) as http:
                refused = await send(http, f"/people/{zoe}/cards", f"/people/{zoe}", number="47110815")
                assert (refused.status_code, f"This card belongs {said}" in refused.text) == (409, True)


def path_in(page: str) -> str:
    """Where the link on a page leads to."""
    found: str = re.findall(r'value="http://cloud.test(/password/[\w-]+)"', page)[0]
    return found


async def test_somebody_is_invited_by_a_link_that_is_shown_once(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house, email="bob@example.org")
        path = f"/people/{bob}"
        invited = await send(http, f"{path}/invite", path)
        assert re.search(r'value="http://cloud.test/password/[\w-]+"', invited.text)
        once = invited.request.content.decode()
        form = {"content-type": "application/x-www-form-urlencoded"}
        again = await http.post(f"{path}/invite", content=once, headers=form)
        assert "made already" in again.text and "/password/" not in again.text
        async with stranger(Website(town.app)) as guest:
            for _ in range(2):  # a mail program's preview does not use it up
                good = await guest.get(path_in(invited.text))
                assert (good.status_code, "bob@example.org" in good.text) == (200, True)
            dead = await guest.get("/password/garbage")
            assert (dead.status_code, "This link is over" in dead.text, "<form" in dead.text) == (410, True, False)
        page = (await http.get(path)).text
        assert "no password chosen yet" in page
        assert "/password/" not in page
        await send(http, f"{path}/log-in/remove", path)
        assert "Cannot log in" in (await http.get(path)).text


async def test_whoever_is_deleted_or_deactivated_is_told_what_follows(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house)
        await house.alice.add_card(bob, CardDraft(4711))
        await house.alice.change_permissions(bob, PermissionsPatch(add=[GrantDraft(house.front)]))
        path = f"/people/{bob}"
        await send(http, f"{path}/active", path, active="no")
        assert "Doors refuse this person once they have heard of it" in (await http.get(path)).text
        await send(http, f"{path}/active", path, active="yes")
        assert (await house.alice.get_user(bob)).is_active
        assert "doors (1), cards (1)" in (await http.get(f"{path}/delete")).text
        assert (await send(http, f"{path}/delete")).status_code == 303
        assert "Bob Builder is deleted. A door that is out of touch lets them in" in (await http.get("/people")).text
        assert (await http.get(path)).status_code == 404


async def test_whoever_is_deactivated_is_not_called_shut_out_before_the_door_knows(town: Town, tmp_path: Path) -> None:
    door, alice = await front_door(town), town.client(town.alice)
    bob = (await alice.add_user(UserDraft("Bob Builder", access_points=[door]))).id
    async with browser(town) as http:

        async def row() -> str:
            return text((await http.get(f"/people/{bob}")).text).partition("Front door")[2][:30]

        async with dora(town, tmp_path, door):
            assert "assigned given" in await row()
            await send(http, f"/people/{bob}/active", f"/people/{bob}", active="no")
            await until_in_step(alice, 1)
            assert "shut for them" in await row()
            await send(http, f"/people/{bob}/active", f"/people/{bob}", active="yes")
            await until_in_step(alice, 1)
        async with asyncio.timeout(30):
            while (await alice.get_controller(1)).online:
                await asyncio.sleep(0.05)
        await send(http, f"/people/{bob}/active", f"/people/{bob}", active="no")
        assert "may still open" in await row()
        page = await http.get(f"/people/{bob}", headers={"x-part": "doors"})
        assert 'data-again="2"' in page.text, "the page says by itself when the door knows it"


async def test_hostile_texts_are_shown_as_they_are(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = (await house.alice.add_user(UserDraft(HOSTILE, employee_code=HOSTILE))).id
        await send(http, "/people/import", csv=f"name\r\n{HOSTILE}\r\n")
        for path in ("/people", f"/people/{bob}", f"/people/{bob}/edit", f"/people/{bob}/delete", f"/why?person={bob}"):
            page = (await http.get(path)).text
            assert "<script>alert" not in page, path
            assert "&lt;script&gt;" in page, path


# ------------------------------------------------------------------------------------------------- roles


async def test_each_role_is_offered_what_it_may(town: Town) -> None:
    async with opened_house(town) as house:
        (site,) = [each.id async for each in house.alice.page_sites()]
        far = await house.alice.add_site(SiteDraft("Far away"))
        stranger = (await house.alice.add_user(UserDraft("Stranger", home_site_id=far.id))).id
        boss = await employ(town, "Boss", ["super_admin"])
        async with browser(town, ["site_admin"], name="Sam", home_site_id=site, admin_of_sites=[site]) as http:
            form = (await http.get("/people/new")).text
            assert re.findall(r'name="roles" value="(\w+)"', form) == ["end_user", "site_admin"]
            assert "Far away" not in form
            listed = (await http.get("/people")).text
            assert ("Sam" in listed, "Stranger" in listed, "/people/import" in listed) == (True, False, False)
            assert (await http.get(f"/people/{stranger}")).status_code == 404
            seen = await http.get(f"/people/{boss}/edit")
            assert (seen.status_code, "Super administrator stays" in seen.text) == (200, True)
            refused = await send(http, f"/people/{boss}/active", f"/people/{boss}", active="no")
            assert (refused.status_code, "reach further than yours" in refused.text) == (403, True)
        async with browser(town, ["front_desk"], name="Fred") as http:
            assert (await http.get("/people")).status_code == 403


async def test_a_manager_sees_who_reports_to_them_and_changes_nothing(town: Town) -> None:
    await town.client(town.alice).change_organisation(OrganisationPatch(attendance_module=True))
    async with opened_house(town) as house, browser(town, ["manager"], name="Mia") as http:
        mia = (await house.alice.page_users(search="mia")).items[0].id
        bob = await bob_of(house, reporting_to=mia)
        page = await http.get(f"/people/{bob}")
        assert page.status_code == 200
        for hidden in ("Take away", "Deactivate", "/edit", "Add doors", "Set a PIN"):
            assert hidden not in page.text
        assert (await send(http, f"/people/{bob}/pin", "/account", pin="1234")).status_code == 403


# ------------------------------------------------------------------------------------------------- why


async def test_who_sees_no_sites_reads_times_on_the_doors_clock_or_is_told_that_they_are_utc(town: Town) -> None:
    async with opened_house(town) as house:
        await house.alice.change_organisation(OrganisationPatch(attendance_module=True))
        async with browser(town, ["manager"], name="Max", access_points=[house.front]) as http:
            max = (await house.alice.page_users(search="Max")).items[0].id
            bob = await bob_of(house, reporting_to=max)
            await house.alice.add_card(bob, CardDraft(4711))
            page = (await http.get(f"/people/{bob}")).text
            assert [" UTC " in time for time in re.findall("<time.*</time>", page)] == [True]
            await house.dora.reports(entry(house, credential="card", user=bob, at=NOON))
            times = re.findall("<time.*</time>", (await http.get(f"/people/{bob}")).text)
            assert [" UTC " in time for time in times] == [False, False]
            assert '<time datetime="2026-10-30T13:00:00+01:00"' in times[0]
            [session] = re.findall("<time.*</time>", (await http.get("/account")).text)
            assert ('+00:00"' in session, " UTC " in session) == (False, False)


async def refusal(house: House, bob: int, reason: str) -> int:
    card = await house.alice.add_card(bob, CardDraft(4711))
    await house.dora.reports(
        AccessDecided(
            at=1_793_361_600, door=house.front, direction="entry", credential="card", reason=reason,
            user=bob, card=str(card.id),
        )
    )  # fmt: skip
    return (await house.alice.last_event()).last


async def test_a_refusal_says_why_and_what_to_do_until_it_is_mended(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house)
        event = await refusal(house, bob, "no_permission")
        assert f'href="/why?event={event}"' in (await http.get(f"/people/{bob}")).text
        page = (await http.get(f"/why?event={event}")).text
        assert "You have no permission for this door." in page
        assert "the controller does not know them" in text(page)
        assert "Give them this door." in page
        given = await send(http, f"/people/{bob}/doors", f"/why?event={event}", door=str(house.front))
        assert given.headers["location"] == f"/people/{bob}"
        told = text((await http.get(f"/why?event={event}")).text)
    for sentence in ("The door would open.", "has not confirmed all of this yet", "the door has to hear of it first"):
        assert sentence in told


async def test_a_refused_visitor_is_helped_where_the_visit_is_changed(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        await house.dora.reports(entry(house, vic, "pass_wrong_door", door=house.lab), entry(house, vic, "lockdown"))
        refused = [each.number async for each in house.alice.page_passages(outcome="refused")]
        lockdown, wrong_door = [(await http.get(f"/why?event={number}")).text for number in refused]
    assert f'<a class="button" href="/visitors/{vic.id}/change">Change the visit</a>' in wrong_door
    assert f'<a href="/visitors/{vic.id}">Vic</a>' in lockdown


async def test_what_is_in_the_way_is_named_with_its_remedy(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await bob_of(house)
        await house.alice.change_permissions(bob, PermissionsPatch(add=[GrantDraft(house.lab)]))
        ask = f"/why?person={bob}&door={house.front}&way=card"
        steps = [
            (UserPatch(name="Robert"), "what is set for the person: doors"),
            (UserPatch(name="Bob"), "Give them this door."),
            (UserPatch(access_expires_at=1_700_000_000), "Their access expired on 14 Nov 2023, 23:13."),
            (UserPatch(access_expires_at=None, access=AccessPatch(card=False)), "Switch this way in on"),
            (UserPatch(is_active=False), "They are deactivated."),
        ]
        for patch, sentence in steps:
            await house.alice.change_user(bob, patch)
            assert sentence in text((await http.get(ask)).text), sentence
        assert (await http.get("/why")).headers["location"] == "/people"
        assert (await http.get("/people/explain?event=7")).headers["location"] == "/why?event=7"
        assert (await http.get("/why?event=999999")).status_code == 404


@pytest.mark.parametrize(
    ("form", "page", "fields"),
    [
        ("/people/{id}/active", "/account", {"active": "no"}),
        ("/people/{id}/delete", "/account", {}),
        ("/people/{id}/log-in/remove", "/account", {}),
        ("/people/{id}/edit", "/people/{id}/edit", {"name": "Ada", "email": "ada@example.org", "roles": "end_user"}),
        ("/people/{id}/edit", "/people/{id}/edit", {"roles": "super_admin", "accessExpiresAt": "2020-01-01T00:00"}),
    ],
)
async def test_nobody_shuts_themselves_out(town: Town, form: str, page: str, fields: dict[str, str]) -> None:
    async with browser(town) as http:
        ada = (await town.client(town.alice).page_users(search="Ada")).items[0].id
        filled = {"name": "Ada", "email": "ada@example.org", **fields}
        answer = await send(http, form.format(id=ada), page.format(id=ada), **filled)
        assert (answer.status_code, "You would shut yourself out." in answer.text) == (409, True)
        html = (await http.get(f"/people/{ada}")).text
        for offered in (f"/people/{ada}/active", f"/people/{ada}/delete", f"/people/{ada}/log-in/remove"):
            assert offered not in html
        assert (await http.get("/settings")).status_code == 200
