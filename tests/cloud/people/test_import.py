"""People from CSV and back."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.cast import Client, Conn, problem
from latchwork.cloud.people import spreadsheet
from latchwork.wire.sheet import write

HEADER = ",".join(spreadsheet.COLUMNS)


async def take(alice: Client, csv: str, **more: Any) -> dict[str, Any]:
    return dict(await alice.post("/v1/users/import", {"csv": csv, **more}))


async def everybody(alice: Client) -> list[dict[str, Any]]:
    return list((await alice.get("/v1/users", params={"limit": 100}))["items"])


async def test_people_come_in_with_names_of_any_script_and_quoted_cells(alice: Client) -> None:
    await alice.patch("/v1/access-points/2", {"isDefault": True})
    sheet = (
        '\ufeffname,email,"roles",accessPoints,accessExpiresAt,joiningDate\r\n'
        '"Müller, Zoë ""Z""",zoe@example.org,site_admin;end_user,1;3,2031-05-01,2026-02-03\r\n'
        "\r\n"
        "王小明,,,,,\n"
    )
    assert await take(alice, sheet) == {"added": 2, "changed": 0, "badLines": [], "changes": []}
    zoe, wang = await everybody(alice)
    assert (zoe["name"], zoe["roles"], zoe["joiningDate"]) == (
        'Müller, Zoë "Z"', ["site_admin", "end_user"], "2026-02-03",
    )  # fmt: skip
    assert zoe["accessExpiresAt"] == 1_935_439_199  # the end of that day in Berlin
    doors = [p["accessPointId"] for p in (await alice.get(f"/v1/users/{zoe['id']}/permissions"))["items"]]
    assert doors == [1, 2, 3]
    assert (wang["name"], wang["roles"], wang["accessExpiresAt"]) == ("王小明", ["end_user"], None)


async def test_a_dry_run_lists_every_bad_line_and_the_real_one_refuses_all(alice: Client, db: Conn) -> None:
    sheet = (
        "id,name,email,homeSiteId,roles,reportingTo,isActive,accessPoints,terms,accessExpiresAt\r\n"
        ",Good,,,,,,,,\r\n"
        ",,,,,,,,,\r\n"
        ",Bad mail,x@,,,,,,,\r\n"
        ",Bad refs,,9,king,99999,,1;99,7,soon\r\n"
        "77777,Nobody,,,,,,,,\r\n"
        "x,No id,,,,,,,,\r\n"
        ",Two,cells\r\n"
        ",Manager,,,manager,,,,,\r\n"
        ",Passive,,,,,false,,,\r\n"
        ',"Two\r\nlines",,,,,,,,\r\n'
        ",After,z@,,,,,,,\r\n"
    )
    told = await take(alice, sheet, dryRun=True)
    found = {(bad["line"], bad["column"]) for bad in told["badLines"]}
    assert found == {
        (3, "name"), (4, "email"), (5, "homeSiteId"), (5, "roles"), (5, "reportingTo"), (5, "accessPoints"),
        (5, "terms"), (5, "accessExpiresAt"), (6, "id"), (7, "id"), (8, ""), (9, "roles"), (10, "isActive"),
        (11, "name"), (13, "email"),
    }  # fmt: skip
    assert all(bad["detail"].endswith(".") for bad in told["badLines"])
    assert await everybody(alice) == []
    response = await alice.call("POST", "/v1/users/import", json={"csv": sheet})
    assert response.status_code == 400
    assert len(problem(response)["errors"]) == len(told["badLines"])
    assert await everybody(alice) == []
    assert await take(alice, "name\r\nGood\r\n", dryRun=True) == {
        "added": 1,
        "changed": 0,
        "badLines": [],
        "changes": [],
    }
    assert (await db.counts())["users"] == 0


@pytest.mark.parametrize(
    "sheet", ["", "\r\n", "nome\r\nBob", "name,name\r\nBob,Bob", 'name\r\n"Bob', 'name\r\n"Bob"x\r\n', "x" * 200_000]
)
async def test_what_is_no_such_table_is_refused(alice: Client, sheet: str) -> None:
    assert (await alice.call("POST", "/v1/users/import", json={"csv": sheet})).status_code == 400
    assert (await take(alice, sheet, dryRun=True))["badLines"]
    assert await everybody(alice) == []


