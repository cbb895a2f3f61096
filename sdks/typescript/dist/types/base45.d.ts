/** Base45 (RFC 9285 §4): two bytes become three characters of a QR code's alphanumeric mode, a last single byte two. */
export declare function base45(data: Uint8Array): string;
