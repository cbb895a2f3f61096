/** Web Bluetooth: Chromium on Android, Windows, macOS, Linux and ChromeOS; no browser on an iPhone has it. */
import { type Heard, type Link, type Radio } from "./radio.ts";
/**
 * The browser shows the readers near and lets its user choose one, which takes a gesture: call `tap` and its like in the
 * handler of a click. Web pages are not told how strongly a reader is heard.
 */
export declare class WebBluetooth implements Radio {
    #private;
    readonly asksUser = true;
    /** `bluetooth`: the browser's, or what stands in for it. */
    constructor(bluetooth?: unknown);
    /** Whether this browser has Web Bluetooth at all. */
    static get isHere(): boolean;
    scan(): Promise<Heard[]>;
    connect(heard: Heard): Promise<Link>;
}
