/** The cloud's native API in a user's name, with a session that only this phone can use (RFC 6749 §6, RFC 9449). */

import { base64url, utf8 } from "./bytes.ts";
import {
  type AccessError,
  CloudRefused,
  ConnectionLost,
  NotLoggedIn,
  Offline,
  type Problem,
  problem,
  SessionOver,
} from "./errors.ts";
import { point, sign } from "./p256.ts";
import { type Contents, isContents, isOver, type Kept, type Wallet } from "./wallet.ts";

const NAME = "latchwork-access";
const TOKEN_PATH = "/oauth2/token";
const TIMEOUT_MS = 30_000;
const EARLY_SECONDS = 30;
const NO_JSON = {};
const UNEXPECTED = "Something else answered instead of the cloud; please check the network and the cloud's address.";

export type Method = "GET" | "POST" | "DELETE";
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;
/** Epoch seconds. */
export type Clock = () => number;

/** A whole answer; `said`: its body. */
interface Reply {
  readonly ok: boolean;
  readonly status: number;
  readonly date: string | null;
  readonly said: object;
}

/** The cloud as one session is let in. */
export class Cloud {
  readonly #url: string;
  readonly #place: Place;
  readonly #fetch: Fetch;
  readonly #now: Clock;
  #bearer = "";
  #goodUntil = -Infinity;
  #refreshing: Promise<void> | null = null;

  constructor(url: string, place: Place, fetch: Fetch, now: Clock) {
    this.#url = url;
    this.#place = place;
    this.#fetch = fetch;
    this.#now = now;
  }

  /** The same cloud for the same session in another place. */
  at(place: Place): Cloud {
    const cloud = new Cloud(this.#url, place, this.#fetch, this.#now);
    cloud.#bearer = this.#bearer;
    cloud.#goodUntil = this.#goodUntil;
    return cloud;
  }

  /**
   * The answer's body. A GET, a DELETE and a POST that creates (with its Idempotency-Key) are repeated once when no
   * answer came; nothing else is, and rejects with ConnectionLost then: it may have been carried out. Rejects with
   * Offline, SessionOver or what the cloud's problem means.
   */
  async call<T>(method: Method, path: string, body?: object, isRepeatable = method !== "POST"): Promise<T> {
    const init = this.#init(method, body, isRepeatable);
    let response = await this.#authorized(path, init, isRepeatable);
    if (response.status === 401) {
      this.#goodUntil = -Infinity;
      response = await this.#authorized(path, init, isRepeatable);
    }
    if (!isRepeatable && response.status >= 500) throw new ConnectionLost();
    if (!response.ok) throw refusal(response);
    if (response.said === NO_JSON) throw unexpected();
    return response.said as T;
  }

  /** Ends the session (RFC 7009). */
  async revoke(refreshToken: string): Promise<void> {
    const asked = form({ token: refreshToken, token_type_hint: "refresh_token" });
    await this.#send(`${this.#url}/oauth2/revoke`, { ...asked, keepalive: true }, true);
  }

  #init(method: Method, body: object | undefined, isRepeatable: boolean): RequestInit {
    const headers: Record<string, string> = {};
    if (body) headers["content-type"] = "application/json";
    if (method === "POST" && isRepeatable) headers["idempotency-key"] = crypto.randomUUID();
    const init = { method, headers, keepalive: method === "DELETE" }; // is under way even when the page goes away
    return body ? { ...init, body: JSON.stringify(body) } : init;
  }

