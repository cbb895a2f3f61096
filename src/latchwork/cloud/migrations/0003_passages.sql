-- History is a cursor on the event log: a view of its entries and refusals, and the indexes that make it quick.

CREATE VIEW passages AS
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
        AND w.data ->> 'grantNumber' = e.data ->> 'journalNumber') AS withheld
FROM events e WHERE e.type IN ('access_granted', 'access_refused');

CREATE INDEX passages_by_number ON events (organisation_id, number) WHERE type IN ('access_granted', 'access_refused');
CREATE INDEX passages_by_time ON events (organisation_id, at) WHERE type IN ('access_granted', 'access_refused');
CREATE INDEX passages_by_door ON events (organisation_id, ((data ->> 'accessPointId')::bigint), number)
    WHERE type IN ('access_granted', 'access_refused');
CREATE INDEX passages_by_user ON events (organisation_id, ((data ->> 'userId')::bigint), number)
    WHERE type IN ('access_granted', 'access_refused') AND (data ->> 'userId')::bigint IS NOT NULL;
CREATE INDEX passages_by_visitor ON events (organisation_id, ((data ->> 'visitorId')::bigint), number)
    WHERE type IN ('access_granted', 'access_refused') AND (data ->> 'visitorId')::bigint IS NOT NULL;
CREATE INDEX withheld_strikes ON events (organisation_id, (data ->> 'journal'), (data ->> 'grantNumber'))
    WHERE type = 'strike_withheld';

-- Without these the planner takes everybody for somebody who passes every two hundredth time.
CREATE STATISTICS passages_doors ON ((data ->> 'accessPointId')::bigint) FROM events;
CREATE STATISTICS passages_sites ON ((data ->> 'siteId')::bigint) FROM events;
CREATE STATISTICS passages_users ON ((data ->> 'userId')::bigint) FROM events;
CREATE STATISTICS passages_visitors ON ((data ->> 'visitorId')::bigint) FROM events;

-- Modes that end by themselves.
CREATE INDEX door_modes_by_end ON door_modes (until) WHERE until IS NOT NULL;

ALTER TABLE commands ADD COLUMN actor jsonb NOT NULL DEFAULT '{"kind":"system","id":"","name":""}'; -- who asked
ALTER TABLE commands ADD COLUMN card_id bigint; -- that a presented card was enrolled as
CREATE INDEX commands_by_age ON commands (made_at);
