/** What an app includes so that its user's phone opens doors. docs/access-sdk.md is the guide. */

import { metres } from "./advert.ts";
import type { Door, Keyring, Passage, Passages, Phone, PhoneDraft, Unlocked } from "./api.ts";
import { type Bytes, base64url, concat, fromBase64url, hex, number, uint, utf8 } from "./bytes.ts";
import { type Clock, Cloud, Drawer, type Fetch, Loose, type Method, the } from "./cloud.ts";
import { phoneCode } from "./code.ts";
import {
  type AccessError,
  BluetoothOff,
  ConnectionLost,
  failed,
  invalid,
  known,
  NoReaderNear,
  NotEnrolled,
  NotSecure,
  PhoneLocked,
  refused,
  SessionOver,
  TooFar,
} from "./errors.ts";
import { kid, point, sign } from "./p256.ts";
import { type Heard, type Link, LinkLost, type Radio, RadioOff } from "./radio.ts";
import { SENTENCES } from "./reasons.ts";
import { type Answer, type Ask, PhoneSide, TapFailed, type TapRequest } from "./tap.ts";
import {
  type Contents,
  fingerprint,
  former,
  IndexedDbWallet,
  isContents,
  isOver,
  type Kept,
  newContents,
  userOf,
  type Wallet,
} from "./wallet.ts";
import { WebBluetooth } from "./web_bluetooth.ts";

/** How long a code is shown before the next one is made; a door takes it five seconds longer. */
export const CODE_SECONDS = 30;
/** How long readers are listened for at most; a tap ends as soon as one is near enough. */
export const SCAN_SECONDS = 3;
const LOOK_SECONDS = 0.3;
const TAP_METRES = 2;
const CONNECT_MS = 10_000;
const STEP_MS = 2_000;
/** How long the cloud is told of a phone that is forgotten here already. */
const FAREWELL_MS = 5_000;
/** A difference of clocks below this is the way to the cloud and back. */
const CLOCK_SECONDS = 3;

const KEYRING = "/v1/account/keyring";
const PHONES = "/v1/account/phones";
const PASSAGES = "/v1/account/passages";
/** Passages that the cloud tells at once at most. */
const PAGE = 200;

const DONE: Readonly<Record<Ask, string>> = {
  open: SENTENCES["granted"]!,
  hold_open: "The door stands open for everybody.",
  lock: "The door is locked for everybody.",
  normal: "The door is back to normal.",
};

/**
 * How far this phone is, in every page and after a reload. `session_over`: the cloud has ended the session, and nobody has
 * logged out or in since; only the keys are kept, for the same user's next.
 */
export type Status = "logged_out" | "not_enrolled" | "ready" | "session_over";

/** The user's own code. Instants are epoch seconds of this phone's clock. */
export interface Code {
  /** To be drawn as a QR. */
  readonly text: string;
  readonly madeAt: number;
  /** When to ask for the next one. */
  readonly nextAt: number;
}

/** A door did what it was asked. */
export interface Opened {
  readonly accessPoint: number;
  readonly name: string;
  readonly sentence: string;
}

export interface Options {
  /** Where keys and keyring are kept; absent, the browser's database. */
  readonly wallet?: Wallet;
  /** Bluetooth; absent, the browser's. */
  readonly radio?: Radio;
  /** The network; absent, the browser's. */
  readonly fetch?: Fetch;
  /** The phone's clock, epoch seconds. */
  readonly now?: Clock;
}

/** One phone of one user. Every method may reject, with an AccessError. */
export class Access {
  readonly #url: string;
  readonly #radio: Radio;
  readonly #now: Clock;
  readonly #fetch: Fetch;
  readonly #drawer: Drawer;
  readonly #listeners = new Set<(status: Status) => void>();
  /** By what began the session. */
  readonly #clouds = new Map<string, Cloud>();
  #kept: Kept | null = null;
  /** A log-in that has not got through yet. */
  #begun: { session: string; loose: Promise<Loose> } | null = null;
  #told: Status = "logged_out";
  #code: Promise<Code> | null = null;
  #codeUntil = -Infinity;
  /** What the code depends on. */
  #codeOf = "";
  /** How each `showCode` ends, and how it goes on. */
  readonly #shown = new Map<() => void, () => Promise<void>>();

  private constructor(url: string, options: Options) {
    this.#url = url;
    this.#radio = options.radio ?? new WebBluetooth();
    this.#now = options.now ?? (() => Date.now() / 1000);
    this.#fetch = options.fetch ?? ((to, init) => fetch(to, init));
    this.#drawer = new Drawer(url, options.wallet ?? new IndexedDbWallet(), (kept) => this.#take(kept));
  }

