-- Who did what. Times are microseconds since 1970 in UTC.
CREATE TABLE audit (
    -- Rises and is never used twice.
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    time       INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    client     TEXT    NOT NULL,
    request_id TEXT    NOT NULL
) STRICT;

-- Answers that are given again to a request that is repeated under its key.
CREATE TABLE replays (
    key         TEXT    PRIMARY KEY,
    fingerprint TEXT    NOT NULL,
    begun_at    INTEGER NOT NULL,
    status      INTEGER,
    body        TEXT,
    CHECK ((status IS NULL) = (body IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX replays_by_age ON replays (begun_at);
