-- The processes that serve from this store, as each of them reports itself every few seconds. One that stops in order
-- takes its row with it; the row of one that died is removed after a while. A release before this table reports nothing.
create table process (
    process_id blob primary key not null,
    -- Where it runs, for people.
    host text not null,
    pid integer not null,
    -- The release, and the newest change of the schema that it knows.
    release text not null,
    schema integer not null,
    -- The fingerprints of the master keys that it holds, with spaces between them.
    master_keys text not null,
    -- In milliseconds since 1970.
    started_at integer not null,
    seen_at integer not null
) strict;

create index process_seen_at on process (seen_at);

-- Signing keys may be revoked, because no release that goes on to use a revoked key serves from this store. An upgraded
-- store gets this row from the command `migrate --finish`.
insert into store_default (name)
select 'key_revocation'
where not exists (select 1 from signing_key);
