-- Every business table carries organisation_id and references its own organisation's rows only: a cross-tenant
-- reference cannot be stored. Instants are seconds since the epoch.

CREATE TABLE installation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    cloud_id bytea NOT NULL CHECK (length(cloud_id) = 16)
);
INSERT INTO installation (cloud_id) VALUES (uuid_send(gen_random_uuid()));

-- Keys that sign access tokens: one set for the installation.
CREATE TABLE token_keys (
    number bigint GENERATED ALWAYS AS IDENTITY,
    kid text PRIMARY KEY,
    public_key bytea NOT NULL,
    sealed_private_key bytea NOT NULL,
    created_at bigint NOT NULL,
    retired_at bigint
);

CREATE TABLE organisations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    visitor_module boolean NOT NULL DEFAULT true,
    pass_seconds integer DEFAULT 60 CHECK (pass_seconds BETWEEN 5 AND 86400),
    passes_shortened_at bigint NOT NULL DEFAULT 0, -- passes of meetings older than this may live to their meeting's end
    single_use boolean NOT NULL DEFAULT false,
    meeting_max_days integer NOT NULL DEFAULT 366 CHECK (meeting_max_days BETWEEN 1 AND 3660),
    offline_limit integer CHECK (offline_limit > 0),
    last_site_id integer NOT NULL DEFAULT 0,
    last_access_point_id integer NOT NULL DEFAULT 0,
    created_at bigint NOT NULL
);

-- Events: append-only, numbered without gaps per organisation, no foreign keys to anything that can be deleted.
CREATE TABLE event_counters (
    organisation_id bigint PRIMARY KEY REFERENCES organisations (id),
    last bigint NOT NULL DEFAULT 0
);

CREATE TABLE events (
    organisation_id bigint NOT NULL,
    number bigint NOT NULL,
    type text NOT NULL,
    at double precision NOT NULL,
    recorded_at double precision NOT NULL,
    actor jsonb NOT NULL,
    subject text NOT NULL,
    data jsonb NOT NULL,
    before jsonb,
    after jsonb,
    PRIMARY KEY (organisation_id, number)
);

CREATE TABLE pass_keys (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    kid bytea NOT NULL CHECK (length(kid) = 8),
    public_key bytea NOT NULL CHECK (length(public_key) = 65),
    sealed_private_key bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('staged', 'active', 'retired')),
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, kid)
);
CREATE UNIQUE INDEX one_active_pass_key ON pass_keys (organisation_id) WHERE state = 'active';

