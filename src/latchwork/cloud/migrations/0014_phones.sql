-- Phones: sessions of users in apps, the keys of their phones, and what readers prove themselves to phones with.

CREATE TABLE app_sessions (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    client_id bigint NOT NULL,
    scopes text[], -- no more than these; null: whatever user and client may
    family_hash bytea NOT NULL, -- of what all of its refresh tokens have in common
    newest_hash bytea NOT NULL,
    former_hash bytea,
    thumbprint text, -- RFC 7638, of the app's key; null: the app has not begun it
    created_at bigint NOT NULL,
    used_at bigint,
    expires_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, client_id) REFERENCES clients (organisation_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX app_sessions_by_family ON app_sessions (family_hash);
CREATE INDEX app_sessions_by_user ON app_sessions (organisation_id, user_id);
CREATE INDEX app_sessions_by_client ON app_sessions (organisation_id, client_id);
CREATE INDEX app_sessions_by_end ON app_sessions (expires_at);

-- Proofs of possession (RFC 9449) that were used: none is good twice.
CREATE TABLE dpop_proofs (
    proof_hash bytea PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX dpop_proofs_by_end ON dpop_proofs (expires_at);

ALTER TABLE organisations ADD COLUMN phones_per_user integer NOT NULL DEFAULT 2 CHECK (phones_per_user BETWEEN 1 AND 20);

CREATE TABLE phones (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id bigint NOT NULL,
    name text NOT NULL,
    session_id bigint, -- null: it is over
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, session_id) REFERENCES app_sessions (organisation_id, id)
        ON DELETE SET NULL (session_id)
);
CREATE INDEX phones_by_user ON phones (organisation_id, user_id);
CREATE UNIQUE INDEX phones_by_session ON phones (organisation_id, session_id) WHERE session_id IS NOT NULL;

CREATE TABLE phone_keys (
    organisation_id bigint NOT NULL,
    kid text NOT NULL, -- 16 hex digits: the key of its record at the doors
    phone_id bigint NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('tap', 'code')),
    public_key bytea NOT NULL CHECK (length(public_key) = 65),
    PRIMARY KEY (organisation_id, kid),
    UNIQUE (organisation_id, phone_id, purpose),
    FOREIGN KEY (organisation_id, phone_id) REFERENCES phones (organisation_id, id) ON DELETE CASCADE
);

-- The keys that sign readers' certificates; the newest signs.
CREATE TABLE reader_keys (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    kid bytea NOT NULL CHECK (length(kid) = 8),
    public_key bytea NOT NULL CHECK (length(public_key) = 65),
    sealed_private_key bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, kid)
);

-- The key that a controller's readers prove themselves with; empty: none. Certified from that instant.
ALTER TABLE controllers ADD COLUMN reader_key bytea NOT NULL DEFAULT '';
ALTER TABLE controllers ADD COLUMN certified_at bigint NOT NULL DEFAULT 0;

-- By which generation of the records a controller's state was computed: an older one is computed anew.
ALTER TABLE controllers ADD COLUMN records_generation integer NOT NULL DEFAULT 1;

-- How a phone was used, and what for.
CREATE OR REPLACE VIEW passages AS
SELECT e.organisation_id, e.number, e.at, e.recorded_at,
    e.type = 'access_granted' AS granted,
    (e.data ->> 'accessPointId')::bigint AS access_point_id,
    e.data ->> 'accessPointName' AS access_point_name,
    (e.data ->> 'siteId')::bigint AS site_id,
    e.data ->> 'direction' AS direction,
    e.data ->> 'reason' AS reason,
    e.data ->> 'credential' AS credential,
    (e.data ->> 'userId')::bigint AS user_id,
    e.data ->> 'userName' AS user_name,
    e.data ->> 'employeeCode' AS employee_code,
    (e.data ->> 'visitorId')::bigint AS visitor_id,
    e.data ->> 'visitorKey' AS visitor_key,
    e.data ->> 'visitorName' AS visitor_name,
    (e.data ->> 'meetingId')::bigint AS meeting_id,
    e.data ->> 'passId' AS pass_id,
    e.data ->> 'cardId' AS card_id,
    e.data ->> 'cardLastDigits' AS card_last_digits,
    e.data -> 'requestedBy' AS requested_by,
    coalesce((e.data ->> 'count')::bigint, 1) AS count,
    EXISTS (SELECT FROM events w WHERE w.organisation_id = e.organisation_id AND w.type = 'strike_withheld'
        AND w.data ->> 'journal' = e.data ->> 'journal'
        AND w.data ->> 'grantNumber' = e.data ->> 'journalNumber') AS withheld,
    e.data ->> 'manner' AS manner,
    coalesce(e.data ->> 'ask', 'open') AS ask
FROM events e WHERE e.type IN ('access_granted', 'access_refused');

-- When a door's mode was last changed by somebody.
CREATE INDEX mode_changes ON events (organisation_id, subject, at) WHERE type = 'door_mode_changed';
