/** What a phone keeps: three keys, its session, and what it needs to know to work without a network. */

import type { Keyring } from "./api.ts";
import { StorageRefused } from "./errors.ts";
import { newSigningKey } from "./p256.ts";

/** One key per purpose. Their private halves can be used and never read, by this page neither. */
export interface Contents {
  readonly url: string;
  readonly refreshToken: string;
  /** Proves to the cloud that a refresh comes from this phone (RFC 9449). */
  readonly sessionKey: CryptoKeyPair;
  readonly tapKey: CryptoKeyPair;
  readonly codeKey: CryptoKeyPair;
  /** When the keys were made, epoch seconds. */
  readonly madeAt: number;
  /** Seconds by which the cloud's clock is ahead of this phone's. */
  readonly clockOffset: number;
  readonly keyring: Keyring | null;
}

/** Where a phone keeps its contents. */
export interface Wallet {
  /** null: nothing is kept. */
  load(): Promise<Contents | null>;
  /** Durable when it resolves: a refresh token is good once. */
  save(contents: Contents): Promise<void>;
  clear(): Promise<void>;
}

/** Forgets everything with the page. */
export class MemoryWallet implements Wallet {
  #contents: Contents | null = null;

  async load(): Promise<Contents | null> {
    return this.#contents;
  }

  async save(contents: Contents): Promise<void> {
    this.#contents = contents;
  }

  async clear(): Promise<void> {
    this.#contents = null;
  }
}

const STORE = "contents";

/** The browser's own database, for this site alone. Every method rejects with StorageRefused where there is none. */
export class IndexedDbWallet implements Wallet {
  readonly #name: string;

  /** `name`: of the database; two users on one device need two. */
  constructor(name = "latchwork-access") {
    this.#name = name;
  }

  load(): Promise<Contents | null> {
    return this.#within("readonly", (store) => store.get(0)).then((found) => (found as Contents | undefined) ?? null);
  }

  async save(contents: Contents): Promise<void> {
    await this.#within("readwrite", (store) => store.put(contents, 0));
  }

  async clear(): Promise<void> {
    await this.#within("readwrite", (store) => store.clear());
  }

  async #within(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
    try {
      return await this.#transact(mode, use);
    } catch {
      throw new StorageRefused();
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

/** A phone that has just been given a session. `now`: epoch seconds. */
export async function newContents(url: string, refreshToken: string, now: number): Promise<Contents> {
  const [sessionKey, tapKey, codeKey] = await Promise.all([newSigningKey(), newSigningKey(), newSigningKey()]);
  return { url, refreshToken, sessionKey, tapKey, codeKey, madeAt: Math.floor(now), clockOffset: 0, keyring: null };
}
