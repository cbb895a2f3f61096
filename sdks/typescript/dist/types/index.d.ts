export { Access, CODE_SECONDS, type Code, type Opened, type Options, SCAN_SECONDS, type Status } from "./access.ts";
export { type Advert, metres, NOTIFY, readAdvert, SERVICE, WRITE } from "./advert.ts";
export type { Door, Keyring, Passage, Phone, Unlocked } from "./api.ts";
export type { Bytes } from "./bytes.ts";
export * from "./errors.ts";
export { type Heard, type Link, LinkLost, type Radio, RadioOff } from "./radio.ts";
export { type Contents, type Former, IndexedDbWallet, type Kept, MemoryWallet, type Wallet } from "./wallet.ts";
export { WebBluetooth } from "./web_bluetooth.ts";