  /** This phone as it was left. `url`: of the cloud. Rejects with NotSecure and WalletUnwritable where no key can be kept. */
  static async open(url: string, options: Options = {}): Promise<Access> {
    if (!/^https?:/.test(url)) throw invalid("The cloud's address is needed, such as https://access.example.org.");
    if (!globalThis.crypto?.subtle) throw new NotSecure();
    const access = new Access(url.replace(/\/+$/, ""), options);
    await access.#drawer.load();
    return access;
  }

  /** Ends what this object listens to; the phone stays as it is. */
  close(): void {
    this.#drawer.close();
    this.#listeners.clear();
    for (const stop of this.#shown.keys()) stop();
  }

  // The session

  get status(): Status {
    if (!isContents(this.#kept)) return isOver(this.#kept) ? "session_over" : "logged_out";
    return this.#kept.keyring?.phone ? "ready" : "not_enrolled";
  }

  /** Calls the listener at every change from now on; the answer ends that. */
  onStatus(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Begins with a session token, which is good for ten minutes and once: from now on only this phone can use it.
   * Whoever was logged in before is logged out once the cloud has taken it; the same token again is a refresh, or another
   * try of the same log-in: in the same page, as the key that has begun to use it goes with the page. Rejects with
   * SessionOver when the token is used up or wrong, with NotLoggedIn when somebody else has logged in at the same time, in
   * another page.
   */
  async logIn(session: string): Promise<void> {
    if (!session || typeof session !== "string")
      throw invalid("A session is needed, as your own backend gets it from the cloud.");
    if (isContents(this.#kept) && this.#kept.beganWith === (await fingerprint(session)))
      return void (await this.refresh());
    globalThis.navigator?.storage?.persist?.().catch(() => false);
    if (this.#begun?.session !== session) this.#begun = { session, loose: this.#drafted(session) };
    const loose = await this.#begun.loose;
    const keyring = await loose.cloud.call<Keyring>("GET", KEYRING);
    const left = await this.#drawer.change((held) => this.#begin(loose.contents, keyring, held));
    this.#begun = null;
    if (!isContents(left) || left.beganWith === loose.contents.beganWith) return;
    await this.#farewell(left, userOf(left) !== keyring.userId);
    await this.#drawer.change((held) => the(held, loose.contents.beganWith)); // another page may have logged in meanwhile
  }

  /** Forgets this phone, removes it from the cloud and ends its session there, which takes five seconds at most. */
  async logOut(): Promise<void> {
    let told: Promise<void> | undefined;
    await this.#drawer.change((held) => {
      if (!isContents(held)) return held && isOver(held) ? former(held, false) : held;
      told = this.#farewell(held, true); // now: whoever hears of the log-out may leave the page at once
      return null;
    });
    await told;
  }

  // This phone

  /**
   * Makes this phone known to the doors that its user may open. `replaces`: the id of a lost one. Rejects with
   * PhoneLimitReached when one must be named, PhoneLocked when an administrator must act.
   */
  async enrol(name: string, replaces: number | null = null): Promise<Phone> {
    if (replaces !== null) checkId(replaces, "replaces");
    const { userId } = this.#held().keyring ?? (await this.refresh());
    const { tapKey, codeKey } = this.#held();
    const [tap, code] = await Promise.all([point(tapKey), point(codeKey)]);
    const said = concat(utf8(`latchwork phone v1\0${userId}\0`), tap, code);
    const [tapProof, codeProof] = await Promise.all([sign(tapKey, said), sign(codeKey, said)]);
    const draft: PhoneDraft = {
      name,
      tapKey: base64url(tap),
      codeKey: base64url(code),
      tapProof: base64url(tapProof),
      codeProof: base64url(codeProof),
      replaces,
    };
    const phone = await this.#ask<Phone>("POST", PHONES, draft, true);
    await this.refresh();
    return phone;
  }

  /** The user's phones. */
  phones(): Promise<Phone[]> {
    return this.#ask("GET", PHONES);
  }

  /** Removes one of the user's phones: a lost one; its session ends. */
  async remove(phone: number): Promise<void> {
    await this.#ask("DELETE", `${PHONES}/${checkId(phone, "phone")}`);
  }

  // Doors

  /** Fetches what this phone needs to know to work without a network: do so whenever the app is opened. */
  async refresh(): Promise<Keyring> {
    const { beganWith } = this.#held();
    const keyring = await this.#ask<Keyring>("GET", KEYRING);
    await this.#drawer.amend(beganWith, (held) => this.#learnt(keyring, held));
    return keyring;
  }

  /** The doors that the user may open and what this phone may do there, as the cloud told last. */
  doors(): readonly Door[] {
    return this.#held().keyring?.doors ?? [];
  }

  /** Opens the door to whose reader the phone is held; with `accessPoint` only if it is that one. */
  async tap(accessPoint: number | null = null, seconds = SCAN_SECONDS): Promise<Opened> {
    if (accessPoint !== null) checkId(accessPoint);
    const heard = await this.#nearest(TAP_METRES, accessPoint, seconds);
    return this.#exchange(heard, accessPoint, "open", false);
  }

  /** Opens a door from a distance, within the range that the user has. */
  click(accessPoint: number, seconds = SCAN_SECONDS): Promise<Opened> {
    return this.#steer(accessPoint, "open", seconds);
  }

  /** Lets a door stand open for everybody, until `normal`; for those whose role it is. */
  holdOpen(accessPoint: number, seconds = SCAN_SECONDS): Promise<Opened> {
    return this.#steer(accessPoint, "hold_open", seconds);
  }

  /** Locks a door for everybody, until `normal`; for those whose role it is. */
  lock(accessPoint: number, seconds = SCAN_SECONDS): Promise<Opened> {
    return this.#steer(accessPoint, "lock", seconds);
  }

  /** Lets a door decide by attempt again; for those whose role it is. */
  normal(accessPoint: number, seconds = SCAN_SECONDS): Promise<Opened> {
    return this.#steer(accessPoint, "normal", seconds);
  }

  /** Opens a door through the cloud, from anywhere; for those who may. */
  async unlock(accessPoint: number): Promise<Opened> {
    const done = await this.#ask<Unlocked>("POST", `/v1/account/doors/${checkId(accessPoint)}/unlock`);
    if (done.outcome === "unknown") throw new ConnectionLost();
    if (done.outcome === "refused") throw refused(done.reason);
    return { accessPoint, name: this.#name(accessPoint), sentence: done.sentence };
  }

  /**
   * The user's own code, made here; the same until `nextAt`, when to ask again. `fresh`: another one now, for the next
   * door: a controller takes a code once.
   */
  async code({ fresh = false } = {}): Promise<Code> {
    this.#ready();
    const now = this.#now();
    if (fresh || !this.#code || now >= this.#codeUntil || now < this.#codeUntil - CODE_SECONDS) {
      this.#code = this.#newCode(now);
      this.#codeUntil = now + CODE_SECONDS;
    }
    if (fresh) this.#showAnew();
    return this.#code;
  }

  /**
   * Hands `show` a code now and the next one whenever it is due, until the answer is called. A fresh one that was asked
   * for meanwhile, and one after clock or phone were corrected, is shown at once.
   */
  showCode(show: (code: Code) => void, fail: (error: AccessError) => void): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let turn = 0;
    const next = async (): Promise<void> => {
      clearTimeout(timer);
      const mine = ++turn;
      try {
        const code = await this.code();
        if (mine !== turn) return;
        show(code);
        timer = setTimeout(next, Math.max(0, code.nextAt - this.#now()) * 1000);
      } catch (error) {
        if (mine === turn) fail(known(error));
      }
    };
    const looked = (): void => void (document.hidden || next());
    const stop = (): void => {
      turn++;
      clearTimeout(timer);
      this.#shown.delete(stop);
      globalThis.document?.removeEventListener("visibilitychange", looked);
    };
    globalThis.document?.addEventListener("visibilitychange", looked);
    this.#shown.set(stop, next);
    void next();
    return stop;
  }

  /** Where the user came, went and was refused, the latest first. */
  async history(most = 50): Promise<Passage[]> {
    const found: Passage[] = [];
    for (let cursor = ""; ;) {
      const limit = Math.min(most - found.length, PAGE);
      const page = await this.#ask<Passages>("GET", `${PASSAGES}?limit=${limit}${cursor}`);
      found.push(...page.items);
      if (!page.nextCursor || found.length >= most) return found;
      cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
    }
  }

  // Over Bluetooth

  async #steer(accessPoint: number, ask: Ask, seconds: number): Promise<Opened> {
    checkId(accessPoint);
    const door = this.#ready().doors.find((each) => each.accessPointId === accessPoint);
    const heard = await this.#nearest(Math.max(door?.clickRange ?? Infinity, TAP_METRES), accessPoint, seconds);
    return this.#exchange(heard, accessPoint, ask, ask === "open" || away(heard) > TAP_METRES);
  }

  /** Our nearest reader (of one door), as soon as it is near enough. */
  async #nearest(reach: number, accessPoint: number | null, seconds: number): Promise<Heard> {
    const organisation = this.#ready().organisationId;
    const until = performance.now() + seconds * 1000;
    for (let isSomewhere = false; ;) {
      const heard = await this.#radio.scan(LOOK_SECONDS).catch(lost);
      const [nearest] = heard
        .filter((each) => isOurs(each, organisation, accessPoint))
        .sort((a, b) => away(a) - away(b));
      if (nearest && away(nearest) <= reach) return nearest;
      isSomewhere ||= nearest !== undefined;
      if (this.#radio.asksUser || performance.now() >= until) throw isSomewhere ? new TooFar() : new NoReaderNear();
    }
  }

  async #exchange(heard: Heard, accessPoint: number | null, ask: Ask, fromAfar: boolean): Promise<Opened> {
    const met = { accessPoint: 0 };
    const side = await this.#side(heard, accessPoint, { ask, fromAfar, accessPoint: 0, rssi: heard.rssi }, met);
    const answer = await this.#answer(heard, side).catch((error: unknown) => {
      if (error instanceof TapFailed && error.failure === "wrong_reader" && this.#radio.asksUser)
        throw new NoReaderNear("This is the reader of another door; please choose the one that you mean.");
      return lost(error);
    });
    if (!answer.opened) throw refused(answer.reason);
    return { accessPoint: met.accessPoint, name: this.#name(met.accessPoint), sentence: DONE[ask] };
  }

  async #side(
    { advert }: Heard,
    accessPoint: number | null,
    request: TapRequest,
    met: { accessPoint: number },
  ): Promise<PhoneSide> {
    const { tapKey, madeAt, clockOffset } = this.#held();
    const { organisationId, readerKeys } = this.#ready();
    const exact = advert && hex(concat(uint(advert.accessPoint, 8), uint(Number(advert.isExit), 8)));
    const identity = { publicKey: await point(tapKey), updatedAt: madeAt, sign: (said: Bytes) => sign(tapKey, said) };
    const keys = new Map(readerKeys.map((key) => [hex(fromBase64url(key.kid)), fromBase64url(key.publicKey)]));
    return new PhoneSide(identity, request, {
      site: (site) => number(site.subarray(0, 8)) === organisationId,
      reader: (reader) => {
        met.accessPoint = number(reader.subarray(0, 8));
        return exact ? exact === hex(reader) : accessPoint === null || accessPoint === met.accessPoint;
      },
      findKey: (kid) => keys.get(hex(kid)) ?? null,
      now: this.#now() + clockOffset,
    });
  }

  async #answer(heard: Heard, side: PhoneSide): Promise<Answer> {
    const connecting = this.#radio.connect(heard);
    const link = await within(CONNECT_MS, connecting).catch((error: unknown) => {
      void connecting.then(
        (late) => late.close(),
        () => {},
      );
      throw error;
    });
    try {
      for (;;) {
        const say = await within(STEP_MS, hear(link, side));
        if ("opened" in say) return say;
        await within(STEP_MS, link.send(say));
      }
    } finally {
      await link.close();
    }
  }

  // What is kept

  #held(): Contents {
    return the(this.#kept);
  }

  #ready(): Keyring & { phone: Phone } {
    const { keyring } = this.#held();
    if (!keyring?.phone) throw new NotEnrolled();
    return keyring as Keyring & { phone: Phone };
  }

  #name(accessPoint: number): string {
    const keyring = isContents(this.#kept) ? this.#kept.keyring : null;
    return keyring?.doors.find((door) => door.accessPointId === accessPoint)?.name ?? "";
  }

  async #newCode(madeAt: number): Promise<Code> {
    const { codeKey, clockOffset } = this.#held();
    const id = crypto.getRandomValues(new Uint8Array(8));
    const codeKid = fromBase64url(this.#ready().phone.codeKid);
    const text = await phoneCode(id, Math.floor(madeAt + clockOffset), codeKid, (said) => sign(codeKey, said));
    return { text, madeAt, nextAt: madeAt + CODE_SECONDS };
  }

  async #ask<T>(method: Method, path: string, body?: object, isRepeatable?: boolean): Promise<T> {
    const { beganWith } = this.#held();
    try {
      return await this.#cloudOf(beganWith).call<T>(method, path, body, isRepeatable);
    } catch (error) {
      if (error instanceof SessionOver) await this.#drawer.change((held) => this.#end(beganWith, held));
      throw error;
    }
  }

  #cloudOf(beganWith: string): Cloud {
    const place = this.#drawer.of(beganWith);
    const cloud = this.#clouds.get(beganWith) ?? new Cloud(this.#url, place, this.#fetch, this.#now);
    this.#clouds.set(beganWith, cloud);
    return cloud;
  }

