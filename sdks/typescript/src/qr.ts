/**
 * Draws a pass or a code as a QR code (ISO/IEC 18004): alphanumeric mode, error correction M, the smallest version that
 * holds the text. An entry point of its own, so that an app that draws codes otherwise does not carry it.
 */

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const MOST_VERSION = 20;
const QUIET = 4;
/** Level M, by version from 1: error correction codewords of a block, and blocks. */
const CORRECTION = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];
const MASKS: readonly ((x: number, y: number) => number)[] = [
  (x, y) => (x + y) % 2,
  (_, y) => y % 2,
  (x) => x % 3,
  (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
  (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** The dark modules of a code, row by row, without the quiet zone of four. */
export type Modules = readonly (readonly boolean[])[];

/** The modules of a text of digits, capitals, space and `$%*+-./:`; throws RangeError for any other, or a longer one. */
export function qrModules(text: string): Modules {
  const version = smallest(text);
  const codewords = corrected(encoded(text, version), version);
  const drawn = MASKS.map((_, mask) => new Drawing(version).fill(codewords, mask));
  return drawn.reduce((best, each) => (penalty(each) < penalty(best) ? each : best));
}

/** An SVG document of one path; its size is that of the element it is put into. */
export function qrSvg(text: string, dark = "#000", light = "#fff"): string {
  const modules = qrModules(text);
  const size = modules.length + 2 * QUIET;
  const path = modules.flatMap((row, y) =>
    row.map((isDark, x) => (isDark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")),
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges" role="img">` +
    `<path fill="${light}" d="M0 0h${size}v${size}H0z"/><path fill="${dark}" d="${path.join("")}"/></svg>`
  );
}

/** Draws on a canvas, whose size becomes a whole number of pixels for each module. */
export function drawQr(canvas: HTMLCanvasElement, text: string, pixelsPerModule = 8): void {
  const modules = qrModules(text);
  canvas.width = canvas.height = (modules.length + 2 * QUIET) * pixelsPerModule;
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  modules.forEach((row, y) =>
    row.forEach((isDark, x) => {
      if (isDark)
        context.fillRect(
          (x + QUIET) * pixelsPerModule,
          (y + QUIET) * pixelsPerModule,
          pixelsPerModule,
          pixelsPerModule,
        );
    }),
  );
}

function smallest(text: string): number {
  if ([...text].some((character) => !ALPHABET.includes(character))) throw new RangeError("not a text of a pass");
  const bits = (version: number): number => 4 + lengthBits(version) + Math.ceil(text.length * 5.5);
  for (let version = 1; version <= MOST_VERSION; version++) if (bits(version) <= capacity(version) * 8) return version;
  throw new RangeError("too long for a code");
}

function lengthBits(version: number): number {
  return version < 10 ? 9 : 11;
}

/** Data codewords of a version. */
function capacity(version: number): number {
  return allCodewords(version) - CORRECTION[version - 1]! * BLOCKS[version - 1]!;
}

function allCodewords(version: number): number {
  const patterns = version < 2 ? 0 : Math.floor(version / 7) + 2;
  const alignment = patterns ? (25 * patterns - 10) * patterns - 55 : 0;
  return Math.floor(((16 * version + 128) * version + 64 - alignment - (version < 7 ? 0 : 36)) / 8);
}

function encoded(text: string, version: number): number[] {
  const pairs = text.match(/..?/gs) ?? [];
  const values = pairs.map((pair) =>
    [...pair].reduce((value, character) => value * 45 + ALPHABET.indexOf(character), 0),
  );
  let bits = binary(2, 4) + binary(text.length, lengthBits(version));
  bits += values.map((value, at) => binary(value, pairs[at]!.length === 2 ? 11 : 6)).join("");
  const size = capacity(version) * 8;
  bits += "0".repeat(Math.min(4, size - bits.length));
  bits += "0".repeat(-bits.length & 7);
  while (bits.length < size) bits += "1110110000010001".slice(0, size - bits.length);
  return (bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2));
}

function binary(value: number, length: number): string {
  return value.toString(2).padStart(length, "0");
}

/** Data in blocks with their error correction, interleaved. */
function corrected(data: readonly number[], version: number): number[] {
  const [blocks, length] = [BLOCKS[version - 1]!, CORRECTION[version - 1]!];
  const short = Math.floor(data.length / blocks);
  const firstLong = blocks - (data.length % blocks);
  const parts = Array.from({ length: blocks }, (_, at) => {
    const start = at * short + Math.max(0, at - firstLong);
    return data.slice(start, start + short + (at < firstLong ? 0 : 1));
  });
  const divisor = generator(length);
  return [...interleaved(parts), ...interleaved(parts.map((part) => remainder(part, divisor)))];
}

function interleaved(parts: readonly (readonly number[])[]): number[] {
  const longest = Math.max(...parts.map((part) => part.length));
  return Array.from({ length: longest }, (_, at) =>
    parts.filter((part) => at < part.length).map((part) => part[at]!),
  ).flat();
}

/** Coefficients of the Reed-Solomon generator, without the first, which is 1. */
function generator(degree: number): number[] {
  const result = [...Array<number>(degree - 1).fill(0), 1];
  for (let times = 0, root = 1; times < degree; times++, root = product(root, 2)) {
    for (let at = 0; at < degree; at++) result[at] = product(result[at]!, root) ^ (result[at + 1] ?? 0);
  }
  return result;
}

function remainder(data: readonly number[], divisor: readonly number[]): number[] {
  const rest = divisor.map(() => 0);
  for (const byte of data) {
    const factor = byte ^ rest.shift()!;
    rest.push(0);
    divisor.forEach((coefficient, at) => (rest[at]! ^= product(coefficient, factor)));
  }
  return rest;
}

/** In GF(2⁸) modulo x⁸ + x⁴ + x³ + x² + 1. */
function product(one: number, other: number): number {
  let result = 0;
  for (let bit = 7; bit >= 0; bit--) {
    result = (result << 1) ^ ((result >> 7) * 0x11d);
    result ^= ((other >> bit) & 1) * one;
  }
  return result;
}

class Drawing {
  readonly #version: number;
  readonly #size: number;
  readonly #dark: boolean[][];
  readonly #fixed: boolean[][];

  constructor(version: number) {
    this.#version = version;
    this.#size = version * 4 + 17;
    const empty = (): boolean[][] => Array.from({ length: this.#size }, () => Array<boolean>(this.#size).fill(false));
    [this.#dark, this.#fixed] = [empty(), empty()];
    this.#timing();
    this.#finders();
    this.#alignment();
    this.#versionBits();
    this.#formatBits(0);
  }

  /** The whole code with a mask. */
  fill(codewords: readonly number[], mask: number): boolean[][] {
    this.#formatBits(mask);
    let bit = 0;
    for (const [x, y] of this.#zigzag()) {
      const isSet = ((codewords[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
      this.#dark[y]![x] = Boolean(isSet) !== (MASKS[mask]!(x, y) === 0);
      bit++;
    }
    return this.#dark;
  }

  #set(x: number, y: number, isDark: boolean): void {
    if (x < 0 || y < 0 || x >= this.#size || y >= this.#size) return;
    this.#dark[y]![x] = isDark;
    this.#fixed[y]![x] = true;
  }

  #timing(): void {
    for (let at = 0; at < this.#size; at++) {
      this.#set(6, at, at % 2 === 0);
      this.#set(at, 6, at % 2 === 0);
    }
  }

  #finders(): void {
    const far = this.#size - 4;
    for (const [x, y] of [
      [3, 3],
      [far, 3],
      [3, far],
    ] as const) {
      this.#square(x, y, 4, (ring) => ring !== 2 && ring !== 4);
    }
  }

  #alignment(): void {
    const places = this.#alignmentPlaces();
    const last = places.length - 1;
    places.forEach((x, column) =>
      places.forEach((y, row) => {
        const isFinder =
          (column === 0 && row === 0) || (column === 0 && row === last) || (column === last && row === 0);
        if (!isFinder) this.#square(x, y, 2, (ring) => ring !== 1);
      }),
    );
  }

  #alignmentPlaces(): number[] {
    if (this.#version === 1) return [];
    const count = Math.floor(this.#version / 7) + 2;
    const step = Math.floor((this.#version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
    const others = Array.from({ length: count - 1 }, (_, at) => this.#size - 7 - at * step);
    return [6, ...others.reverse()];
  }

  #square(x: number, y: number, reach: number, isDark: (ring: number) => boolean): void {
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) this.#set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  }

  /** 15 bits beside the finders (level M is 00), and the module that is always dark. */
  #formatBits(mask: number): void {
    const bits = ((mask << 10) | check(mask, 10, 0x537)) ^ 0x5412;
    for (let at = 0; at < 15; at++) {
      const isDark = ((bits >> at) & 1) === 1;
      const near = at < 6 ? at : at < 8 ? at + 1 : at === 8 ? 7 : 14 - at;
      if (at < 8) this.#set(8, near, isDark);
      else this.#set(near, 8, isDark);
      if (at < 8) this.#set(this.#size - 1 - at, 8, isDark);
      else this.#set(8, this.#size - 15 + at, isDark);
    }
    this.#set(8, this.#size - 8, true);
  }

  #versionBits(): void {
    if (this.#version < 7) return;
    const bits = (this.#version << 12) | check(this.#version, 12, 0x1f25);
    for (let at = 0; at < 18; at++) {
      const [far, near] = [this.#size - 11 + (at % 3), Math.floor(at / 3)];
      this.#set(far, near, ((bits >> at) & 1) === 1);
      this.#set(near, far, ((bits >> at) & 1) === 1);
    }
  }

  /** The places of data: pairs of columns from the right, up and down in turn, past the timing column. */
  *#zigzag(): Generator<readonly [number, number]> {
    for (let right = this.#size - 1, up = true; right > 0; right -= 2, up = !up) {
      if (right === 6) right = 5;
      for (let step = 0; step < this.#size; step++) {
        const y = up ? this.#size - 1 - step : step;
        for (const x of [right, right - 1]) if (!this.#fixed[y]![x]) yield [x, y];
      }
    }
  }
}

/** The remainder that a BCH code appends. */
function check(value: number, length: number, polynomial: number): number {
  let rest = value;
  for (let times = 0; times < length; times++) rest = (rest << 1) ^ ((rest >> (length - 1)) * polynomial);
  return rest;
}

/** ISO/IEC 18004 §7.8.3: how hard a code is to read. */
function penalty(dark: Modules): number {
  const lines = [...dark, ...dark.map((_, x) => dark.map((row) => row[x]!))];
  const texts = lines.map((line) => line.map(Number).join(""));
  const runs = texts.flatMap((text) => text.match(/0{5,}|1{5,}/g) ?? []).reduce((sum, run) => sum + run.length - 2, 0);
  const finders = texts.reduce((sum, text) => sum + likeFinders(text), 0);
  const share = (dark.flat().filter(Boolean).length * 100) / dark.length ** 2;
  return runs + 3 * squares(dark) + 40 * finders + 10 * Math.floor(Math.abs(share - 50) / 5);
}

function squares(dark: Modules): number {
  let found = 0;
  for (let y = 1; y < dark.length; y++) {
    for (let x = 1; x < dark.length; x++) {
      const sum = [dark[y]![x], dark[y]![x - 1], dark[y - 1]![x], dark[y - 1]![x - 1]].filter(Boolean).length;
      if (sum === 0 || sum === 4) found++;
    }
  }
  return found;
}

/** How often 1:1:3:1:1 with four light modules before or behind it. */
function likeFinders(text: string): number {
  return (text.match(/(?=00001011101)/g)?.length ?? 0) + (text.match(/(?=10111010000)/g)?.length ?? 0);
}
