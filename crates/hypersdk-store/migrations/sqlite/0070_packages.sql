-- The catalogue of packages. A package enters it with the write that completes its job, and stays when the job is
-- forgotten. Times are microseconds since 1970 in UTC.

CREATE TABLE packages (
    -- The order in which they were whole.
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The job's.
    id           TEXT    NOT NULL UNIQUE,
    schedule     TEXT,
    -- The VM as the job named it, and as it is called.
    vm           TEXT    NOT NULL,
    vm_name      TEXT    NOT NULL,
    -- The main file.
    path         TEXT    NOT NULL,
    spec         TEXT    NOT NULL CHECK (json_valid(spec)),
    outcome      TEXT    NOT NULL CHECK (json_valid(outcome)),
    completed_at INTEGER NOT NULL,
    verification TEXT    CHECK (verification IS NULL OR json_valid(verification)),
    state        TEXT    NOT NULL CHECK (state IN ('present', 'replaced', 'removing', 'removed')),
    reason       TEXT,
    remover      TEXT,
    updated_at   INTEGER NOT NULL,

    CHECK (state <> 'removing' OR remover IS NOT NULL)
) STRICT;

CREATE INDEX packages_by_schedule ON packages (schedule, seq);
CREATE INDEX packages_by_vm ON packages (vm, seq);
CREATE INDEX packages_by_vm_name ON packages (vm_name, seq);
CREATE INDEX packages_by_path ON packages (path) WHERE state = 'present';
CREATE INDEX packages_going ON packages (seq) WHERE state = 'removing';
CREATE INDEX packages_gone ON packages (updated_at) WHERE state IN ('removed', 'replaced');

-- What was made before there was a catalogue. Of several with one path the last is there, as far as is known.
INSERT INTO packages (id, schedule, vm, vm_name, path, spec, outcome, completed_at, verification, state, reason,
                      updated_at)
SELECT id, json_extract(spec, '$.schedule.id'), json_extract(spec, '$.vm'), json_extract(outcome, '$.vm_name'),
       json_extract(outcome, '$.ovf_path'), spec, outcome, completed_at,
       -- Each was checked by its job.
       json_object('at', strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000000.0, 'unixepoch'),
                   'level', coalesce(json_extract(spec, '$.verify'), 'structure'), 'fault', NULL),
       iif(is_last, 'present', 'replaced'), iif(is_last, NULL, 'a later job has put another in its place'),
       completed_at
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY json_extract(outcome, '$.ovf_path') ORDER BY completed_at DESC, seq DESC
    ) = 1 AS is_last
    FROM jobs WHERE status = 'completed'
)
ORDER BY completed_at, seq;
