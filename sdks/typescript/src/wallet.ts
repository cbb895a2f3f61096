/** What a phone keeps: three keys, its session, and what it needs to know to work without a network. */

import type { Keyring } from "./api.ts";
import { base64url, utf8 } from "./bytes.ts";
import { WalletUnwritable } from "./errors.ts";
import { newSigningKey, sha256 } from "./p256.ts";

/** By which doors know this phone. Private halves can be used and never read, by this page neither. */
interface Keys {
  /** Of the cloud. */
  readonly url: string;
  readonly tapKey: CryptoKeyPair;
  readonly codeKey: CryptoKeyPair;
  /** When the keys were made, epoch seconds. */
  readonly madeAt: number;
}

/** What is left of a phone without its session: when the same user logs in again, it is the same phone. */
export interface Former extends Keys {
  readonly userId: number;
  /** The cloud has ended the session, and nobody has logged in or out since. */
  readonly isOver?: boolean;
}

/** A phone with its session. One key per purpose. */
export interface Contents extends Keys {
  /** SHA-256 of the text that began the session, base64url: tells it from every other session. */
  readonly beganWith: string;
  readonly refreshToken: string;
  /** Proves to the cloud that a refresh comes from this phone (RFC 9449). */
  readonly sessionKey: CryptoKeyPair;
  /** Seconds by which the cloud's clock is ahead of this phone's. */
  readonly clockOffset: number;
  readonly keyring: Keyring | null;
}

export type Kept = Contents | Former;

/** Where a phone keeps its contents. */
export interface Wallet {
  /** null: nothing is kept. */
  load(): Promise<Kept | null>;
  /** Durable when it resolves: a refresh token is good once. */
  save(kept: Kept): Promise<void>;
  clear(): Promise<void>;
}

/** Forgets everything with the page. */
export class MemoryWallet implements Wallet {
  #kept: Kept | null = null;

  async load(): Promise<Kept | null> {
    return this.#kept;
  }

  async save(kept: Kept): Promise<void> {
    this.#kept = kept;
  }

  async clear(): Promise<void> {
    this.#kept = null;
  }
}

const STORE = "contents";

/** The browser's own database, for this site alone. Every method rejects with WalletUnwritable where there is none. */
export class IndexedDbWallet implements Wallet {
  readonly #name: string;

  /** `name`: of the database; two users on one device need two. */
  constructor(name = "latchwork-access") {
    this.#name = name;
  }

  load(): Promise<Kept | null> {
    return this.#within("readonly", (store) => store.get(0)).then((found) => (found as Kept | undefined) ?? null);
  }

  async save(kept: Kept): Promise<void> {
    await this.#within("readwrite", (store) => store.put(kept, 0));
  }

  async clear(): Promise<void> {
    await this.#within("readwrite", (store) => store.clear());
  }

  async #within(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
    try {
      return await this.#transact(mode, use);
    } catch {
      throw new WalletUnwritable();
    }
  }

  async #transact(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
    const database = await this.#open();
    try {
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const asked = use(transaction.objectStore(STORE));
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error);
      });
      return asked.result;
    } finally {
      database.close();
    }
  }

  #open(): Promise<IDBDatabase> {
    const opening = indexedDB.open(this.#name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    return new Promise((resolve, reject) => {
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
  }
}

/** A phone that begins with a session's text. `now`: epoch seconds. */
export async function newContents(url: string, session: string, now: number): Promise<Contents> {
  const [sessionKey, tapKey, codeKey] = await Promise.all([newSigningKey(), newSigningKey(), newSigningKey()]);
  const keys = { sessionKey, tapKey, codeKey, madeAt: Math.floor(now) };
  return { url, beganWith: await fingerprint(session), refreshToken: session, ...keys, clockOffset: 0, keyring: null };
}

export async function fingerprint(session: string): Promise<string> {
  return base64url(await sha256(utf8(session)));
}

export function isContents(kept: Kept | null): kept is Contents {
  return kept !== null && "refreshToken" in kept;
}

export function isOver(kept: Kept | null): boolean {
  return kept !== null && !isContents(kept) && kept.isOver === true;
}

/** Whose keys they are; undefined as long as the cloud has not said it. */
export function userOf(kept: Kept): number | undefined {
  return isContents(kept) ? kept.keyring?.userId : kept.userId;
}

/** What is kept of a phone without its session. */
export function former(kept: Kept, isOver: boolean): Former | null {
  const { url, tapKey, codeKey, madeAt } = kept;
  const userId = userOf(kept);
  return userId === undefined ? null : { url, userId, tapKey, codeKey, madeAt, isOver };
}
