/** An app's phone: at a reader, without a network, and when the cloud's answers are lost. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Access, type Options, type Status } from "../src/access.ts";
import { fromBase64url, hex } from "../src/bytes.ts";
import * as errors from "../src/errors.ts";
import { kid, newSigningKey, point } from "../src/p256.ts";
import { SENTENCES } from "../src/reasons.ts";
import { type Heard, type Link, LinkLost, RadioOff } from "../src/radio.ts";
import { type Contents, MemoryWallet } from "../src/wallet.ts";
import { WebBluetooth } from "../src/web_bluetooth.ts";
import { FRONT, NativeRadio, Reader } from "./reader.ts";
import { taps } from "./vectors.ts";

const URL = "https://cloud.test";

function base64url(text: string): string {
  return Buffer.from(text, "hex").toString("base64url");
}

const KEYRING: any = {
  organisationId: 3,
  userId: 7,
  at: taps.now,
  phone: { id: 5, codeKid: base64url("00".repeat(8)) },
  readerKeys: [{ kid: base64url(taps.readersSigningKey.kid), publicKey: base64url(taps.readersSigningKey.publicKey) }],
  doors: [{ accessPointId: 42, name: "Front door", clickRange: 20 }],
};

async function wallet(changes: Partial<Contents> = {}): Promise<MemoryWallet> {
  const [sessionKey, tapKey, codeKey] = [await newSigningKey(), await newSigningKey(), await newSigningKey()];
  const keys = { sessionKey, tapKey, codeKey, madeAt: taps.updatedAt, clockOffset: 0 };
  const kept = new MemoryWallet();
  await kept.save({ url: URL, beganWith: "lwr_1", refreshToken: "lwr_1", ...keys, keyring: KEYRING, ...changes });
  return kept;
}

async function contents(kept: MemoryWallet): Promise<Contents> {
  return (await kept.load()) as Contents;
}

async function phone(options: Options = {}): Promise<{ access: Access; radio: NativeRadio }> {
  const radio = new NativeRadio();
  const access = await Access.open(URL, {
    wallet: await wallet(),
    radio,
    now: () => taps.now,
    fetch: offline,
    ...options,
  });
  return { access, radio };
}

async function offline(): Promise<Response> {
  throw new TypeError("Failed to fetch");
}

function said(kind: new () => errors.AccessError) {
  return (error: unknown) => error instanceof kind;
}

// At a reader

test("a tap opens the door without a network, whatever pieces the radio cuts", async () => {
  for (const size of [1, 20, 182, 512]) {
    const { access, radio } = await phone();
    radio.size = size;
    assert.deepEqual(await access.tap(), {
      accessPoint: 42,
      name: "Front door",
      sentence: "Welcome, the door is open.",
    });
    assert.equal(hex(radio.reader.asked!), "0000ce0000000000000000");
    assert.equal(radio.isOpen, false);
  }
});

test("a click says that it comes from afar, and steering from near that it does not", async () => {
  const { access, radio } = await phone();
  for (const [method, asked] of [
    ["click", "0001"],
    ["holdOpen", "0100"],
    ["lock", "0200"],
    ["normal", "0300"],
  ] as const) {
    radio.reader = new Reader();
    assert.equal((await access[method](42)).accessPoint, 42);
    assert.equal(hex(radio.reader.asked!).slice(0, 4), asked);
  }
  radio.reader = new Reader();
  radio.near = [{ advert: FRONT, rssi: -75 }];
  await access.lock(42);
  assert.equal(hex(radio.reader.asked!).slice(0, 6), "0201b5");
});

test("the nearest reader of ours is the one", async () => {
  const { access, radio } = await phone();
  const other = { advert: { ...FRONT, organisation: 4 }, rssi: -20 };
  radio.near = [{ advert: { ...FRONT, accessPoint: 43 }, rssi: -58 }, other, { advert: FRONT, rssi: -40 }];
  assert.equal((await access.tap()).accessPoint, 42);
  radio.near = [other];
  await assert.rejects(access.tap(null, 0), said(errors.NoReaderNear));
});

test("who is too far is told to come closer", async () => {
  const { access, radio } = await phone();
  radio.near = [{ advert: FRONT, rssi: -80 }];
  await assert.rejects(access.tap(null, 0), said(errors.TooFar));
  assert.equal((await access.click(42, 0)).accessPoint, 42);
  radio.near = [{ advert: FRONT, rssi: -90 }];
  await assert.rejects(access.click(42, 0), said(errors.TooFar));
  await assert.rejects(access.click(43, 0), said(errors.NoReaderNear));
});

test("a reader comes near while the phone listens", async () => {
  const { access, radio } = await phone();
  radio.near = [];
  let looks = 0;
  radio.scan = async () => (++looks < 3 ? [] : [{ advert: FRONT, rssi: -40 }]);
  assert.equal((await access.tap()).accessPoint, 42);
  assert.equal(looks, 3);
});

test("a refusal has its class, its sentence and the door's reason", async () => {
  const { access, radio } = await phone();
  const kinds = {
    lockdown: errors.Lockdown,
    too_far: errors.TooFar,
    reader_fault: errors.DoorFault,
    outside_schedule: errors.NotPermitted,
    newer: errors.NotPermitted,
  };
  for (const [reason, kind] of Object.entries(kinds)) {
    radio.reader = new Reader();
    radio.reader.reason = reason;
    await assert.rejects(access.tap(), (error: unknown) => {
      assert.ok(error instanceof kind);
      assert.deepEqual(
        [error.code, error.reason, error.message],
        [kind.code, reason, SENTENCES[reason] ?? kind.sentence],
      );
      return true;
    });
  }
});

test("a reader that advertises another door than it proves is not trusted", async () => {
  const { access, radio } = await phone();
  radio.near = [{ advert: { ...FRONT, isExit: true }, rssi: -40 }];
  await assert.rejects(access.tap(), said(errors.ReaderNotTrusted));
  assert.equal(radio.reader.asked, null);
});

test("a reader of nobody's key is not trusted, and one whose link is lost may have opened", async () => {
  const kept = await wallet({ keyring: { ...KEYRING, readerKeys: [] } });
  await assert.rejects((await phone({ wallet: kept })).access.tap(), said(errors.ReaderNotTrusted));
  for (const losesAfter of [0, 1]) {
    const { access, radio } = await phone();
    radio.losesAfter = losesAfter;
    await assert.rejects(access.tap(), said(errors.ConnectionLost));
    assert.equal(radio.isOpen, false);
  }
});

test("where the certificate does not hold now, the user is told to look at the phone's clock", async () => {
  for (const seconds of [-31, 31].map((years) => years * 365 * 86400)) {
    const { access, radio } = await phone({ now: () => taps.now + seconds });
    await assert.rejects(access.tap(), (error: unknown) => {
      assert.ok(error instanceof errors.ReaderNotTrusted);
      assert.match(error.message, /or this phone's clock is wrong/);
      return true;
    });
    assert.equal(radio.reader.asked, null);
  }
});

test("a reader that says nothing is given up after two seconds, and one that never answers after ten", async () => {
  const { access, radio } = await phone();
  radio.reader.opening = async () => new Uint8Array();
  const began = performance.now();
  await assert.rejects(access.tap(), said(errors.ConnectionLost));
  assert.ok(performance.now() - began < 3000);
  assert.equal(radio.isOpen, false);
});

test("without Bluetooth the user is told to switch it on", async () => {
  const { access, radio } = await phone();
  radio.scan = async () => {
    throw new RadioOff();
  };
  await assert.rejects(access.tap(), said(errors.BluetoothOff));
  const browser = await Access.open(URL, { wallet: await wallet() });
  await assert.rejects(browser.tap(), said(errors.BluetoothOff));
});

test("what a browser's Bluetooth refuses, or a radio of one's own, has a code and its cause", async () => {
  const refusals = {
    SecurityError: "gesture_needed",
    NotFoundError: "cancelled",
    InvalidStateError: "failed",
  };
  for (const [name, code] of Object.entries(refusals)) {
    const cause = new DOMException("The browser's own words.", name);
    const requestDevice = async (): Promise<never> => Promise.reject(cause);
    for (const [isOn, expected] of [
      [true, code],
      [false, "bluetooth_off"],
    ] as const) {
      const radio = new WebBluetooth({ requestDevice, getAvailability: async () => isOn });
      await assert.rejects((await phone({ radio })).access.tap(), (error: unknown) => {
        assert.ok(error instanceof errors.AccessError);
        assert.equal(error.code, expected);
        if (expected === "failed") assert.equal(error.cause, cause);
        return true;
      });
    }
  }
});

test("what an app may not ask for is refused here, however its types were lost", async () => {
  const { asked, fetch } = way(answered);
  const { access } = await phone({ fetch });
  const wrong: any[] = ["42", "../phones", undefined, null, NaN, 1.5, {}];
  const calls = ["unlock", "remove", "click", "holdOpen", "lock", "normal"] as const;
  const asks = [
    ...calls.flatMap((method) => wrong.map((id) => () => access[method](id))),
    ...["42", NaN].flatMap((id: any) => [() => access.tap(id), () => access.enrol("Bob's", id)]),
    ...[undefined, null, "", {}].map((session: any) => () => access.logIn(session)),
    ...[undefined, "", "access.example.org"].map((url: any) => () => Access.open(url)),
  ];
  for (const ask of asks) {
    await assert.rejects(ask, (error: unknown) => {
      assert.ok(error instanceof errors.AccessError, String(error));
      assert.equal(error.code, "invalid");
      return true;
    });
  }
  assert.deepEqual(asked, []);
});

// Web Bluetooth that notifies

class Gatt extends EventTarget {
  connected = false;
  readonly properties = { notify: true };
  value: DataView | undefined;
  readonly reader = new Reader();

  get bluetooth() {
    const device = Object.assign(this, { gatt: this });
    return { requestDevice: async () => device, getAvailability: async () => true };
  }

  async connect() {
    this.connected = true;
    return { getPrimaryService: async () => ({ getCharacteristic: async () => this }) };
  }

  disconnect() {
    this.connected = false;
    this.dispatchEvent(new Event("gattserverdisconnected"));
  }

  async startNotifications() {
    this.notify(await this.reader.opening());
  }

  async writeValueWithResponse(data: any) {
    this.notify(await this.reader.hear(data));
  }

  notify(message: Uint8Array) {
    for (let at = 0; at < message.length; at += 20) {
      this.value = new DataView(message.slice(at, at + 20).buffer);
      this.dispatchEvent(new Event("characteristicvaluechanged"));
    }
  }
}

test("where the platform notifies, the reader's words are heard in pieces and none is missed", async () => {
  const gatt = new Gatt();
  const { access } = await phone({ radio: new WebBluetooth(gatt.bluetooth) });
  assert.equal((await access.tap()).name, "Front door");
  assert.equal(gatt.connected, false);
});

test("a reader that goes away in between ends the tap at once", async () => {
  const gatt = new Gatt();
  gatt.writeValueWithResponse = async () => gatt.disconnect();
  const { access } = await phone({ radio: new WebBluetooth(gatt.bluetooth) });
  const began = performance.now();
  await assert.rejects(access.tap(), said(errors.ConnectionLost));
  assert.ok(performance.now() - began < 1000);
});

test("a log-in that did not get through is tried again with the same key, and ends nothing", async () => {
  const empty = new MemoryWallet();
  const { asked, fetch } = way((each, times) => (times < 5 ? null : answered(each)));
  const { access } = await phone({ wallet: empty, fetch });
  const tried = [access.logIn("lwr_new"), access.logIn("lwr_new")];
  for (const each of tried) await assert.rejects(each, said(errors.Offline));
  assert.deepEqual([access.status, await empty.load()], ["logged_out", null]);
  await assert.rejects(access.logIn("lwr_new"), said(errors.Offline));
  await access.logIn("lwr_new");
  const proofs = asked.filter(({ path }) => path === "/oauth2/token").map(({ proof }) => proof.jwk.x);
  assert.ok(proofs.length > 4 && new Set(proofs).size === 1);
  assert.equal(access.status, "ready");
});

// The user's code

test("a code is the same for thirty seconds, then another, and told to whoever shows it", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let stop = () => {};
  try {
    let now = taps.now;
    const { access } = await phone({ now: () => now });
    const first = await access.code();
    assert.equal((await access.code()).text, first.text);
    const shown: string[] = [];
    stop = access.showCode(
      ({ text }) => shown.push(text),
      (error) => shown.push(error.message),
    );
    await until(() => shown.length === 1);
    await settled(); // it waits for the next one
    now += 30;
    mock.timers.tick(30_000);
    await until(() => shown.length === 2);
    assert.equal(shown[0], first.text);
    assert.notEqual(shown[1], first.text);
    stop();
    now += 30;
    mock.timers.tick(30_000);
    await settled();
    assert.equal(shown.length, 2);
  } finally {
    stop();
    mock.timers.reset();
  }
});

test("a fresh code takes the place of the shown one, however often the page was looked at, until it is stopped", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const page = Object.assign(new EventTarget(), { hidden: false });
  const { access } = await phone();
  Object.defineProperty(globalThis, "document", { value: page, configurable: true });
  try {
    const shown: string[] = [];
    const stop = access.showCode(
      ({ text }) => shown.push(text),
      (error) => shown.push(String(error)),
    );
    const first = await access.code();
    const fresh = await access.code({ fresh: true });
    await until(() => shown.at(-1) === fresh.text);
    assert.notEqual(fresh.text, first.text);
    assert.equal((await access.code()).text, fresh.text);
    for (let times = 0; times < 3; times++) page.dispatchEvent(new Event("visibilitychange"));
    await settled();
    shown.length = 0;
    mock.timers.tick(30_000);
    await settled();
    assert.equal(shown.length, 1);
    stop();
    page.dispatchEvent(new Event("visibilitychange"));
    await access.code({ fresh: true });
    mock.timers.tick(30_000);
    await settled();
    assert.equal(shown.length, 1);
    access.showCode(
      ({ text }) => shown.push(text),
      (error) => shown.push(String(error)),
    );
    access.close();
    await settled();
    mock.timers.tick(30_000);
    await settled();
    assert.equal(shown.length, 1);
  } finally {
    mock.timers.reset();
    delete (globalThis as any).document;
  }
});

test("once clock or phone are corrected the shown code is too", async () => {
  let keyring = KEYRING;
  const { fetch } = way((each) => (each.path.includes("keyring") ? Response.json(keyring) : answered(each)));
  const { access } = await phone({ fetch });
  const shown: string[] = [];
  const stop = access.showCode(
    ({ text }) => shown.push(text),
    (error) => shown.push(String(error)),
  );
  try {
    await until(() => shown.length === 1);
    for (const [corrected, times] of [
      [{ at: taps.now + 2 }, 1],
      [{ at: taps.now + 3600 }, 2],
      [{ at: taps.now + 3601 }, 2],
      [{ phone: { id: 6, codeKid: base64url("01".repeat(8)) } }, 3],
    ] as const) {
      keyring = { ...keyring, ...corrected };
      await access.refresh();
      await until(() => shown.length === times);
      await settled();
      assert.equal(shown.length, times);
      assert.equal((await access.code()).text, shown.at(-1));
    }
    assert.equal(new Set(shown).size, 3);
  } finally {
    stop();
  }
});

async function until(holds: () => boolean): Promise<void> {
  for (let times = 0; times < 100_000 && !holds(); times++) await new Promise((resolve) => setImmediate(resolve));
}

async function settled(): Promise<void> {
  for (let times = 0; times < 20; times++) await new Promise((resolve) => setImmediate(resolve));
}

test("a phone that is not enrolled has no code, and one that is logged out nothing at all", async () => {
  const bare = await phone({ wallet: await wallet({ keyring: null }) });
  assert.equal(bare.access.status, "not_enrolled");
  await assert.rejects(bare.access.code(), said(errors.NotEnrolled));
  const out = await phone({ wallet: new MemoryWallet() });
  assert.equal(out.access.status, "logged_out");
  assert.throws(() => out.access.doors(), said(errors.NotLoggedIn));
  await assert.rejects(out.access.tap(), said(errors.NotLoggedIn));
  const elsewhere = await phone({ wallet: await wallet({ url: "https://other.test" }) });
  assert.equal(elsewhere.access.status, "logged_out");
});

// When answers are lost

interface Asked {
  method: string;
  path: string;
  body: string;
  proof: any;
  key: string | null;
  outlivesPage: boolean;
}

/** The way to a cloud whose every answer a test gives. */
function way(answers: (asked: Asked, times: number) => Response | null | Promise<Response>) {
  const asked: Asked[] = [];
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const proof = headers
      .get("dpop")
      ?.split(".")
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
    asked.push({
      method: init.method!,
      body: String(init.body ?? ""),
      path: url.slice(URL.length),
      proof: proof && { ...proof[0], ...proof[1] },
      key: headers.get("idempotency-key"),
      outlivesPage: init.keepalive === true,
    });
    const answer = await answers(asked.at(-1)!, asked.length);
    if (!answer) throw new TypeError("Failed to fetch");
    return answer;
  };
  return { asked, fetch };
}

