-- A database as version 1 of the tables left it. Never changed: what it holds must stay readable.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'jobs','2026-11-24 00:02:46',1,X'988ea4481476d2dfa955ad71a8918fda69345d9f4fa475d4e073531d49b2c4d5bccb759602a1f2a3e445e5f90b8692e9',3227209);
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
INSERT INTO jobs VALUES(1,'completed','{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports","name":null,"provider":null,"package_name":null,"format":"ova","compress":false,"compression_level":6,"cleanup_ovf":true,"verify":"structure","keep_partial":false,"overwrite":false,"priority":0,"options":{"power":"snapshot","quiesce":false},"metadata":{}}',0,'completed',1,0,1795478400000000,1795478402000002,1795478404000004,1795478404000004,NULL,0,'{"phase":"done","current_file":"disk-0.vmdk","files_done":1,"files_total":2,"bytes_done":8589934592,"bytes_total":17179869184,"fraction":1.0,"bytes_per_second":125000000.0,"remaining_seconds":68.5}','{"vm_name":"web01","output_dir":"/srv/exports","ovf_path":"/srv/exports/web01.ova","files":[{"name":"web01-disk-0.vmdk","size":9663676416,"sha256":"abababababababababababababababababababababababababababababababab","attested":true}],"total_size":9663680512,"duration_seconds":61.5,"checksum":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","warnings":["the host sent no SHA-1"]}',NULL,NULL,1,NULL);
INSERT INTO jobs VALUES(2,'failed','{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports","name":null,"provider":null,"package_name":null,"format":"ova","compress":false,"compression_level":6,"cleanup_ovf":true,"verify":"structure","keep_partial":false,"overwrite":false,"priority":0,"options":{"power":"snapshot","quiesce":false},"metadata":{}}',0,'failed',1,1,1795478400000000,1795478402000002,1795478405000005,1795478405000005,NULL,0,'{"phase":"exporting","current_file":"disk-0.vmdk","files_done":1,"files_total":2,"bytes_done":8589934592,"bytes_total":17179869184,"fraction":0.5,"bytes_per_second":125000000.0,"remaining_seconds":68.5}',NULL,'{"kind":"no_space","message":"write web01.ova.partial: no space left on device","advice":null,"retryable":false}',NULL,1,NULL);
INSERT INTO jobs VALUES(3,'retrying','{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports","name":null,"provider":null,"package_name":null,"format":"ova","compress":false,"compression_level":6,"cleanup_ovf":true,"verify":"structure","keep_partial":false,"overwrite":false,"priority":0,"options":{"power":"snapshot","quiesce":false},"metadata":{}}',0,'pending',1,1,1795478400000000,1795478402000002,NULL,1795478406000006,1795478460000001,0,'{"phase":"queued","current_file":null,"files_done":0,"files_total":0,"bytes_done":0,"bytes_total":null,"fraction":0.0,"bytes_per_second":0.0,"remaining_seconds":null}',NULL,'{"kind":"unavailable","message":"open export of vm-42: connection refused","advice":"check the host","retryable":true}',NULL,1,NULL);
INSERT INTO jobs VALUES(4,'stopped','{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports","name":null,"provider":null,"package_name":null,"format":"ova","compress":false,"compression_level":6,"cleanup_ovf":true,"verify":"structure","keep_partial":false,"overwrite":false,"priority":0,"options":{"power":"snapshot","quiesce":false},"metadata":{}}',0,'cancelled',1,0,1795478400000000,1795478402000002,1795478408000008,1795478408000008,NULL,1,'{"phase":"exporting","current_file":"disk-0.vmdk","files_done":1,"files_total":2,"bytes_done":8589934592,"bytes_total":17179869184,"fraction":0.5,"bytes_per_second":125000000.0,"remaining_seconds":68.5}',NULL,NULL,NULL,1,NULL);
INSERT INTO jobs VALUES(5,'running','{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports","name":null,"provider":null,"package_name":null,"format":"ova","compress":false,"compression_level":6,"cleanup_ovf":true,"verify":"structure","keep_partial":false,"overwrite":false,"priority":0,"options":{"power":"snapshot","quiesce":false},"metadata":{}}',0,'running',1,0,1795478400000000,1795478402000002,NULL,1795478403000003,NULL,0,'{"phase":"exporting","current_file":"disk-0.vmdk","files_done":1,"files_total":2,"bytes_done":8589934592,"bytes_total":17179869184,"fraction":0.5,"bytes_per_second":125000000.0,"remaining_seconds":68.5}',NULL,NULL,'01a20adc-b806-7764-b689-c3ecf76d122c',1,1795478403000003);
INSERT INTO jobs VALUES(6,'waiting','{"vm":"vm-42","output_dir":"/srv/exports","name":"nightly web, O''Brien''s","provider":"vc-berlin","package_name":"web01","format":"ovf","compress":true,"compression_level":9,"cleanup_ovf":false,"verify":"full","keep_partial":true,"overwrite":true,"priority":-1,"options":{"power":"keep","quiesce":true},"metadata":{"ticket":4711}}',-1,'pending',0,0,1795478401000001,NULL,NULL,1795478401000001,NULL,0,'{"phase":"queued","current_file":null,"files_done":0,"files_total":0,"bytes_done":0,"bytes_total":null,"fraction":0.0,"bytes_per_second":0.0,"remaining_seconds":null}',NULL,NULL,NULL,0,NULL);
CREATE TABLE events (
    -- Rises and is never used twice.
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT    NOT NULL,
    job  TEXT    NOT NULL REFERENCES jobs (id),
    data TEXT    NOT NULL CHECK (json_valid(data))
) STRICT;
INSERT INTO events VALUES(1,1795478400000000,'job.created','completed','{"attempt":0,"job_id":"completed","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(2,1795478400000000,'job.created','failed','{"attempt":0,"job_id":"failed","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(3,1795478400000000,'job.created','retrying','{"attempt":0,"job_id":"retrying","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(4,1795478400000000,'job.created','stopped','{"attempt":0,"job_id":"stopped","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(5,1795478400000000,'job.created','running','{"attempt":0,"job_id":"running","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(6,1795478401000001,'job.created','waiting','{"attempt":0,"job_id":"waiting","job_name":"nightly web, O''Brien''s","output_dir":"/srv/exports","provider":"vc-berlin","vm_path":"vm-42"}');
INSERT INTO events VALUES(7,1795478402000002,'job.started','completed','{"attempt":1,"job_id":"completed","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(8,1795478402000002,'job.started','failed','{"attempt":1,"job_id":"failed","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(9,1795478402000002,'job.started','retrying','{"attempt":1,"job_id":"retrying","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(10,1795478402000002,'job.started','stopped','{"attempt":1,"job_id":"stopped","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(11,1795478402000002,'job.started','running','{"attempt":1,"job_id":"running","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(12,1795478404000004,'job.completed','completed','{"attempt":1,"job_id":"completed","job_name":null,"output_dir":"/srv/exports","provider":null,"result":{"checksum":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","duration_seconds":61.5,"files":[{"attested":true,"name":"web01-disk-0.vmdk","sha256":"abababababababababababababababababababababababababababababababab","size":9663676416}],"output_dir":"/srv/exports","ovf_path":"/srv/exports/web01.ova","total_size":9663680512,"vm_name":"web01","warnings":["the host sent no SHA-1"]},"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(13,1795478405000005,'job.failed','failed','{"attempt":1,"error":{"advice":null,"kind":"no_space","message":"write web01.ova.partial: no space left on device"},"job_id":"failed","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(14,1795478406000006,'job.requeued','retrying','{"attempt":1,"error":{"advice":"check the host","kind":"unavailable","message":"open export of vm-42: connection refused"},"job_id":"retrying","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
INSERT INTO events VALUES(15,1795478408000008,'job.cancelled','stopped','{"attempt":1,"job_id":"stopped","job_name":null,"output_dir":"/srv/exports","provider":null,"vm_path":"/DC0/vm/prod/web01"}');
CREATE TABLE job_logs (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    job     TEXT    NOT NULL REFERENCES jobs (id),
    time    INTEGER NOT NULL,
    level   TEXT    NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message TEXT    NOT NULL
) STRICT;
INSERT INTO job_logs VALUES(1,'failed',1795478460000001,'info','attempt 1 started');
INSERT INTO job_logs VALUES(2,'failed',1795478460000001,'warning','the host is slow');
INSERT INTO job_logs VALUES(3,'failed',1795478460000001,'error','attempt 1 failed for good');
CREATE TABLE store_check (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at INTEGER NOT NULL
) STRICT;
INSERT INTO store_check VALUES(1,1795478409000009);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('jobs',6);
INSERT INTO sqlite_sequence VALUES('events',15);
INSERT INTO sqlite_sequence VALUES('job_logs',3);
CREATE INDEX jobs_by_turn ON jobs (priority DESC, seq) WHERE status = 'pending';
CREATE INDEX jobs_claimed ON jobs (heartbeat_at) WHERE status = 'running';
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX events_by_job ON events (job, seq);
CREATE INDEX job_logs_by_job ON job_logs (job, seq);
COMMIT;
