// The Access SDK, once for the whole app: the session, this phone's keys and the user's doors are its affair.
import { Access, WebBluetooth } from "/sdk/access.js";

const { latchwork } = await (await fetch("/config.json")).json();

export const access = await Access.open(latchwork);

/** Whether this browser can tap; those of an iPhone cannot. */
export const canTap = WebBluetooth.isHere;
