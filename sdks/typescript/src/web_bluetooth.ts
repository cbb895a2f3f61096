/** Web Bluetooth: Chromium on Android, Windows, macOS, Linux and ChromeOS; no browser on an iPhone has it. */

import { NOTIFY, SERVICE, WRITE } from "./advert.ts";
import { type Bytes, equal } from "./bytes.ts";
import { Cancelled, GestureNeeded } from "./errors.ts";
import { type Heard, type Link, LinkLost, type Radio, RadioOff } from "./radio.ts";

const PAUSE_MS = 15;

/**
 * The browser shows the readers near and lets its user choose one, which takes a gesture: call `tap` and its like in the
 * handler of a click. Web pages are not told how strongly a reader is heard.
 */
export class WebBluetooth implements Radio {
  readonly asksUser = true;
  readonly #bluetooth: Bluetooth | undefined;
  readonly #devices = new WeakMap<Heard, BluetoothDevice>();

  /** `bluetooth`: the browser's, or what stands in for it. */
  constructor(bluetooth: unknown = globalThis.navigator?.bluetooth) {
    this.#bluetooth = bluetooth as Bluetooth | undefined;
  }

  /** Whether this browser has Web Bluetooth at all. */
  static get isHere(): boolean {
    return globalThis.navigator?.bluetooth !== undefined;
  }

  async scan(): Promise<Heard[]> {
    if (!this.#bluetooth) throw new RadioOff("this browser has no Web Bluetooth");
    try {
      const device = await this.#bluetooth.requestDevice({ filters: [{ services: [SERVICE] }] });
      const chosen = { advert: null, rssi: null };
      this.#devices.set(chosen, device);
      return [chosen];
    } catch (error) {
      if (await this.#isOff()) throw new RadioOff();
      const { name } = error as Error;
      throw name === "NotFoundError" ? new Cancelled() : name === "SecurityError" ? new GestureNeeded() : error;
    }
  }

  async connect(heard: Heard): Promise<Link> {
    const device = this.#devices.get(heard)!;
    try {
      const server = await device.gatt!.connect();
      const service = await server.getPrimaryService(SERVICE);
      const [write, answers] = await Promise.all([service.getCharacteristic(WRITE), service.getCharacteristic(NOTIFY)]);
      const ears = (await notified(device, answers)) ?? reading(device, answers);
      return new GattLink(device, write, ears);
    } catch {
      device.gatt?.disconnect();
      throw new LinkLost();
    }
  }

  async #isOff(): Promise<boolean> {
    return (await this.#bluetooth?.getAvailability?.()) === false;
  }
}

type Ears = () => Promise<Bytes>;

class GattLink implements Link {
  readonly receive: Ears;
  readonly #device: BluetoothDevice;
  readonly #write: BluetoothRemoteGATTCharacteristic;

  constructor(device: BluetoothDevice, write: BluetoothRemoteGATTCharacteristic, receive: Ears) {
    this.#device = device;
    this.#write = write;
    this.receive = receive;
  }

  async send(data: Bytes): Promise<void> {
    try {
      await this.#write.writeValueWithResponse(data);
    } catch {
      throw new LinkLost();
    }
  }

  async close(): Promise<void> {
    this.#device.gatt?.disconnect();
  }
}

/** Hears what is notified; null when this reader, or this platform, does not notify. */
async function notified(device: BluetoothDevice, answers: BluetoothRemoteGATTCharacteristic): Promise<Ears | null> {
  if (!answers.properties.notify) return null;
  const inbox: Bytes[] = [];
  let wake = (): void => {};
  const listen = (): void => {
    if (answers.value) inbox.push(copied(answers.value));
    wake();
  };
  answers.addEventListener("characteristicvaluechanged", listen);
  device.addEventListener("gattserverdisconnected", () => wake());
  try {
    await answers.startNotifications();
  } catch {
    answers.removeEventListener("characteristicvaluechanged", listen);
    return null;
  }
  return async () => {
    while (inbox.length === 0) {
      if (!device.gatt?.connected) throw new LinkLost();
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return inbox.shift()!;
  };
}

/** Reads the answer until it is another than the one before. */
function reading(device: BluetoothDevice, answers: BluetoothRemoteGATTCharacteristic): Ears {
  let before: Bytes = new Uint8Array();
  return async () => {
    while (device.gatt?.connected) {
      const value = copied(await answers.readValue().catch(lost));
      if (value.length > 0 && !equal(value, before)) return (before = value);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    throw new LinkLost();
  };
}

function lost(): never {
  throw new LinkLost();
}

function copied(view: DataView): Bytes {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}