function granted(token = "lwr_2"): Response {
  return Response.json({ access_token: "a", token_type: "Bearer", expires_in: 600, refresh_token: token });
}

function answered({ path }: Asked): Response {
  return path === "/oauth2/token" ? granted() : Response.json(path.includes("keyring") ? KEYRING : []);
}

test("calls at one time fetch one token, which is kept before anything is done with it", async () => {
  const { asked, fetch } = way(answered);
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  await Promise.all([access.phones(), access.phones(), access.refresh()]);
  assert.equal(asked.filter(({ path }) => path === "/oauth2/token").length, 1);
  assert.equal((await contents(kept)).refreshToken, "lwr_2");
  const { proof } = asked[0]!;
  assert.deepEqual(
    [proof.typ, proof.alg, proof.htm, proof.htu, proof.iat],
    ["dpop+jwt", "ES256", "POST", `${URL}/oauth2/token`, taps.now],
  );
  assert.deepEqual(Object.keys(proof.jwk).sort(), ["crv", "kty", "x", "y"]);
  assert.equal(fromBase64url(proof.jwk.x).length, 32);
});

test("a lost answer of the token endpoint is asked for again, with a new proof", async () => {
  const { asked, fetch } = way((each, times) => (times === 1 ? null : answered(each)));
  await (await phone({ fetch })).access.phones();
  assert.equal(asked[1]!.path, "/oauth2/token");
  assert.notEqual(asked[0]!.proof.jti, asked[1]!.proof.jti);
});

