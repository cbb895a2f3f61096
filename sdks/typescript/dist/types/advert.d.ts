/** How a reader makes itself known over Bluetooth: docs/tap.md. */
export declare const SERVICE = 65520;
export declare const WRITE = "fe278a85-89ae-191f-5dde-841202693835";
export declare const NOTIFY = "e5b1b3b5-3cca-3f76-cd86-a884cc239692";
/** The service data that a reader advertises, before anybody connects. Nobody has signed it. */
export interface Advert {
    readonly organisation: number;
    readonly accessPoint: number;
    readonly isExit: boolean;
    /** dBm at which a phone one metre away hears it. */
    readonly power: number;
}
/** What service data says; null when it is not a reader's of ours. */
export declare function readAdvert(data: Uint8Array): Advert | null;
/** How far away a reader is that is heard with `rssi` dBm, in free air. */
export declare function metres(rssi: number, power: number): number;
