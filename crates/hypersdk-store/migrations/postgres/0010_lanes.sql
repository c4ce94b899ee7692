-- What a job waits with (provider, labels, submitter: see the core's Lane), and how many jobs it still comes after.
ALTER TABLE jobs
    ADD COLUMN lane TEXT COLLATE "C" NOT NULL DEFAULT '[null,[],null]' CHECK (lane::json IS NOT NULL),
    ADD COLUMN blocked_by BIGINT NOT NULL DEFAULT 0 CHECK (blocked_by >= 0);

UPDATE jobs SET lane = '[' || coalesce(to_json(spec::json ->> 'provider')::text, 'null') || ',[],null]';

DROP INDEX jobs_by_turn;
CREATE INDEX jobs_by_lane ON jobs (lane, priority DESC, seq) WHERE status = 'pending' AND blocked_by = 0;

CREATE TABLE job_dependencies (
    -- The one that must be completed first.
    needs TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    job   TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (needs, job)
);

CREATE INDEX job_dependencies_by_job ON job_dependencies (job);

-- The processes that share the database.
CREATE TABLE nodes (
    name     TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    report   TEXT    NOT NULL CHECK (report::json IS NOT NULL),
    heard_at BIGINT  NOT NULL,
    paused   BOOLEAN NOT NULL DEFAULT FALSE
);

-- How far whoever reads the log has come. What lies after the lowest of these is not forgotten.
CREATE TABLE event_cursors (
    name TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL
);