  async #authorized(path: string, init: RequestInit, isRepeatable: boolean): Promise<Reply> {
    if (this.#now() >= this.#goodUntil)
      await (this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null)));
    const headers = { ...(init.headers as Record<string, string>), authorization: this.#bearer };
    const sent = this.#send(`${this.#url}${path}`, { ...init, headers }, isRepeatable);
    return isRepeatable ? sent : sent.catch(() => Promise.reject(new ConnectionLost()));
  }

  /** An answer counts when all of it has come. */
  async #send(url: string, init: RequestInit, isRepeatable: boolean): Promise<Reply> {
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const response = await this.#fetch(url, { ...init, credentials: "omit", cache: "no-store", signal });
      const { ok, status, headers } = response;
      return { ok, status, date: headers.get("date"), said: read(await response.text()) };
    } catch {
      if (isRepeatable) return this.#send(url, init, false);
      throw new Offline();
    }
  }

  #refresh(): Promise<void> {
    return this.#place.renew(async (held) => {
      const began = this.#now();
      const { answer, clockOffset } = await this.#grant(held, held.clockOffset, true);
      this.#bearer = `Bearer ${answer.access_token}`;
      this.#goodUntil = began + answer.expires_in - Math.min(EARLY_SECONDS, answer.expires_in / 10);
      return { refreshToken: answer.refresh_token, clockOffset };
    });
  }

  /** No answer, or a refused proof: asked once more with a new proof, by the cloud's clock where its answer tells it. */
  async #grant(
    held: Contents,
    clockOffset: number,
    mayRepeat: boolean,
  ): Promise<{ answer: Granted; clockOffset: number }> {
    const url = `${this.#url}${TOKEN_PATH}`;
    const asked = form({ grant_type: "refresh_token", refresh_token: held.refreshToken });
    const dpop = await proof(held.sessionKey, url, this.#now() + clockOffset);
    const sent = this.#send(url, { ...asked, headers: { ...asked.headers, dpop } }, false);
    const response = await (mayRepeat ? sent.catch(() => null) : sent);
    if (!response) return this.#grant(held, clockOffset, false);
    const said = response.said as Partial<Granted & Refusal>;
    if (response.ok && said.access_token) return { answer: said as Granted, clockOffset };
    if (said.error === "invalid_grant") throw new SessionOver();
    const told = Date.parse(response.date ?? "") / 1000 || this.#now() + clockOffset;
    if (said.error === "invalid_dpop_proof" && mayRepeat) return this.#grant(held, told - this.#now(), false);
    if (!said.error || isAway(response)) throw stranger(response);
    throw new CloudRefused(this.#elsewhere(said.error_description) ?? said.error_description, null, said.error);
  }

  /** What an app is told that calls the cloud by another name than the one for which the cloud wants proofs. */
  #elsewhere(described = ""): string | null {
    const own = /htu (\S+)\/oauth2\/token/.exec(described)?.[1];
    return own && own !== this.#url ? `This app calls the cloud ${this.#url}, but its public address is ${own}.` : null;
  }
}

/** Where a session's contents are while it is used. */
export interface Place {
  /** Calls `make` with them and keeps what it changes, once at a time. */
  renew(make: (held: Contents) => Promise<Partial<Contents>>): Promise<void>;
}

/** In no wallet: of a log-in that is under way, or of a phone that is forgotten already. */
export class Loose implements Place {
  contents: Contents;
  readonly cloud: Cloud;

  /** `cloud`: as this session, or this one's beginning, is let in. */
  constructor(contents: Contents, cloud: Cloud) {
    this.contents = contents;
    this.cloud = cloud.at(this);
  }

  async renew(make: (held: Contents) => Promise<Partial<Contents>>): Promise<void> {
    this.contents = { ...this.contents, ...(await make(this.contents)) };
  }
}

/** The wallet, which pages of one site share: one of them changes it at a time, on what is there. */
export class Drawer {
  readonly #url: string;
  readonly #wallet: Wallet;
  readonly #changed: (kept: Kept | null) => void;
  #others = globalThis.document ? new BroadcastChannel(NAME) : null;
  readonly #turns = new Map<string, Promise<unknown>>();

  /** What is kept of another cloud than `url`'s counts as nothing, until it is replaced. */
  constructor(url: string, wallet: Wallet, changed: (kept: Kept | null) => void) {
    this.#url = url;
    this.#wallet = wallet;
    this.#changed = changed;
    this.#others?.addEventListener("message", () => this.load().catch(() => {}));
  }