CREATE TABLE clients (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    client_id text NOT NULL UNIQUE,
    name text NOT NULL,
    secret_hash text NOT NULL,
    scopes text[] NOT NULL,
    token_seconds integer NOT NULL DEFAULT 86400 CHECK (token_seconds BETWEEN 60 AND 7776000),
    rate_per_second integer NOT NULL DEFAULT 50 CHECK (rate_per_second > 0),
    rate_burst integer NOT NULL DEFAULT 200 CHECK (rate_burst > 0),
    revoked_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

-- What every process must forget within a second: a client (its scopes changed, or it was revoked), or one token.
CREATE TABLE token_revocations (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id text NOT NULL,
    jti text,
    not_before bigint NOT NULL DEFAULT 0, -- tokens of the client issued before this are refused
    expires_at bigint NOT NULL
);
CREATE INDEX token_revocations_by_client ON token_revocations (client_id);

CREATE TABLE idempotency_keys (
    organisation_id bigint NOT NULL,
    client_id bigint NOT NULL,
    key_hash bytea NOT NULL,
    request_hash bytea NOT NULL,
    result_id text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, client_id, key_hash),
    FOREIGN KEY (organisation_id, client_id) REFERENCES clients (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE sites (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id integer NOT NULL,
    name text NOT NULL,
    location text NOT NULL,
    timezone text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

CREATE TABLE controllers (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text NOT NULL,
    public_key bytea CHECK (length(public_key) = 65),
    enrolled_at bigint,
    revision bigint NOT NULL DEFAULT 0, -- of its desired state; writers lock this row
    mark bytea NOT NULL DEFAULT '',
    oldest_tombstone bigint NOT NULL DEFAULT 0, -- tombstones up to this revision were forgotten
    created_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id)
);

CREATE TABLE enrolment_codes (
    organisation_id bigint NOT NULL,
    controller_id bigint PRIMARY KEY,
    code_hash bytea NOT NULL,
    expires_at bigint NOT NULL,
    misses integer NOT NULL DEFAULT 0,
    used_by bytea, -- the public key that used it
    FOREIGN KEY (organisation_id, controller_id) REFERENCES controllers (organisation_id, id) ON DELETE CASCADE
);

-- What the controller says: another row than the one that writers of its state lock.
CREATE TABLE controller_links (
    organisation_id bigint NOT NULL,
    controller_id bigint PRIMARY KEY,
    session bigint NOT NULL DEFAULT 0,
    confirmed_revision bigint NOT NULL DEFAULT 0,
    confirmed_mark bytea NOT NULL DEFAULT '',
    frozen boolean NOT NULL DEFAULT false, -- the cloud was rolled back: no state is sent
    snapshot_due boolean NOT NULL DEFAULT false, -- until the controller confirms, it gets a snapshot whatever it holds
    online_until bigint NOT NULL DEFAULT 0,
    last_seen_at bigint,
    instance bytea NOT NULL DEFAULT '',
    previous_instance bytea NOT NULL DEFAULT '',
    version text NOT NULL DEFAULT '',
    tzdata text NOT NULL DEFAULT '',
    kinds text[] NOT NULL DEFAULT '{}',
    FOREIGN KEY (organisation_id, controller_id) REFERENCES controllers (organisation_id, id) ON DELETE CASCADE
);

CREATE TABLE journals (
    organisation_id bigint NOT NULL,
    controller_id bigint NOT NULL,
    journal bytea NOT NULL CHECK (length(journal) = 16),
    next bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (controller_id, journal),
    FOREIGN KEY (organisation_id, controller_id) REFERENCES controllers (organisation_id, id) ON DELETE CASCADE
);

CREATE TABLE access_points (
    organisation_id bigint NOT NULL,
    id integer NOT NULL,
    site_id integer NOT NULL,
    name text NOT NULL,
    zone text NOT NULL,
    entry_reader text,
    exit_reader text,
    strike_seconds double precision NOT NULL,
    held_seconds double precision NOT NULL,
    needs_pin boolean NOT NULL,
    is_default boolean NOT NULL,
    degraded text NOT NULL CHECK (degraded IN ('refuse', 'admit')),
    controller_id bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, controller_id) REFERENCES controllers (organisation_id, id)
);
CREATE INDEX access_points_by_site ON access_points (organisation_id, site_id);
CREATE INDEX access_points_by_controller ON access_points (organisation_id, controller_id);

-- Desired state: the materialised view of the business rows, per controller. body NULL: a tombstone.
CREATE TABLE desired_records (
    organisation_id bigint NOT NULL,
    controller_id bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    revision bigint NOT NULL,
    body bytea,
    PRIMARY KEY (organisation_id, kind, key, controller_id),
    FOREIGN KEY (organisation_id, controller_id) REFERENCES controllers (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX desired_records_by_revision ON desired_records (controller_id, revision);

CREATE TABLE revision_marks (
    controller_id bigint NOT NULL REFERENCES controllers (id) ON DELETE CASCADE,
    revision bigint NOT NULL,
    mark bytea NOT NULL CHECK (length(mark) = 8),
    made_at bigint NOT NULL,
    PRIMARY KEY (controller_id, revision)
);

CREATE TABLE visitors (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    phone text NOT NULL DEFAULT '',
    company text NOT NULL DEFAULT '',
    host text NOT NULL DEFAULT '',
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, key)
);

CREATE TABLE meetings (
    organisation_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    visitor_id bigint NOT NULL,
    start_time bigint NOT NULL,
    end_time bigint NOT NULL CHECK (end_time > start_time),
    version integer NOT NULL DEFAULT 1,
    own_pass boolean NOT NULL DEFAULT false, -- the meeting chose its passes' life itself
    pass_seconds integer CHECK (pass_seconds BETWEEN 5 AND 86400),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, visitor_id) REFERENCES visitors (organisation_id, id)
);
CREATE INDEX meetings_by_visitor ON meetings (organisation_id, visitor_id);

CREATE TABLE meeting_doors (
    organisation_id bigint NOT NULL,
    meeting_id bigint NOT NULL,
    access_point_id integer NOT NULL,
    PRIMARY KEY (organisation_id, meeting_id, access_point_id),
    FOREIGN KEY (organisation_id, meeting_id) REFERENCES meetings (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, access_point_id) REFERENCES access_points (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX meeting_doors_by_access_point ON meeting_doors (organisation_id, access_point_id);

-- Outlives its meeting: refuse the meeting's passes below a version until the last of them has expired.
CREATE TABLE meeting_revocations (
    organisation_id bigint NOT NULL REFERENCES organisations (id),
    meeting_id bigint NOT NULL,
    refuse_below integer NOT NULL,
    access_points integer[] NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (organisation_id, meeting_id)
);
CREATE INDEX meeting_revocations_by_end ON meeting_revocations (until);
