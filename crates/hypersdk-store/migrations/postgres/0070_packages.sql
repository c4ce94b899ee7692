-- The catalogue of packages. A package enters it with the write that completes its job, and stays when the job is
-- forgotten. Times are microseconds since 1970 in UTC.

CREATE TABLE packages (
    -- The order in which they were whole.
    seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The job's.
    id           TEXT   COLLATE "C" NOT NULL UNIQUE,
    schedule     TEXT   COLLATE "C",
    -- The VM as the job named it, and as it is called.
    vm           TEXT   COLLATE "C" NOT NULL,
    vm_name      TEXT   COLLATE "C" NOT NULL,
    -- The main file.
    path         TEXT   COLLATE "C" NOT NULL,
    spec         TEXT   NOT NULL CHECK (spec::json IS NOT NULL),
    outcome      TEXT   NOT NULL CHECK (outcome::json IS NOT NULL),
    completed_at BIGINT NOT NULL,
    verification TEXT   CHECK (verification IS NULL OR verification::json IS NOT NULL),
    state        TEXT   NOT NULL CHECK (state IN ('present', 'replaced', 'removing', 'removed')),
    reason       TEXT,
    remover      TEXT,
    updated_at   BIGINT NOT NULL,

    CHECK (state <> 'removing' OR remover IS NOT NULL)
);

CREATE INDEX packages_by_schedule ON packages (schedule, seq);
-- Paths may be longer than a row of an index.
CREATE INDEX packages_by_vm ON packages (md5(vm), seq);
CREATE INDEX packages_by_vm_name ON packages (md5(vm_name), seq);
CREATE INDEX packages_by_path ON packages (md5(path)) WHERE state = 'present';
CREATE INDEX packages_going ON packages (seq) WHERE state = 'removing';
CREATE INDEX packages_gone ON packages (updated_at) WHERE state IN ('removed', 'replaced');

-- What was made before there was a catalogue. Of several with one path the last is there, as far as is known.
INSERT INTO packages (id, schedule, vm, vm_name, path, spec, outcome, completed_at, verification, state, reason,
                      updated_at)
SELECT id, spec::json -> 'schedule' ->> 'id', spec::json ->> 'vm', outcome::json ->> 'vm_name',
       outcome::json ->> 'ovf_path', spec, outcome, completed_at,
       -- Each was checked by its job.
       json_build_object(
           'at', to_char(to_timestamp(completed_at / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'level', coalesce(spec::json ->> 'verify', 'structure'), 'fault', NULL)::text,
       CASE WHEN is_last THEN 'present' ELSE 'replaced' END,
       CASE WHEN is_last THEN NULL ELSE 'a later job has put another in its place' END,
       completed_at
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY outcome::json ->> 'ovf_path' ORDER BY completed_at DESC, seq DESC
    ) = 1 AS is_last
    FROM jobs WHERE status = 'completed'
) AS completed
ORDER BY completed_at, seq;