  #loose(contents: Contents): Loose {
    return new Loose(contents, this.#cloudOf(contents.beganWith));
  }

  async #drafted(session: string): Promise<Loose> {
    return this.#loose(await newContents(this.#url, session, this.#now()));
  }

  /** The phone of whoever logs in; the same user's keys stay, so that it is the same phone. */
  #begin(begun: Contents, keyring: Keyring, held: Kept | null): Kept {
    if (isContents(held) && held.beganWith === begun.beganWith) return held;
    const { tapKey, codeKey, madeAt } = held && userOf(held) === keyring.userId ? held : begun;
    return { ...begun, tapKey, codeKey, madeAt, ...this.#learnt(keyring, begun) };
  }

  /** What is left when the cloud has ended that session. */
  #end(beganWith: string, held: Kept | null): Kept | null {
    if (!isContents(held) || held.beganWith !== beganWith) return held;
    return former(held, true);
  }

  /** Tells the cloud to end the session of a phone that is forgotten here, and to remove the phone. */
  async #farewell(left: Contents, removes: boolean): Promise<void> {
    const loose = this.#loose(left);
    const tell = async (): Promise<void> => {
      if (removes) await this.#removeLeft(loose).catch(() => {});
      await loose.cloud.revoke(loose.contents.refreshToken);
    };
    await within(FAREWELL_MS, tell()).catch(() => {});
  }

  /** A phone that only an administrator takes away keeps its keys, unless somebody has logged in meanwhile. */
  async #removeLeft({ cloud, contents: left }: Loose): Promise<void> {
    const phone = left.keyring?.phone ?? (await phoneOf(left, cloud));
    if (!phone) return;
    try {
      await cloud.call("DELETE", `${PHONES}/${phone.id}`);
    } catch (error) {
      if (error instanceof PhoneLocked) await this.#drawer.change((held) => held ?? former(left, false));
    }
  }

  #learnt(keyring: Keyring, held: Contents): Pick<Contents, "keyring" | "clockOffset"> {
    const ahead = keyring.at - this.#now();
    const clockOffset = [0, held.clockOffset].find((known) => Math.abs(ahead - known) < CLOCK_SECONDS) ?? ahead;
    return { keyring, clockOffset };
  }

  #take(kept: Kept | null): void {
    this.#kept = kept;
    const contents = isContents(kept) ? kept : null;
    const codeOf = `${contents?.beganWith} ${contents?.clockOffset} ${contents?.keyring?.phone?.codeKid}`;
    const isAnother = codeOf !== this.#codeOf;
    this.#codeOf = codeOf;
    if (isAnother) this.#code = null;
    this.#tell();
    if (isAnother) this.#showAnew();
  }

  #tell(): void {
    if (this.status === this.#told) return;
    this.#told = this.status;
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#told);
      } catch (error) {
        console.error(error); // a fault of the app's; what is told has happened
      }
    }
  }

  #showAnew(): void {
    for (const next of this.#shown.values()) void next();
  }
}

