/**
 * Draws a pass or a code as a QR code (ISO/IEC 18004): alphanumeric mode, error correction M, the smallest version that
 * holds the text. An entry point of its own, so that an app that draws codes otherwise does not carry it.
 */
/** The dark modules of a code, row by row, without the quiet zone of four. */
export type Modules = readonly (readonly boolean[])[];
/** The modules of a text of digits, capitals, space and `$%*+-./:`; throws RangeError for any other, or a longer one. */
export declare function qrModules(text: string): Modules;
/** An SVG document of one path; its size is that of the element it is put into. */
export declare function qrSvg(text: string, dark?: string, light?: string): string;
/** Draws on a canvas, whose size becomes a whole number of pixels for each module. */
export declare function drawQr(canvas: HTMLCanvasElement, text: string, pixelsPerModule?: number): void;
