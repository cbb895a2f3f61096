// The Access SDK, once for the whole app: the session, this phone's keys and the user's doors are its affair.
import { config } from "/desk.js";
import { Access, WebBluetooth } from "/sdk/access.js";

/** Null until `openKey` has ended. */
export let access = null;

/** Rejects where this browser can keep no key, with a sentence that says why. */
export async function openKey() {
  access = await Access.open((await config()).latchwork);
}

/** Whether this browser can tap; those of an iPhone cannot. */
export const canTap = WebBluetooth.isHere;