test("an enrolment whose answer was lost is repeated as the same one, a remote unlock never", async () => {
  const { asked, fetch } = way((each) => (each.path === "/oauth2/token" ? granted() : null));
  const { access } = await phone({ fetch });
  await assert.rejects(access.enrol("Bob's"), said(errors.Offline));
  const enrolments = asked.filter(({ path }) => path === "/v1/account/phones");
  assert.equal(enrolments.length, 2);
  assert.ok(enrolments[0]!.key);
  assert.equal(enrolments[0]!.key, enrolments[1]!.key);
  await assert.rejects(access.unlock(42), said(errors.ConnectionLost));
  assert.equal(asked.filter(({ path }) => path.endsWith("/unlock")).length, 1);
});

test("a remote unlock that surely was not carried out is told so, and one that may have been too", async () => {
  for (const [at, answer, kind] of [
    ["/oauth2/token", () => null, errors.Offline],
    ["/unlock", () => new Response("no", { status: 504 }), errors.ConnectionLost],
    ["/unlock", () => Response.json({ code: "door_offline" }, { status: 409 }), errors.DoorOffline],
  ] as const) {
    const { fetch } = way((each) => (each.path.endsWith(at) ? answer() : answered(each)));
    await assert.rejects((await phone({ fetch })).access.unlock(42), said(kind));
  }
});

