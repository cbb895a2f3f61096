/** What doors say, by code: docs/reasons.md. Written by build.py. */
export declare const SENTENCES: Readonly<Record<string, string>>;
