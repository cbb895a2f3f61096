/** P-256 by WebCrypto: private keys are objects that nobody can export, points are bytes (SEC 1 §2.3.3). */
import { type Bytes } from "./bytes.ts";
/** A key that signs; only its public half can leave this device. */
export declare function newSigningKey(): Promise<CryptoKeyPair>;
/** A key for one exchange. */
export declare function newTransientKey(): Promise<CryptoKeyPair>;
/** The public half as an uncompressed point, 65 bytes. */
export declare function point(pair: CryptoKeyPair): Promise<Bytes>;
/** r‖s, 64 bytes. */
export declare function sign(pair: CryptoKeyPair, message: Bytes): Promise<Bytes>;
/** True when the signature is 64 bytes and genuine; throws RangeError when the point is none. */
export declare function verify(publicPoint: Bytes, signature: Bytes, message: Bytes): Promise<boolean>;
/** ECDH: the x coordinate that both sides get, 32 bytes; throws RangeError when the point is none. */
export declare function sharedSecret(pair: CryptoKeyPair, otherPoint: Bytes): Promise<Bytes>;
export declare function sha256(data: Bytes): Promise<Bytes>;
/** 8 bytes of the key's COSE thumbprint (RFC 9679 §4). */
export declare function kid(publicPoint: Uint8Array): Promise<Bytes>;
/** The uncompressed point of a compressed one; throws RangeError when it is not 33 bytes or not on the curve. */
export declare function decompress(compressed: Uint8Array): Bytes;