test("a proof refused for the phone's clock is made again by the cloud's", async () => {
  const date = new Date((taps.now + 7200) * 1000).toUTCString();
  const wrong = (): Response => Response.json({ error: "invalid_dpop_proof" }, { status: 400, headers: { date } });
  const { asked, fetch } = way((each) =>
    each.proof && Math.abs(each.proof.iat - taps.now) < 60 ? wrong() : answered(each),
  );
  const kept = await wallet();
  await (await phone({ fetch, wallet: kept })).access.phones();
  assert.deepEqual(
    asked.slice(0, 2).map(({ proof }) => proof.iat - taps.now),
    [0, 7200],
  );
  assert.equal((await contents(kept)).clockOffset, 7200);
});

test("only the cloud's word ends a session: not a proxy's, not an error's", async () => {
  const told: Status[] = [];
  for (const [status, kind] of [
    [401, errors.CloudRefused],
    [403, errors.CloudRefused],
    [502, errors.Offline],
  ] as const) {
    const { fetch } = way((each) => (each.path === "/oauth2/token" ? granted() : new Response("no", { status })));
    const { access } = await phone({ fetch });
    access.onStatus((status) => told.push(status));
    await assert.rejects(access.phones(), said(kind as any));
    assert.equal(access.status, "ready");
  }
  for (const status of [429, 500, 503]) {
    const { fetch } = way(() => Response.json({ error: "temporarily_unavailable" }, { status }));
    await assert.rejects((await phone({ fetch })).access.phones(), said(errors.Offline));
  }
  assert.equal(told.length, 0);
  const { fetch } = way(() => Response.json({ error: "invalid_grant" }, { status: 400 }));
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  const stop = access.onStatus((status) => told.push(status));
  await assert.rejects(access.phones(), said(errors.SessionOver));
  await assert.rejects(access.tap(), said(errors.SessionOver));
  assert.deepEqual(told, ["session_over"]);
  stop();
});

