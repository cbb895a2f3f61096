"""Reports on the real cloud: the history by what is asked, sheets that are safe to open, a month of somebody."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from tests.sdk.town import Town
from tests.web.cast import browser
from tests.web.test_page import NOON, entry, opened_house

from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.people import UserDraft

OCTOBER = "from=2026-10-25&to=2026-10-31"


async def test_the_history_answers_what_is_asked(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic, bob = await house.book("Vic Varga"), await house.alice.add_user(UserDraft("Bob Builder"))
        await house.dora.reports(
            entry(house, vic, at=NOON),
            entry(house, vic, "pass_expired", at=NOON + 1),
            entry(house, user=bob.id, credential="card", at=NOON + 2, direction="exit", door=house.lab),
        )
        wanted = {
            "": {"Vic Varga", "Bob Builder"},
            "name=varga": {"Vic Varga"},
            f"user={bob.id}": {"Bob Builder"},
            f"door={house.lab}": {"Bob Builder"},
            "direction=entry": {"Vic Varga"},
            "credential=card": {"Bob Builder"},
            "outcome=refused": {"Vic Varga"},
            "reason=pass_expired": {"Vic Varga"},
            "reason=pass_forged": set(),
            "direction=sideways&door=x": {"Vic Varga", "Bob Builder"},
        }
        for query, names in wanted.items():
            page = (await http.get(f"/reports?{OCTOBER}&{query}")).text
            assert {name for name in ("Vic Varga", "Bob Builder") if f">{name}</a>" in page} == names, query
        page = (await http.get(f"/reports?{OCTOBER}&outcome=refused")).text
        assert "/why?event=" in page
        assert "13:00:01" in page
        assert "Nobody came or was refused" in (await http.get("/reports?from=2026-10-01&to=2026-10-02")).text
        for wrong in ("from=x", "from=2026-10-02&to=2026-10-01", "to=0001-01-01"):
            answer = await http.get(f"/reports?{wrong}")
            assert (answer.status_code, 'class="wrong"' in answer.text) == (200, True)


async def test_a_day_is_the_sites_own(town: Town) -> None:
    """23:30 UTC of the 30th is the 31st in Berlin."""
    async with opened_house(town) as house, browser(town) as http:
        late = datetime(2026, 10, 30, 23, 30, tzinfo=UTC).timestamp()
        await house.dora.reports(entry(house, await house.book("Vic"), at=late))
        assert ">Vic</a>" in (await http.get("/reports?from=2026-10-31&to=2026-10-31")).text
        assert ">Vic</a>" not in (await http.get("/reports?from=2026-10-30&to=2026-10-30")).text


async def test_the_csv_is_whole_and_none_of_its_cells_is_a_formula(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        eve = await house.book("=HYPERLINK(1)")
        await house.dora.reports(*(entry(house, eve, at=NOON + n) for n in range(450)))
        answer = await http.get(f"/reports/history.csv?{OCTOBER}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="access-2026-10-25-2026-10-31.csv"' in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf"), "spreadsheet programs read it as UTF-8"
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert len(rows) == 450
    assert len({row[-1] for row in rows}) == 450
    assert {row[head.index("Person")] for row in rows} == {"'=HYPERLINK(1)"}
    assert rows[-1][0] == "2026-10-30 13:00:00+01:00"


async def test_pages_go_on_where_the_last_one_ended(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        await house.dora.reports(*(entry(house, vic, at=NOON + n) for n in range(60)))
        first = (await http.get(f"/reports?{OCTOBER}")).text
        link = first.partition('" rel="next"')[0].rpartition('href="')[2].replace("&amp;", "&")
        second = (await http.get(link)).text
    assert (first.count(">Vic</a>"), second.count(">Vic</a>")) == (50, 10)


async def test_a_month_has_first_in_and_last_out_by_the_sites_clock(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob Builder"))
        path = f"/reports/attendance?user={bob.id}&month=2026-10"
        assert "switched off" in (await http.get(path)).text
        await house.alice.change_organisation(OrganisationPatch(attendance_module=True))

        def seen(hour: float, direction: str, **more: object) -> object:
            who = {"user": bob.id, "credential": "card", **more}
            return entry(house, at=NOON + 3600 * (hour - 12), direction=direction, **who)

        await house.dora.reports(
            seen(7.25, "entry"), seen(11, "exit"), seen(11.5, "entry"), seen(16.5, "exit"),
            seen(5, "entry", reason="no_permission"), seen(20, "exit", reason="no_permission"),
            seen(23.5, "entry"),
        )  # fmt: skip
        page = (await http.get(path)).text
        sheet = await http.get(path.replace("attendance?", "attendance.csv?"))
    rows = {row["Day"]: row for row in csv.DictReader(io.StringIO(sheet.content.decode("utf-8-sig"), newline=""))}
    assert len(rows) == 31
    friday, saturday = rows["2026-10-30"], rows["2026-10-31"]
    assert (friday["First in"], friday["Last out"], friday["Between"]) == ("08:15:00", "17:30:00", "9:15")
    assert (saturday["First in"], saturday["Last out"]) == ("00:30:00", "")
    assert "08:15:00" in page
    assert "October 2026" in page


async def test_a_manager_sees_their_reports_alone(town: Town) -> None:
    async with opened_house(town) as house:
        await house.alice.change_organisation(OrganisationPatch(attendance_module=True))
        async with browser(town, ["manager"], name="Max") as http:
            [max_] = [user async for user in house.alice.page_users(search="Max")]
            hers = await house.alice.add_user(UserDraft("Rita Report", reporting_to=max_.id))
            other = await house.alice.add_user(UserDraft("Otto Other"))
            for user in (hers, other):
                await house.dora.reports(entry(house, user=user.id, credential="card", at=NOON))
            page = (await http.get(f"/reports?{OCTOBER}")).text
            assert "Rita Report" in page
            assert "13:00:00" in page
            assert "Otto" not in page
            assert "Otto" not in (await http.get("/reports/attendance")).text
            month = "month=2026-10"
            assert "13:00:00" in (await http.get(f"/reports/attendance?user={hers.id}&{month}")).text
            assert (await http.get(f"/reports/attendance?user={other.id}&{month}")).status_code == 404
            sheet = (await http.get(f"/reports/history.csv?{OCTOBER}")).text
            assert ("Rita" in sheet, "Otto" in sheet) == (True, False)
