/** Bytes as WebCrypto takes and gives them. */
export type Bytes = Uint8Array<ArrayBuffer>;
export declare function concat(...parts: readonly Uint8Array[]): Bytes;
/** Whether both are the same, in a time that depends on their length alone. */
export declare function equal(one: Uint8Array, other: Uint8Array): boolean;
/** An unsigned integer, big-endian, in so many bytes. */
export declare function uint(value: number, length: number): Bytes;
/** The unsigned big-endian integer; above 2⁵³ the nearest that a number can say. */
export declare function number(bytes: Uint8Array): number;
export declare function bigint(bytes: Uint8Array): bigint;
export declare function hex(bytes: Uint8Array): string;
export declare function fromHex(text: string): Bytes;
/** Base64url without padding (RFC 7515 §2). */
export declare function base64url(bytes: Uint8Array): string;
/** Throws a DOMException for what is not base64. */
export declare function fromBase64url(text: string): Bytes;
export declare function utf8(text: string): Bytes;
