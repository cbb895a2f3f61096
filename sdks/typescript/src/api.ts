/** The records of the cloud that this SDK speaks of, from its OpenAPI document. */

import type { components } from "./openapi.ts";

type Schemas = components["schemas"];

/** All that a phone needs to know to work without a network. */
export type Keyring = Schemas["Keyring"];
/** A door that the user may open, and what their phone may do there. */
export type Door = Schemas["KeyringDoor"];
/** An enrolled phone of a user. */
export type Phone = Schemas["Phone"];
export type PhoneDraft = Schemas["PhoneDraft"];
/** An entry, an exit or a refusal. */
export type Passage = Schemas["Passage"];
/** Some of them, and where the next ones begin. */
export type Passages = Schemas["Page_latchwork.wire.api.passages.Passage_"];
/** What became of a remote unlock. */
export type Unlocked = Schemas["Unlocked"];