async def test_lines_with_an_id_change_that_user_and_leave_other_columns_alone(alice: Client, charlie: Client) -> None:
    bob = (await alice.post("/v1/users", {"name": "Bob", "email": "bob@example.org", "accessPoints": [1, 2]}))["id"]
    theirs = (await charlie.post("/v1/users", {"name": "Theirs"}))["id"]
    answer = await take(alice, f"id,name,isActive,accessPoints\r\n{bob},Robert,false,2;3\r\n,Ann,,\r\n")
    assert (answer["added"], answer["changed"]) == (1, 1)
    robert, _ann = await everybody(alice)
    assert (robert["name"], robert["email"], robert["isActive"]) == ("Robert", "bob@example.org", False)
    doors = (await alice.get(f"/v1/users/{bob}/permissions"))["items"]
    assert [p["accessPointId"] for p in doors if p["state"] != "removing"] == [2, 3]
    for bad in (f"id,name\r\n{theirs},Mine\r\n", f"id,name\r\n{bob},Once\r\n{bob},Twice\r\n"):
        assert (await alice.call("POST", "/v1/users/import", json={"csv": bad})).status_code == 400
    assert (await everybody(alice))[0]["name"] == "Robert"


async def test_an_empty_cell_leaves_the_field_as_it_is(alice: Client) -> None:
    bob = (await alice.post("/v1/users", {"name": "Bob", "email": "b@example.org", "accessPoints": [1]}))["id"]
    await alice.patch(f"/v1/users/{bob}", {"isActive": False})
    before = await everybody(alice)
    empty = "," * (len(spreadsheet.COLUMNS) - 1)
    assert (await take(alice, f"{HEADER}\r\n{bob}{empty}\r\n"))["changed"] == 1
    assert await everybody(alice) == before
    assert [p["state"] for p in (await alice.get(f"/v1/users/{bob}/permissions"))["items"]] == ["pending"]


async def test_what_is_exported_comes_in_again_and_changes_nothing(alice: Client) -> None:
    term = (await alice.post("/v1/terms", {"name": "Night"}))["id"]
    chief = (await alice.post("/v1/users", {"name": '=Chief, "the" 1st'}))["id"]
    await alice.post(
        "/v1/users",
        {
            "name": "Ольга", "email": "o@example.org", "phone": "+4930123", "employeeCode": "007", "terms": [term],
            "roles": ["site_admin", "front_desk"], "adminOfSites": [1], "reportingTo": chief,
            "joiningDate": "2026-02-03", "accessExpiresAt": 1_935_439_199, "accessPoints": [1, 3],
        },
    )  # fmt: skip
    response = await alice.call("GET", "/v1/users/export")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["name"] for row in rows] == ['\'=Chief, "the" 1st', "Ольга"]
    assert rows[1]["phone"] == "'+4930123"
    assert rows[1]["accessPoints"] == "1;3"
    assert response.text.startswith(HEADER + "\r\n")
    before, last = await everybody(alice), await alice.last_event()
    assert await take(alice, response.text) == {"added": 0, "changed": 2, "badLines": [], "changes": []}
    assert (await everybody(alice), await alice.last_event()) == (before, last)


async def test_what_refers_to_something_gone_is_exported_and_comes_in_again(alice: Client) -> None:
    await alice.patch("/v1/organisation", {"attendanceModule": True})
    chief = (await alice.post("/v1/users", {"name": "Chief"}))["id"]
    somebody = {"name": "Bob", "roles": ["site_admin", "manager"], "adminOfSites": [1], "reportingTo": chief}
    bob = (await alice.post("/v1/users", somebody))["id"]
    await alice.patch("/v1/organisation", {"attendanceModule": False})
    before = await alice.get(f"/v1/users/{bob}")
    sheet = (await alice.call("GET", "/v1/users/export")).text
    for dry_run in (True, False):
        assert (await take(alice, sheet, dryRun=dry_run))["badLines"] == []
    assert await alice.get(f"/v1/users/{bob}") == before
    assert (await take(alice, f"id,adminOfSites\r\n{bob},99\r\n", dryRun=True))["badLines"]


async def test_a_dry_run_refuses_what_the_import_refuses(alice: Client) -> None:
    bob = (await alice.post("/v1/users", {"name": "Bob"}))["id"]
    before, last = await everybody(alice), await alice.last_event()
    for sheet in (f"id,reportingTo\r\n{bob},{bob}\r\n", f"id,name\r\n{bob},X\r\n0{bob},Y\r\n"):
        tried = await alice.call("POST", "/v1/users/import", json={"csv": sheet, "dryRun": True})
        assert tried.status_code == 400 or tried.json()["badLines"]
        assert (await alice.call("POST", "/v1/users/import", json={"csv": sheet})).status_code == 400
    assert (await take(alice, f"id,name\r\n{bob},Robert\r\n,New\r\n", dryRun=True))["badLines"] == []
    assert (await everybody(alice), await alice.last_event()) == (before, last)