  /** What is kept now, which whoever opened this drawer is told too. */
  async load(): Promise<Kept | null> {
    const found = await this.#wallet.load();
    const kept = found?.url === this.#url ? found : null;
    this.#changed(kept);
    return kept;
  }

  /** Keeps what `make` makes of what is kept, and resolves with what was. */
  change(make: (held: Kept | null) => Kept | null): Promise<Kept | null> {
    return this.#alone(NAME, async () => {
      const held = await this.load();
      const kept = make(held);
      if (kept === held) return held;
      await (kept ? this.#wallet.save(kept) : this.#wallet.clear());
      this.#changed(kept);
      this.#others?.postMessage(null);
      return held;
    });
  }

  /** Changes the contents of the session that began with that text's fingerprint; rejects as `the` when they are gone. */
  async amend(beganWith: string, make: (held: Contents) => Partial<Contents>): Promise<void> {
    await this.change((kept) => {
      const held = the(kept, beganWith);
      return { ...held, ...make(held) };
    });
  }

  /** The place of that session. While the cloud is asked the wallet can be changed: a token of a session that is gone is not kept. */
  of(beganWith: string): Place {
    const renew: Place["renew"] = (make) =>
      this.#alone(`${NAME} ${beganWith}`, async () => {
        const changes = await make(the(await this.load(), beganWith));
        await this.amend(beganWith, () => changes);
      });
    return { renew };
  }

  /** From now on other pages are neither heard nor told. */
  close(): void {
    this.#others?.close();
    this.#others = null;
  }

  async #alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    const locks = globalThis.navigator?.locks;
    if (locks) return locks.request(what, work) as Promise<T>;
    const turn = (this.#turns.get(what) ?? Promise.resolve()).then(work, work);
    this.#turns.set(what, turn);
    return turn;
  }
}

/** The contents, of that session if one is given; throws SessionOver or NotLoggedIn when they are gone. */
export function the(kept: Kept | null, beganWith?: string): Contents {
  if (isContents(kept) && kept.beganWith === (beganWith ?? kept.beganWith)) return kept;
  throw isOver(kept) ? new SessionOver() : new NotLoggedIn();
}

/** RFC 6749 §5.1. */
interface Granted {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token: string;
}

/** RFC 6749 §5.2. */
interface Refusal {
  readonly error: string;
  readonly error_description?: string;
}

/** A DPoP proof for the token endpoint (RFC 9449 §4.2). `now`: epoch seconds. */
async function proof(key: CryptoKeyPair, url: string, now: number): Promise<string> {
  const publicPoint = await point(key);
  const [x, y] = [base64url(publicPoint.subarray(1, 33)), base64url(publicPoint.subarray(33))];
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: { kty: "EC", crv: "P-256", x, y } };
  const claims = { htm: "POST", htu: url, iat: Math.floor(now), jti: crypto.randomUUID() };
  const signed = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  return `${signed}.${base64url(await sign(key, utf8(signed)))}`;
}

function form(fields: Record<string, string>): RequestInit & { headers: Record<string, string> } {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return { method: "POST", headers, body: new URLSearchParams(fields).toString() };
}

/** What the JSON of a body says; a text that is none says nothing. */
function read(text: string): object {
  if (!text) return {};
  try {
    return Object(JSON.parse(text));
  } catch {
    return NO_JSON;
  }
}

function refusal(response: Reply): AccessError {
  const said = response.said as Partial<Problem>;
  return said.code ? problem(said as Problem) : stranger(response);
}

/** What an answer means that does not speak as the cloud does: a proxy's for a cloud that is away, or another server's. */
function stranger(response: Reply): AccessError {
  return isAway(response) ? new Offline() : unexpected();
}

function isAway({ status }: Reply): boolean {
  return status >= 500 || status === 429;
}

function unexpected(): CloudRefused {
  return new CloudRefused(UNEXPECTED, null, "unexpected");
}
