const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** Base45 (RFC 9285 §4): two bytes become three characters of a QR code's alphanumeric mode, a last single byte two. */
export function base45(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += 2) {
    const pair = at + 1 < data.length;
    let rest = pair ? data[at]! * 256 + data[at + 1]! : data[at]!;
    for (let left = pair ? 3 : 2; left > 0; left--) {
      text += ALPHABET[rest % 45];
      rest = Math.floor(rest / 45);
    }
  }
  return text;
}