async def test_an_answer_is_no_longer_for_more_mistakes(alice: Client) -> None:
    columns = ",".join(map(str, range(20_000)))
    nowhere = f"name,adminOfSites\r\nX,{';'.join(map(str, range(2, 20_000)))}\r\n"
    for sheet in (columns, nowhere, "name,email\r\n" + ",x@\r\n" * 9_000):
        told = (await take(alice, sheet, dryRun=True))["badLines"]
        assert len(told) == 1_001
        assert told[-1]["detail"].startswith("From here on there are ")
        refused = await alice.call("POST", "/v1/users/import", json={"csv": sheet})
        assert len(problem(refused)["errors"]) == 1_001
    never = await alice.call("POST", "/v1/schedules", json={"name": "x", "week": [[[5, 5]] * 9_000] + [[]] * 6})
    assert len(problem(never)["errors"]) == 1_001


async def test_a_repeated_import_takes_nobody_in_twice_and_answers_the_same(alice: Client, charlie: Client) -> None:
    kim = (await alice.post("/v1/users", {"name": "Kim"}))["id"]
    sheet = {"csv": f"id,name\r\n,Bob\r\n,Ann\r\n{kim},Kim Lee\r\n"}
    key = {"idempotency-key": "once"}
    first = await alice.post("/v1/users/import", sheet, headers=key)
    assert first == {"added": 2, "changed": 1, "badLines": [], "changes": []}
    assert await alice.post("/v1/users/import", sheet, headers=key) == first
    assert len(await everybody(alice)) == 3
    other = await alice.call("POST", "/v1/users/import", json={"csv": "name\r\nZoe\r\n"}, headers=key)
    assert (other.status_code, problem(other)["code"]) == (422, "idempotency_key_reused")
    assert len(await everybody(alice)) == 3
    assert (await charlie.post("/v1/users/import", {"csv": "name\r\nZoe\r\n"}, headers=key))["added"] == 1


async def test_an_import_that_was_refused_or_only_tried_leaves_its_key_free(alice: Client) -> None:
    key = {"idempotency-key": "once"}
    refused = await alice.call("POST", "/v1/users/import", json={"csv": "name,email\r\nBob,x@\r\n"}, headers=key)
    assert refused.status_code == 400
    sheet = {"csv": "name\r\nBob\r\n"}
    await alice.post("/v1/users/import", {**sheet, "dryRun": True}, headers=key)
    assert (await alice.post("/v1/users/import", sheet, headers=key))["added"] == 1
    assert [user["name"] for user in await everybody(alice)] == ["Bob"]


async def test_an_export_may_be_fetched_in_parts(alice: Client) -> None:
    await take(alice, "name\r\n" + "".join(f"User {n}\r\n" for n in range(7)))
    whole, parts = (await alice.call("GET", "/v1/users/export")).text, ""
    while part := (await alice.call("GET", "/v1/users/export", params={"after": last_id(parts), "most": 3})).text:
        parts += part
    assert parts == whole


def last_id(sheet: str) -> str:
    return sheet.rstrip().rpartition("\r\n")[2].partition(",")[0] or "0"


async def test_an_export_of_nobody_is_its_columns(charlie: Client) -> None:
    assert (await charlie.call("GET", "/v1/users/export")).text == HEADER + "\r\n"


async def test_an_export_holds_everybody(alice: Client) -> None:
    await take(alice, "name\r\n" + "".join(f"User {n}\r\n" for n in range(1_201)))
    text = (await alice.call("GET", "/v1/users/export")).text
    assert len(list(csv.DictReader(io.StringIO(text, newline="")))) == 1_201


@given(st.text(max_size=300))
def test_any_text_is_read_or_told_what_is_wrong(text: str) -> None:
    lines, bad = spreadsheet.read(text)
    rows, worse = spreadsheet.judge(lines, spreadsheet.Known({1: "Europe/Berlin"}, {1}, (), (), {}))
    assert len(rows) == len(lines)
    assert all(one.line >= 1 and one.detail for one in (*bad, *worse))


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")), min_size=2,
                         max_size=2)))  # fmt: skip
def test_what_is_written_is_read_again(cells: list[list[str]]) -> None:
    text = write([["name", "gender"], *cells])
    lines, bad = spreadsheet.read(text)
    assert not bad
    assert [[*line.cells.values()] for line in lines] == [[cell.strip() for cell in row] for row in cells]


@given(
    st.sampled_from(["", "'", "''"]), st.sampled_from("=+-@\t\r\uff1d\uff0b\uff0d\uff20"), st.text("=+-'1", max_size=5)
)
def test_no_cell_that_is_written_is_a_formula(quoted: str, sign: str, text: str) -> None:
    written = write([["name", "gender"], [quoted + sign + text, "x"]])
    [_, [cell, _]] = csv.reader(io.StringIO(written, newline=""))
    assert cell.startswith("'")
    [line], _ = spreadsheet.read(written)
    assert line.cells["name"] == (quoted + sign + text).strip()