/** The phone that the cloud knows by that key. */
async function phoneOf({ tapKey }: Contents, cloud: Cloud): Promise<Phone | undefined> {
  const [phones, tapKid] = await Promise.all([cloud.call<Phone[]>("GET", PHONES), point(tapKey).then(kid)]);
  return phones.find((each) => each.tapKid === base64url(tapKid));
}

/** The id that an app hands in, which may be anything when nobody has checked its types. */
function checkId(id: number, name = "accessPoint"): number {
  if (!Number.isSafeInteger(id)) throw invalid(`${name}: an id is a whole number.`);
  return id;
}

async function hear(link: Link, side: PhoneSide): Promise<Bytes | Answer> {
  for (;;) {
    const say = await side.receive(await link.receive());
    if (say !== null) return say;
  }
}

/** Metres, roughly; 0 where the platform does not tell. */
function away({ advert, rssi }: Heard): number {
  return advert && rssi !== null ? metres(rssi, advert.power) : 0;
}

function isOurs({ advert }: Heard, organisation: number, accessPoint: number | null): boolean {
  return (
    !advert || (advert.organisation === organisation && (accessPoint ?? advert.accessPoint) === advert.accessPoint)
  );
}

function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new LinkLost()), milliseconds)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What the end of a link means for an app. */
function lost(error: unknown): never {
  if (error instanceof RadioOff) throw new BluetoothOff();
  if (error instanceof LinkLost) throw new ConnectionLost();
  if (error instanceof TapFailed) throw failed(error.failure);
  throw known(error);
}
