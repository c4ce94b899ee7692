-- Who did what. Times are microseconds since 1970 in UTC.
CREATE TABLE audit (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time       BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    status     BIGINT NOT NULL,
    client     TEXT   NOT NULL,
    request_id TEXT   NOT NULL
);

-- Answers that are given again to a request that is repeated under its key.
CREATE TABLE replays (
    key         TEXT   COLLATE "C" PRIMARY KEY,
    fingerprint TEXT   NOT NULL,
    begun_at    BIGINT NOT NULL,
    status      BIGINT,
    body        TEXT,
    CHECK ((status IS NULL) = (body IS NULL))
);

CREATE INDEX replays_by_age ON replays (begun_at);
