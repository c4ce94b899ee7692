-- Times are microseconds since 1970 in UTC. JSON columns hold the domain types as serde writes them.

CREATE TABLE jobs (
    -- The order of acceptance.
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT    NOT NULL UNIQUE,
    spec             TEXT    NOT NULL CHECK (json_valid(spec)),
    priority         INTEGER NOT NULL,
    status           TEXT    NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    attempt          INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures         INTEGER NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND attempt),
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    completed_at     INTEGER,
    updated_at       INTEGER NOT NULL,
    not_before       INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    progress         TEXT    NOT NULL CHECK (json_valid(progress)),
    outcome          TEXT    CHECK (outcome IS NULL OR json_valid(outcome)),
    failure          TEXT    CHECK (failure IS NULL OR json_valid(failure)),
    -- The claim: who runs it, the number that proves it, and when the owner last spoke for it.
    owner            TEXT,
    fence            INTEGER NOT NULL DEFAULT 0,
    heartbeat_at     INTEGER,

    CHECK ((status = 'running') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (heartbeat_at IS NULL)),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK ((status = 'completed') = (outcome IS NOT NULL)),
    CHECK (not_before IS NULL OR status = 'pending')
) STRICT;

CREATE INDEX jobs_by_turn ON jobs (priority DESC, seq) WHERE status = 'pending';
CREATE INDEX jobs_claimed ON jobs (heartbeat_at) WHERE status = 'running';
CREATE INDEX jobs_by_status ON jobs (status, seq);

CREATE TABLE events (
    -- Rises and is never used twice.
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT    NOT NULL,
    job  TEXT    NOT NULL REFERENCES jobs (id),
    data TEXT    NOT NULL CHECK (json_valid(data))
) STRICT;

CREATE INDEX events_by_job ON events (job, seq);

CREATE TABLE job_logs (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    job     TEXT    NOT NULL REFERENCES jobs (id),
    time    INTEGER NOT NULL,
    level   TEXT    NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message TEXT    NOT NULL
) STRICT;

CREATE INDEX job_logs_by_job ON job_logs (job, seq);

-- Written to prove that the database can be written to.
CREATE TABLE store_check (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at INTEGER NOT NULL
) STRICT;
