-- Times are microseconds since 1970 in UTC. JSON columns hold the domain types as serde writes them; they are text,
-- so that what is read is what was written, and both kinds of database hold the same.

CREATE TABLE jobs (
    -- The order of acceptance.
    seq              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               TEXT    COLLATE "C" NOT NULL UNIQUE,
    spec             TEXT    NOT NULL CHECK (spec::json IS NOT NULL),
    priority         INTEGER NOT NULL,
    status           TEXT    NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    attempt          BIGINT  NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures         BIGINT  NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND attempt),
    created_at       BIGINT  NOT NULL,
    started_at       BIGINT,
    completed_at     BIGINT,
    updated_at       BIGINT  NOT NULL,
    not_before       BIGINT,
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    progress         TEXT    NOT NULL CHECK (progress::json IS NOT NULL),
    outcome          TEXT    CHECK (outcome IS NULL OR outcome::json IS NOT NULL),
    failure          TEXT    CHECK (failure IS NULL OR failure::json IS NOT NULL),
    -- The claim: who runs it, the number that proves it, and when the owner last spoke for it.
    owner            TEXT,
    fence            BIGINT  NOT NULL DEFAULT 0,
    heartbeat_at     BIGINT,

    CHECK ((status = 'running') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (heartbeat_at IS NULL)),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK ((status = 'completed') = (outcome IS NOT NULL)),
    CHECK (not_before IS NULL OR status = 'pending')
);

CREATE INDEX jobs_by_turn ON jobs (priority DESC, seq) WHERE status = 'pending';
CREATE INDEX jobs_not_before ON jobs (not_before) WHERE status = 'pending' AND not_before IS NOT NULL;
CREATE INDEX jobs_claimed ON jobs (heartbeat_at) WHERE status = 'running';
CREATE INDEX jobs_by_status ON jobs (status, seq);

-- How many jobs are in each state. Changed by the transaction that changes the job, under the lock of the log.
CREATE TABLE job_counts (
    status TEXT   NOT NULL PRIMARY KEY,
    jobs   BIGINT NOT NULL CHECK (jobs >= 0)
);

INSERT INTO job_counts (status, jobs)
VALUES ('pending', 0), ('running', 0), ('completed', 0), ('failed', 0), ('cancelled', 0);

CREATE TABLE events (
    -- Rises in the order of the commits and is never used twice.
    seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time BIGINT NOT NULL,
    kind TEXT   NOT NULL,
    -- The job it is about, if it is about one.
    job  TEXT   COLLATE "C" REFERENCES jobs (id),
    data TEXT   NOT NULL CHECK (data::json IS NOT NULL),

    CHECK (job IS NOT NULL OR kind NOT LIKE 'job.%')
);

CREATE INDEX events_by_job ON events (job, seq);

CREATE TABLE job_logs (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job     TEXT   COLLATE "C" NOT NULL REFERENCES jobs (id),
    time    BIGINT NOT NULL,
    level   TEXT   NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message TEXT   NOT NULL
);

CREATE INDEX job_logs_by_job ON job_logs (job, seq);

-- Written to prove that the database can be written to.
CREATE TABLE store_check (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at BIGINT  NOT NULL
);