test("a problem of the cloud has its class, and one without keeps its code and sentence", async () => {
  const problems = {
    phone_limit_reached: errors.PhoneLimitReached,
    phone_locked: errors.PhoneLocked,
    quota: errors.CloudRefused,
  };
  for (const [code, kind] of Object.entries(problems)) {
    const { fetch } = way((each) =>
      each.path === "/oauth2/token" ? granted() : Response.json({ code, detail: "That is so." }, { status: 409 }),
    );
    await assert.rejects((await phone({ fetch })).access.enrol("x"), (error: unknown) => {
      assert.ok(error instanceof kind);
      assert.equal(error.code, code);
      assert.equal(error.message, kind === errors.CloudRefused ? "That is so." : kind.sentence);
      return true;
    });
  }
});

test("what is wrong with each field is told", async () => {
  const fields = [
    { field: "name", detail: "A name has 1 to 200 characters." },
    { field: "", detail: "There is more." },
  ];
  const { fetch } = way((each) =>
    each.path === "/v1/account/phones"
      ? Response.json({ code: "invalid", detail: "Some fields are wrong.", errors: fields }, { status: 400 })
      : answered(each),
  );
  await assert.rejects((await phone({ fetch })).access.enrol(""), {
    code: "invalid",
    message: "name: A name has 1 to 200 characters. There is more.",
  });
});

test("a cloud that is called by another name than its own is told by which", async () => {
  const told = { error: "invalid_dpop_proof", error_description: "" };
  const { fetch } = way(() => Response.json(told, { status: 400 }));
  const { access } = await phone({ fetch });
  told.error_description =
    "The DPoP proof is for another request; this one is htm POST, htu http://cloud.own:8080/oauth2/token.";
  await assert.rejects(access.refresh(), {
    code: "invalid_dpop_proof",
    message: "This app calls the cloud https://cloud.test, but its public address is http://cloud.own:8080.",
  });
  told.error_description = "The DPoP proof was not made just now.";
  await assert.rejects(access.refresh(), { code: "invalid_dpop_proof", message: told.error_description });
});

test("a history is as long as it is wanted, whatever the cloud tells at once", async () => {
  const all = Array.from({ length: 450 }, (_, number) => ({ number }));
  const { asked, fetch } = way((each) => {
    if (!each.path.startsWith("/v1/account/passages")) return answered(each);
    const query = new URLSearchParams(each.path.split("?")[1]);
    const [limit, from] = [Number(query.get("limit")), Number(query.get("cursor")?.slice(2) ?? 0)];
    if (limit < 1 || limit > 200) return Response.json({ code: "invalid", detail: "limit" }, { status: 400 });
    const to = from + limit;
    return Response.json({ items: all.slice(from, to), nextCursor: to < all.length ? `&=${to}` : null });
  });
  const { access } = await phone({ fetch });
  for (const most of [1, 200, 201, 450, 1000, Infinity]) {
    assert.deepEqual(await access.history(most), all.slice(0, most));
  }
  asked.length = 0;
  await access.history();
  assert.equal(asked.length, 1);
  await assert.rejects(access.history(0), { code: "invalid" });
});

