// The Access SDK, once for the whole app: the session, the phone's keys and its doors are its affair.
import { Access } from "/sdk/access.js";

const { latchwork } = await (await fetch("/config.json")).json();

export const access = new Access(latchwork);

/** Whether this browser can tap: it takes Web Bluetooth. */
export const canTap = "bluetooth" in navigator;
