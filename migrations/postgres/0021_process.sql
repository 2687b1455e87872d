-- The processes that serve from this store, as each of them reports itself every few seconds. One that stops in order
-- takes its row with it; the row of one that died is removed after a while. A release before this table reports nothing.
create table process (
    process_id uuid primary key,
    -- Where it runs, for people.
    host text not null,
    pid bigint not null,
    -- The release, and the newest change of the schema that it knows.
    release text not null,
    schema bigint not null,
    -- The fingerprints of the master keys that it holds, with spaces between them.
    master_keys text not null,
    -- In milliseconds since 1970, by the clock of the database.
    started_at bigint not null,
    seen_at bigint not null
);

create index process_seen_at on process (seen_at);

-- Signing keys may be revoked, because no release that goes on to use a revoked key serves from this store. An upgraded
-- store gets this row from the command `migrate --finish`.
insert into store_default (name)
select 'key_revocation'
where not exists (select 1 from signing_key);

-- Whoever may change "revision" may report a process, so that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select distinct coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'revision'::regclass and acl.privilege_type = 'UPDATE'
    loop
        execute format('grant select, insert, update, delete on process to %s', allowed.grantee);
    end loop;
end
$$;
