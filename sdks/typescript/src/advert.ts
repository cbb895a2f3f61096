/** How a reader makes itself known over Bluetooth: docs/tap.md. */

import { number } from "./bytes.ts";

export const SERVICE = 0xfff0;
export const WRITE = "fe278a85-89ae-191f-5dde-841202693835";
export const NOTIFY = "e5b1b3b5-3cca-3f76-cd86-a884cc239692";

/** The service data that a reader advertises, before anybody connects. Nobody has signed it. */
export interface Advert {
  readonly organisation: number;
  readonly accessPoint: number;
  readonly isExit: boolean;
  /** dBm at which a phone one metre away hears it. */
  readonly power: number;
}

/** What service data says; null when it is not a reader's of ours. */
export function readAdvert(data: Uint8Array): Advert | null {
  if (data.length !== 18 || data[16]! > 1) return null;
  return {
    organisation: number(data.subarray(0, 8)),
    accessPoint: number(data.subarray(8, 16)),
    isExit: data[16] === 1,
    power: (data[17]! << 24) >> 24,
  };
}

/** How far away a reader is that is heard with `rssi` dBm, in free air. */
export function metres(rssi: number, power: number): number {
  return 10 ** ((power - rssi) / 20);
}