test("what is no cloud is told so, wherever it answers, and an answer that breaks off is none", async () => {
  const page = (): Response =>
    new Response("<h1>Welcome to our Wi-Fi</h1>", { headers: { "content-type": "text/html" } });
  const lost = (): Response => new Response(new ReadableStream({ pull: (body) => body.error(new TypeError("cut")) }));
  for (const [wrong, kind, code] of [
    [page, errors.CloudRefused, "unexpected"],
    [() => Response.json({ code: "not_found", detail: "No such path." }, { status: 404 }), errors.CloudRefused, null],
    [lost, errors.Offline, "offline"],
  ] as const) {
    for (const at of ["/oauth2/token", "/v1/account/phones"]) {
      const { fetch } = way((each) => (each.path === at ? wrong() : answered(each)));
      const { access } = await phone({ fetch });
      await assert.rejects(access.phones(), (error: unknown) => {
        assert.ok(error instanceof kind);
        assert.equal(error.code, code ?? (at === "/oauth2/token" ? "unexpected" : "not_found"));
        if (error.code === "unexpected") assert.match(error.message, /check the network and the cloud's address/);
        return true;
      });
      assert.equal(access.status, "ready");
    }
  }
});

test("why the token endpoint refuses is told in its own words", async () => {
  const said = { error: "access_denied", error_description: "Your access is switched off." };
  const { fetch } = way(() => Response.json(said, { status: 400 }));
  await assert.rejects((await phone({ fetch })).access.phones(), { code: said.error, message: said.error_description });
});

test("a page that can make no keys is told why, and so is one that can keep none", async () => {
  const noStorage = Access.open(URL); // nobody has a database here
  await assert.rejects(noStorage, said(errors.WalletUnwritable));
  const secure = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    await assert.rejects(Access.open(URL, { wallet: new MemoryWallet() }), said(errors.NotSecure));
  } finally {
    Object.defineProperty(globalThis, "crypto", secure);
  }
});

test("what became of a remote unlock is told as it was", async () => {
  const outcomes: [object, new () => errors.AccessError][] = [
    [{ outcome: "unknown", reason: "", sentence: "" }, errors.ConnectionLost],
    [{ outcome: "refused", reason: "lockdown", sentence: "In lockdown." }, errors.Lockdown],
    [{ outcome: "refused", reason: "no_permission", sentence: "No." }, errors.NotPermitted],
  ];
  for (const [outcome, kind] of outcomes) {
    const { fetch } = way((each) => (each.path === "/oauth2/token" ? granted() : Response.json(outcome)));
    await assert.rejects((await phone({ fetch })).access.unlock(42), said(kind));
  }
  const { fetch } = way((each) =>
    each.path === "/oauth2/token"
      ? granted()
      : Response.json({ outcome: "done", reason: "granted", sentence: "Welcome." }),
  );
  assert.deepEqual(await (await phone({ fetch })).access.unlock(42), {
    accessPoint: 42,
    name: "Front door",
    sentence: "Welcome.",
  });
});

test("a log-in that is refused, or reaches nobody, leaves the phone as it was", async () => {
  const refused = (): Response => Response.json({ error: "invalid_grant" }, { status: 400 });
  for (const [answer, kind] of [
    [refused, errors.SessionOver],
    [() => null, errors.Offline],
  ] as const) {
    const { asked, fetch } = way((each) => (each.body.includes("lwr_new") ? answer() : answered(each)));
    const kept = await wallet();
    const before = await kept.load();
    const { access } = await phone({ fetch, wallet: kept });
    await assert.rejects(access.logIn("lwr_new"), said(kind));
    assert.deepEqual([access.status, await kept.load()], ["ready", before]);
    assert.ok(asked.every(({ path }) => path === "/oauth2/token"));
  }
});

test("the token that began the session again is a refresh", async () => {
  const { asked, fetch } = way(answered);
  const kept = new MemoryWallet();
  const { access } = await phone({ fetch, wallet: kept });
  await access.logIn("lwr_new");
  const { sessionKey, tapKey } = await contents(kept);
  await access.logIn("lwr_new");
  assert.ok(!asked.some(({ method, path }) => method === "DELETE" || path === "/oauth2/revoke"));
  assert.equal((await contents(kept)).sessionKey, sessionKey);
  assert.equal((await contents(kept)).tapKey, tapKey);
});

const other = (each: Asked): Response =>
  each.path === "/v1/account/keyring" ? Response.json({ ...KEYRING, userId: 8, phone: null }) : answered(each);

test("who logs in takes the place of another, whose phone is put away afterwards", async () => {
  const { asked, fetch } = way(other);
  const kept = await wallet();
  const { tapKey } = await contents(kept);
  const { access } = await phone({ fetch, wallet: kept });
  await access.logIn("lwr_other");
  assert.deepEqual(
    asked.map(({ method, path }) => `${method} ${path}`),
    [
      "POST /oauth2/token",
      "GET /v1/account/keyring",
      "POST /oauth2/token",
      "DELETE /v1/account/phones/5",
      "POST /oauth2/revoke",
    ],
  );
  assert.equal(access.status, "not_enrolled");
  assert.notEqual((await contents(kept)).tapKey, tapKey);
});

