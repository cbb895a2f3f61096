/**
 * What the SDK asks of Bluetooth: to hear readers, and to exchange bytes with one of them.
 *
 * `WebBluetooth` does it in a browser that can; a hybrid app hands in one of its own that calls its native side.
 */

import type { Advert } from "./advert.ts";
import type { Bytes } from "./bytes.ts";

/** There is no Bluetooth here, or it is switched off. */
export class RadioOff extends Error {}

/** The connection to a reader ended, or never began. */
export class LinkLost extends Error {}

/** A reader within reach of the radio. */
export interface Heard {
  /** Its service data (`readAdvert`); null where the platform does not tell. */
  readonly advert: Advert | null;
  /** dBm; null where the platform does not tell. */
  readonly rssi: number | null;
}

/** A connection to one reader. `receive` and `send` reject with LinkLost when it is gone. */
export interface Link {
  /** The next bytes that the reader sends: a message, or a part of one. */
  receive(): Promise<Bytes>;
  send(data: Bytes): Promise<void>;
  /** Ends the connection; never rejects. */
  close(): Promise<void>;
}

/** Rejects with RadioOff where there is no Bluetooth; an AccessError, such as Cancelled, is told as it is. */
export interface Radio {
  /** Whether `scan` asks the user to choose a reader: then it is called once, and at once. */
  readonly asksUser: boolean;
  /** The readers that advertise meanwhile, each once, by its latest strength. */
  scan(seconds: number): Promise<readonly Heard[]>;
  /** `heard`: one that `scan` gave. Rejects with LinkLost when it does not answer. */
  connect(heard: Heard): Promise<Link>;
}