test("what comes late for one user is never written into another's phone, nor ends it", async () => {
  for (const path of ["/oauth2/token", "/v1/account/keyring"]) {
    let arrive = (_: Response): void => {};
    const late = new Promise<Response>((resolve) => (arrive = resolve));
    const { asked, fetch } = way((each) => (each === asked.find((first) => first.path === path) ? late : other(each)));
    const kept = await wallet();
    const { access } = await phone({ fetch, wallet: kept });
    const before = assert.rejects(
      access.refresh(),
      said(path === "/oauth2/token" ? errors.SessionOver : errors.NotLoggedIn),
    );
    await until(() => asked.some((each) => each.path === path));
    await access.logOut();
    await access.logIn("lwr_other");
    const own = await kept.load();
    arrive(
      path === "/oauth2/token" ? Response.json({ error: "invalid_grant" }, { status: 400 }) : Response.json(KEYRING),
    );
    await before;
    assert.deepEqual([access.status, await kept.load()], ["not_enrolled", own]);
  }
});

test("of two who log in at one time, in two pages, the one whose session is gone is told so", async () => {
  let arrive = (_: Response): void => {};
  const late = new Promise<Response>((resolve) => (arrive = resolve));
  const { asked, fetch } = way((each) => (each.method === "DELETE" ? late : other(each)));
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  const { access: page } = await phone({ fetch, wallet: kept });
  const first = assert.rejects(access.logIn("lwr_first"), said(errors.NotLoggedIn));
  await until(() => asked.some(({ method }) => method === "DELETE"));
  await page.logIn("lwr_second");
  const own = await kept.load();
  arrive(Response.json({}));
  await first;
  assert.deepEqual([access.status, page.status, await kept.load()], ["not_enrolled", "not_enrolled", own]);
  await access.phones(); // of whoever is logged in now, in every page
});

test("a page that missed that its user was logged out learns it from the next call", async () => {
  const { fetch } = way(answered);
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  const told: Status[] = [];
  access.onStatus((status) => told.push(status));
  await kept.clear();
  await assert.rejects(access.refresh(), said(errors.NotLoggedIn));
  assert.deepEqual(told, ["logged_out"]);
});

test("a closed page works on, and tells the others nothing", async () => {
  Object.defineProperty(globalThis, "document", { value: new EventTarget(), configurable: true });
  try {
    const { asked, fetch } = way(answered);
    const kept = await wallet();
    const { access } = await phone({ fetch, wallet: kept });
    access.close();
    await access.refresh();
    await access.logOut();
    assert.deepEqual([access.status, await kept.load()], ["logged_out", null]);
    assert.ok(asked.some(({ method }) => method === "DELETE"));
  } finally {
    delete (globalThis as any).document;
  }
});

test("an app's fault in hearing of a change does not keep it from happening", async (t) => {
  const told = t.mock.method(console, "error", () => {});
  const kept = await wallet();
  const { access } = await phone({ wallet: kept });
  access.onStatus(() => {
    throw new Error("the app's");
  });
  await access.logOut();
  assert.deepEqual([access.status, await kept.load(), told.mock.callCount()], ["logged_out", null, 1]);
});

test("a token that comes after the log-out is not kept", async () => {
  let arrive = (_: Response): void => {};
  const late = new Promise<Response>((resolve) => (arrive = resolve));
  const { fetch } = way((each, times) => (times === 1 ? late : answered(each)));
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  const refreshed = assert.rejects(access.refresh(), said(errors.NotLoggedIn));
  await access.logOut();
  arrive(granted());
  await refreshed;
  assert.deepEqual([access.status, await kept.load()], ["logged_out", null]);
});

test("logging out forgets at once and waits five seconds at most for a network that says nothing", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { asked, fetch } = way(() => new Promise<Response>(() => {}));
    const kept = await wallet();
    const { access } = await phone({ fetch, wallet: kept });
    const out = access.logOut();
    await until(() => asked.length > 0);
    assert.deepEqual([access.status, await kept.load()], ["logged_out", null]);
    mock.timers.tick(5000);
    await out;
  } finally {
    mock.timers.reset();
  }
});

test("keys outlive a session that ends by itself, for the same user alone", async () => {
  for (const [answer, isSame] of [
    [answered, true],
    [other, false],
  ] as const) {
    let isOver = true;
    const over = (): Response => Response.json({ error: "invalid_grant" }, { status: 400 });
    const { asked, fetch } = way((each) => (isOver ? over() : answer(each)));
    const kept = await wallet();
    const { url, tapKey, codeKey, madeAt } = await contents(kept);
    const { access } = await phone({ fetch, wallet: kept });
    const { access: meanwhile } = await phone({ fetch, wallet: kept });
    await assert.rejects(access.refresh(), said(errors.SessionOver));
    assert.deepEqual(await kept.load(), { url, userId: 7, tapKey, codeKey, madeAt, isOver: true });
    await assert.rejects(meanwhile.refresh(), said(errors.SessionOver));
    const { access: again } = await phone({ fetch, wallet: kept });
    for (const each of [access, meanwhile, again]) {
      await assert.rejects(each.tap(), said(errors.SessionOver));
      await assert.rejects(each.code(), said(errors.SessionOver));
      assert.equal(each.status, "session_over");
    }
    isOver = false;
    await again.logIn("lwr_new");
    const now = await contents(kept);
    assert.deepEqual([now.tapKey === tapKey, now.codeKey === codeKey], [isSame, isSame]);
    assert.ok(!asked.some(({ method }) => method === "DELETE"));
  }
});

test("who logs out once the session is over is logged out, and so is whose wallet is gone", async () => {
  const { fetch } = way(() => Response.json({ error: "invalid_grant" }, { status: 400 }));
  for (const leave of [(access: Access) => access.logOut(), (_: Access, kept: MemoryWallet) => kept.clear()]) {
    const kept = await wallet();
    const { tapKey } = await contents(kept);
    const { access } = await phone({ fetch, wallet: kept });
    await assert.rejects(access.refresh(), said(errors.SessionOver));
    await leave(access, kept);
    const { access: again } = await phone({ fetch, wallet: kept });
    assert.equal(again.status, "logged_out");
    await assert.rejects(again.refresh(), said(errors.NotLoggedIn));
    const left = await kept.load();
    assert.ok(left === null || left.tapKey === tapKey, "for the same user's next log-in");
  }
});

test("a phone of the same user stays the same when they log in anew, and is removed when they log out before enrolling", async () => {
  let tapKid = "";
  const { asked, fetch } = way((each) => {
    if (each.path === "/v1/account/keyring") return Response.json({ ...KEYRING, phone: null });
    return each.path === "/v1/account/phones"
      ? Response.json([
          { id: 4, tapKid: "" },
          { id: 5, tapKid },
        ])
      : answered(each);
  });
  const kept = await wallet();
  const { tapKey } = await contents(kept);
  tapKid = Buffer.from(await kid(await point(tapKey))).toString("base64url");
  const { access } = await phone({ fetch, wallet: kept });
  await access.logIn("lwr_new");
  assert.equal((await contents(kept)).tapKey, tapKey);
  assert.ok(!asked.some(({ method }) => method === "DELETE"));
  await access.logOut();
  assert.deepEqual(
    asked.filter(({ method }) => method === "DELETE").map(({ path }) => path),
    ["/v1/account/phones/5"],
  );
  assert.equal(await kept.load(), null);
});

test("a log-out removes the phone first, with the token at hand, before anybody can leave the page for it", async () => {
  const { asked, fetch } = way(answered);
  const { access } = await phone({ fetch });
  await access.refresh();
  asked.length = 0;
  const askedWhenTold: string[] = [];
  access.onStatus(() => askedWhenTold.push(...asked.map(({ method }) => method)));
  await access.logOut();
  assert.deepEqual(
    asked.map(({ method, path, outlivesPage }) => [method, path, outlivesPage]),
    [
      ["DELETE", "/v1/account/phones/5", true],
      ["POST", "/oauth2/revoke", true],
    ],
  );
  assert.deepEqual(askedWhenTold, ["DELETE"]);
});

test("logging out without a network forgets everything here all the same", async () => {
  const kept = await wallet();
  const { access } = await phone({ wallet: kept });
  await access.logOut();
  assert.deepEqual([access.status, await kept.load()], ["logged_out", null]);
});

test("a phone that an administrator alone takes away is logged out of all the same, and keeps its keys", async () => {
  const { asked, fetch } = way((each) =>
    each.path.startsWith("/v1/account/phones/")
      ? Response.json({ code: "phone_locked", detail: "You are bound to your phone." }, { status: 403 })
      : answered(each),
  );
  const kept = await wallet();
  const { url, tapKey, codeKey, madeAt } = await contents(kept);
  const { access } = await phone({ fetch, wallet: kept });
  await access.logOut();
  assert.equal(access.status, "logged_out");
  assert.ok(asked.some(({ path }) => path === "/oauth2/revoke"));
  assert.deepEqual(await kept.load(), { url, userId: 7, tapKey, codeKey, madeAt, isOver: false });
  assert.equal((await phone({ fetch, wallet: kept })).access.status, "logged_out");
  await access.logOut();
  assert.ok(await kept.load(), "nobody is logged in, and nothing is forgotten");
});

test("who logs in after somebody else is never taken for them", async () => {
  let isOffline = false;
  const { asked, fetch } = way((each) => (isOffline ? null : answered(each)));
  const kept = await wallet();
  const { access } = await phone({ fetch, wallet: kept });
  await access.refresh();
  await access.code();
  isOffline = true;
  await access.logOut();
  isOffline = false;
  asked.length = 0;
  await access.logIn("lwr_other");
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/oauth2/token", "/v1/account/keyring"],
  );
  assert.equal((await kept.load())!.madeAt, taps.now);
});

test("a link that comes too late is closed", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { access, radio } = await phone();
    let arrive = (_: Link): void => {};
    radio.connect = () => new Promise((resolve) => (arrive = resolve));
    const tapped = assert.rejects(access.tap(), said(errors.ConnectionLost));
    await settled();
    mock.timers.tick(10_000);
    await tapped;
    let isClosed = false;
    const gone = async (): Promise<never> => {
      throw new LinkLost();
    };
    arrive({ receive: gone, send: gone, close: async () => void (isClosed = true) });
    await settled();
    assert.equal(isClosed, true);
  } finally {
    mock.timers.reset();
  }
});

test("what a platform does not tell of a reader is not needed", async () => {
  const { access, radio } = await phone();
  const silent: Heard = { advert: null, rssi: null };
  radio.near = [silent];
  assert.equal((await access.click(42)).accessPoint, 42);
  assert.equal(hex(radio.reader.asked!).slice(0, 6), "00017f");
});
